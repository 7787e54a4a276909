"""Every layout gives the same collection; every bad row its reason."""

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.raw_files import DOCUMENTS, QRELS, QUERIES, beir, jsonl, miracl, passages, tsv, write

from tasks.ingest.config import IngestConfig
from tasks.ingest.files import find_source
from tasks.ingest.read import read_documents, read_judgements, read_queries
from tasks.ingest.rows import REASONS, BadRow, Document, Tally, good_rows, refuse

COLUMNS = {
    **{"doc_id": "docid", "title": "title", "text": "text"},
    **{"query_id": "query_id", "query": "query", "relevance": "relevance"},
}
TABLE = {"corpus": "corpus.{f}", "queries": "queries-{{split}}.{f}", "qrels": "qrels-{{split}}.{f}"}
READERS = {"corpus": read_documents, "queries": read_queries, "qrels": read_judgements}


def collection(config):
    """Read a collection back as plain values: documents, queries, judgements."""
    found = []
    for what, reader in READERS.items():
        source = find_source(config, "fi", what)
        files = [(file.path, file.format, file.split) for file in source.files]
        found.append([tuple(row[2:]) for row in reader(files, form=source.form, columns=source.columns)])
    return found


def expected(splits_by_file=True):
    return [
        [(row["docid"], row["title"], row["text"]) for row in DOCUMENTS],
        [(*row, split if splits_by_file else "") for split, rows in QUERIES.items() for row in rows],
        [(*row, split) for split, rows in QRELS.items() for row in rows],
    ]


def tables(root, file_format):
    """Write the collection as plain tables under our own column names."""
    names = {
        "corpus": ("doc_id", "title", "text"),
        "queries": ("query_id", "text"),
        "qrels": ("query_id", "doc_id", "relevance"),
    }
    rows = {"corpus": [tuple(row.values()) for row in DOCUMENTS]}
    for split in QUERIES:
        rows |= {f"queries-{split}": QUERIES[split], f"qrels-{split}": QRELS[split]}
    for name, values in rows.items():
        columns = names[name.partition("-")[0]]
        path = root / f"{name}.{file_format}"
        if file_format == "parquet":
            pl.DataFrame(values, schema=list(columns), orient="row").write_parquet(path)
        elif "jsonl" in file_format:
            write(path, jsonl(dict(zip(columns, row, strict=True)) for row in values))
        else:
            write(path, tsv([columns, *values]))
    return root


def test_miracl_layout_gives_the_collection(tmp_path):
    config = IngestConfig(layout="miracl", path=str(miracl(tmp_path)))
    assert collection(config) == expected()


def test_beir_layout_gives_the_collection_and_leaves_splits_to_the_qrels(tmp_path):
    documents, queries, judgements = expected(splits_by_file=False)
    config = IngestConfig(layout="beir", path=str(beir(tmp_path)))
    assert collection(config) == [documents, [*queries, ("t1", "A test query", "")], judgements]


@pytest.mark.parametrize("file_format", ["jsonl", "jsonl.gz", "tsv", "tsv.gz", "parquet"])
def test_plain_tables_give_the_collection(tmp_path, file_format):
    patterns = {what: name.format(f=file_format) for what, name in TABLE.items()}
    config = IngestConfig(layout="table", path=str(tables(tmp_path, file_format)), **patterns)
    assert collection(config) == expected()


def test_train_jsonl_gives_queries_judgements_and_passages(tmp_path):
    config = IngestConfig(layout="miracl", path=str(passages(tmp_path)), passages="{split}.jsonl.gz")
    documents, queries, judgements = collection(config)
    assert sorted(set(documents)) == sorted(expected()[0])
    assert queries == expected()[1]
    assert sorted(judgements) == sorted(expected()[2])


def test_table_column_names_are_settings(tmp_path):
    write(tmp_path / "a.jsonl", jsonl([{"key": 7, "body": "Text."}]))
    columns = {"doc_id": "key", "title": "none", "text": "body"}
    (row,) = read_documents([(str(tmp_path / "a.jsonl"), "jsonl", "")], form="table", columns=columns)
    assert row[2:] == ("7", "", "Text.")


