"""Repeated document ids: exact, whatever the hashes do."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ingest import corpus
from tasks.ingest.corpus import SeenHashes, unique_documents
from tasks.ingest.rows import BadRow, Document, bad_row


def document(line, doc_id, text="text", title="title"):
    return Document("docs.jsonl", line, doc_id, title, text)


def unique(rows, **options):
    return list(unique_documents(iter(rows), reread=lambda: iter(rows), **options))


def clash(ids):
    """A bad hash: its values are the ids' lengths."""
    return np.array([len(doc_id) for doc_id in ids], dtype=np.uint64)


def test_same_id_with_same_content_has_its_own_reason():
    first, second = document(1, "a"), document(2, "a")
    kept, bad = unique([first, second])
    assert kept == first
    assert (bad.reason, bad.line, bad.field) == ("duplicate id, same content", 2, "doc_id")
    assert bad.got == "'a' again, first in docs.jsonl, line 1"


@pytest.mark.parametrize("other", [{"text": "other"}, {"title": "other"}])
def test_same_id_with_other_content_has_its_own_reason(other):
    _, bad = unique([document(1, "a"), document(2, "a", **other)])
    assert bad.reason == "duplicate id, other content"


def test_third_row_of_an_id_is_compared_with_the_first():
    rows = [document(1, "a"), document(2, "a", "other"), document(3, "a")]
    assert [row.reason for row in unique(rows)[1:]] == ["duplicate id, other content", "duplicate id, same content"]


def test_rows_without_repeats_keep_their_order_and_are_read_once():
    rows = [document(line, str(line)) for line in range(100)]
    assert list(unique_documents(iter(rows), reread=lambda: pytest.fail("read again"))) == rows


def test_bad_rows_pass_through():
    bad = bad_row("docs.jsonl", 1, "broken JSON", got="x")
    assert unique([bad, document(2, "a")]) == [bad, document(2, "a")]


def test_two_ids_that_share_a_hash_are_both_kept():
    rows = [document(1, "aa"), document(2, "bb"), document(3, "bb")]
    *kept, bad = unique(rows, hash_ids=clash)
    assert kept == rows[:2]
    assert bad.line == 3


def test_repeated_passage_is_left_out_in_silence_but_other_content_is_bad():
    rows = [document(1, "a"), document(1, "a"), document(2, "a"), document(3, "a", "other"), document(4, "a", "other")]
    kept, bad = unique(rows, repeats=True)
    assert kept == rows[0]
    assert (bad.line, bad.reason) == (3, "duplicate id, other content")


def test_many_repeats_are_looked_at_in_bounded_lots(monkeypatch):
    monkeypatch.setattr(corpus, "MAX_HELD_ROWS", 3)
    monkeypatch.setattr(corpus, "BATCH_ROWS", 2)
    rows = [document(line, str(line % 4)) for line in range(40)]
    found = unique(rows)
    assert [row for row in found if isinstance(row, Document)] == rows[:4]
    assert sorted(row.line for row in found if isinstance(row, BadRow)) == list(range(4, 40))


@pytest.mark.parametrize("rows", [[], [BadRow("a.jsonl", 1, "docid", "missing id", "None", "")]])
def test_corpus_without_a_document_that_can_be_used_is_an_error(rows):
    found = unique_documents(iter(rows), reread=lambda: iter(rows), where="a.jsonl")
    with pytest.raises(ValueError, match="a.jsonl: expected documents, got none that can be used"):
        list(found)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "cc", "dd", "eee"]), st.sampled_from("xy")), min_size=1),
    st.booleans(),
)
def test_equals_a_plain_dictionary(rows, bad_hash):
    documents = [document(line, doc_id, text) for line, (doc_id, text) in enumerate(rows)]
    firsts: dict[str, Document] = {}
    expected = {
        row.line: "kept" if (first := firsts.setdefault(row.doc_id, row)) is row else
        "duplicate id, same content" if first.text == row.text else "duplicate id, other content"
        for row in documents
    }  # fmt: skip
    options = {"hash_ids": clash} if bad_hash else {}
    found = {row.line: "kept" if isinstance(row, Document) else row.reason for row in unique(documents, **options)}
    assert found == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), max_size=8)))
def test_seen_hashes_equal_a_plain_set(batches):
    seen, plain = SeenHashes(), set()
    for batch in batches:
        expected = [number in plain or plain.add(number) is not None for number in batch]
        assert seen.add(np.array(batch, dtype=np.uint64)).tolist() == expected


def test_seen_hashes_take_at_most_sixteen_bytes_each():
    generator, total = np.random.default_rng(0), 1 << 18
    seen = SeenHashes()
    tracemalloc.start()
    for _ in range(total // 4096):
        seen.add(generator.integers(0, 2**63, size=4096, dtype=np.uint64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 16.5 * total