def test_trec_qrels_may_be_split_by_spaces(tmp_path):
    write(tmp_path / "a.txt", "q1 0 d1 2\n")
    (row,) = read_judgements([(str(tmp_path / "a.txt"), "tsv", "dev")], form="trec", columns={})
    assert row[2:] == ("q1", "d1", 2, "dev")


@pytest.mark.parametrize("file_format", ["tsv", "parquet"])
def test_table_without_a_named_column_is_an_error(tmp_path, file_format):
    root = tables(tmp_path, file_format)
    with pytest.raises(ValueError, match=r"corpus.*expected columns.*'docid'.*ingest.columns"):
        list(read_documents([(str(root / f"corpus.{file_format}"), file_format, "")], form="table", columns=COLUMNS))


def test_documents_stream(tmp_path):
    path = write(tmp_path / "a.jsonl", jsonl(DOCUMENTS) + "broken")
    rows = read_documents([(str(path), "jsonl", ""), ("/no/such/file", "jsonl", "")], form="table", columns=COLUMNS)
    assert next(rows).doc_id == "1#0"


BAD_DOCUMENTS = [
    ('{"docid": "1", "text": ', "broken JSON", ""),
    ('["1", "title", "text"]', "broken JSON", ""),
    ('{"docid": "1", "text": "\\ud800"}', "broken JSON", ""),
    (b'{"docid": "1", "text": "k\xf6yh\xe4"}', "not UTF-8", ""),
    (b"\xff\xfe{\0}\0", "not UTF-8", ""),
    ('{"title": "a", "text": "b"}', "missing id", "docid"),
    ('{"docid": " ", "text": "b"}', "missing id", "docid"),
    ('{"docid": null, "text": "b"}', "missing id", "docid"),
    ('{"docid": 1.5, "text": "b"}', "missing id", "docid"),
    ('{"docid": "1", "title": "a"}', "empty text", "text"),
    ('{"docid": "1", "text": " \\n"}', "empty text", "text"),
    ('{"docid": "1", "text": ["a"]}', "not a text", "text"),
    ('{"docid": "1", "title": 3, "text": "b"}', "not a text", "title"),
]
BAD_TOPICS = [
    ("q1", "wrong number of columns", ""),
    ("q1\ta\tb", "wrong number of columns", ""),
    (b"q1\tk\xf6yh\xe4", "not UTF-8", ""),
    ("\ttext", "missing id", "query_id"),
    ("q1\t ", "empty text", "query"),
]
BAD_QRELS = [
    ("q1\tQ0\td1", "wrong number of columns", ""),
    ("q1\tQ0\td1\t1\tx", "wrong number of columns", ""),
    ("q1\tQ0\td1\tyes", "relevance not an integer", "relevance"),
    ("q1\tQ0\td1\t1.0", "relevance not an integer", "relevance"),
    ("q1\tQ0\td1\t-1", "relevance not an integer", "relevance"),
    ("q1\tQ0\td1\t1_0", "relevance not an integer", "relevance"),
    ("q1\tQ0\td1\t99999999999", "relevance not an integer", "relevance"),
    ("\tQ0\td1\t1", "missing id", "query_id"),
    ("q1\tQ0\t\t1", "missing id", "doc_id"),
    (b"q\xff\tQ0\td1\t1", "not UTF-8", ""),
]
BAD_PASSAGES = [
    (
        '{"query_id": "q1", "query": "a", "positive_passages": {}, "negative_passages": 3}',
        "not a list of passages",
        "negative_passages",
    ),
    ('{"query_id": "q1", "query": "a", "positive_passages": ["x"]}', "not a list of passages", "positive_passages"),
    ('{"query_id": "q1", "query": "a", "positive_passages": [{"text": "x"}]}', "missing id", "docid"),
]


def check_bad(path, rows, line, reason, field):
    """See that row `line` is bad for the right reason, says so in its message, and hurts no other row."""
    found = list(rows)
    (bad,) = (row for row in found if isinstance(row, BadRow))
    assert (bad.source, bad.line, bad.reason, bad.field) == (str(path), line, reason, field)
    assert len(found) == 3
    with pytest.raises(ValueError, match=f"line {line}.*expected .*, got .*{reason}.*on_bad_row"):
        list(good_rows(found, refuse))
    tally = Tally()
    assert len(list(good_rows(found, tally))) == 2
    assert str(tally) == f"1 × {reason}"


def between(path, good, bad):
    bad = bad.encode() if isinstance(bad, str) else bad
    return write(path, good[0].encode() + b"\n" + bad + b"\n" + good[1].encode() + b"\n")


@pytest.mark.parametrize(("bad", "reason", "field"), BAD_DOCUMENTS)
def test_bad_document_is_named(tmp_path, bad, reason, field):
    path = between(tmp_path / "a.jsonl", [json.dumps(row) for row in DOCUMENTS], bad)
    rows = read_documents([(str(path), "jsonl", "")], form="table", columns=COLUMNS)
    check_bad(path, rows, 2, reason, field)


@pytest.mark.parametrize(("bad", "reason", "field"), BAD_TOPICS)
def test_bad_topic_is_named(tmp_path, bad, reason, field):
    path = between(tmp_path / "a.tsv", ["a\tone", "b\ttwo"], bad)
    check_bad(path, read_queries([(str(path), "tsv", "dev")], form="topics", columns={}), 2, reason, field)


@pytest.mark.parametrize(("bad", "reason", "field"), BAD_QRELS)
def test_bad_judgement_is_named(tmp_path, bad, reason, field):
    path = between(tmp_path / "a.tsv", ["a\tQ0\td\t1", "b\tQ0\td\t0"], bad)
    check_bad(path, read_judgements([(str(path), "tsv", "dev")], form="trec", columns={}), 2, reason, field)


@pytest.mark.parametrize(("bad", "reason", "field"), BAD_PASSAGES)
def test_bad_passages_are_named(tmp_path, bad, reason, field):
    good = [json.dumps({"query_id": str(n), "query": "a", "positive_passages": [DOCUMENTS[n]]}) for n in (0, 1)]
    path = between(tmp_path / "a.jsonl", good, bad)
    check_bad(path, read_documents([(str(path), "jsonl", "")], form="passages", columns={}), 2, reason, field)


def test_headed_tsv_row_of_other_length_is_bad(tmp_path):
    path = write(tmp_path / "a.tsv", "docid\ttext\na\tone\nb\ttwo\tthree\nc\tfour\n")
    check_bad(
        path, read_documents([(str(path), "tsv", "")], form="table", columns=COLUMNS), 3, "wrong number of columns", ""
    )


def test_wrong_encoding_names_byte_and_offset(tmp_path):
    path = write(tmp_path / "a.tsv", b"q1\tk\xf6yh\xe4\n")
    (bad,) = read_queries([(str(path), "tsv", "dev")], form="topics", columns={})
    assert bad.got == "byte 0xf6 at offset 4 of the line"
    assert bad.content == "q1\tk\\xf6yh\\xe4"


def test_damaged_parquet_is_a_bad_row(tmp_path):
    whole = (tables(tmp_path, "parquet") / "corpus.parquet").read_bytes()
    path = write(tmp_path / "cut.parquet", whole[: len(whole) // 2])
    (bad,) = read_documents([(str(path), "parquet", "")], form="table", columns={**COLUMNS, "doc_id": "doc_id"})
    assert (bad.reason, bad.line) == ("damaged Parquet", None)
    assert "cut.parquet: expected a sound Parquet file" in bad.message


def test_every_reason_tells_what_to_do():
    assert all(expected and cure for expected, cure in REASONS.values())


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=5))
def test_any_text_survives_jsonl(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    write(path, jsonl({"docid": "#" + key, "title": title, "text": "." + text} for key, title, text in rows))
    found = read_documents([(str(path), "jsonl", "")], form="table", columns=COLUMNS)
    assert [row[2:] for row in found] == [("#" + key, title, "." + text) for key, title, text in rows]


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_give_documents_or_bad_rows(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "a.jsonl"
    path.write_bytes(content)
    for row in read_documents([(str(path), "jsonl", "")], form="table", columns=COLUMNS):
        assert isinstance(row, Document | BadRow)
