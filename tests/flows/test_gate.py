"""Which model is the one to use: better, worse, within the tolerance, the first, other dev data."""

import polars as pl
import pytest
from support.datasets import FACTS

from flows.run.gate import decide, pointer
from storage import DatasetRef, Input, StorageError, Writer, backend, care, commit, latest
from tasks.evaluate.measure import summarise

VALUES = {"fi": [0.2, 0.4, 0.6, 0.8] * 5, "sw": [0.1, 0.5, 0.9] * 8}


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "store")


def write(root, kind, partition, letter, frame, inputs=()):
    """Commit a dataset, and describe it as an input."""
    ref = DatasetRef(kind=kind, partition=partition, fingerprint=letter * 32, root=root)
    writer = Writer(ref)
    writer.write(frame)
    facts = FACTS | {"inputs": list(inputs), "arguments": {"system": "trained"}}
    content = commit(writer, **facts)
    name = f"{kind}.{partition}"
    return Input(name=name, kind=kind, partition=partition, fingerprint=ref.fingerprint, content=content.content)


def measured(root, letter, values, *, text="what is {}", relevance=1, documents=30):
    """Write a model's measures with what they were measured on; return it as a candidate for model/latest."""
    inputs, per_query = [], {}
    for language, of_queries in values.items():
        ids = [f"{language}{number}" for number in range(len(of_queries))]
        texts = pl.DataFrame({"query_id": ids, "text": [text.format(one) for one in ids]})
        judged = pl.DataFrame({"query_id": ids, "doc_id": ids}).with_columns(relevance=pl.lit(relevance, pl.Int32))
        numbers = pl.DataFrame({"doc_id": [str(number) for number in range(documents)]})
        corpus = numbers.with_columns(title=pl.lit("a"), text=pl.lit("b"))
        inputs += [
            write(root, "corpus", language, letter, corpus),
            write(
                root,
                "queries",
                language,
                letter,
                texts.with_columns(split=pl.lit("dev"), origin=pl.lit("given"), parent=pl.lit("")),
            ),
            write(root, "qrels", language, letter, judged),
        ]
        rows = pl.DataFrame({"query_id": ids, "value": of_queries})
        asked = [("nDCG@10", pl.col("value")), ("AP", 1 - pl.col("value"))]  # the first counts, though it sorts last
        per_query[language] = pl.concat(
            rows.select("query_id", metric=pl.lit(name), value=value, is_new=pl.lit(True)) for name, value in asked
        ).select("metric", "query_id", "value", "is_new")
    write(root, "metrics", "all", letter, summarise(per_query, system="trained"), inputs)
    refs = [DatasetRef(kind=kind, partition="all", fingerprint=letter * 32, root=root) for kind in ("model", "metrics")]
    return pointer("nightly", f"run-{letter}", *refs)


def shifted(by, spread=0.0):
    """Move every query's value, one up and the next down besides."""
    return {
        language: [value + by + spread * (-1) ** place for place, value in enumerate(values)]
        for language, values in VALUES.items()
    }


def run_of(root):
    return latest.read(root, "nightly").run


def test_the_first_model_wins(root):
    verdict = decide(root, measured(root, "a", VALUES), 0.0)
    assert verdict.won
    assert verdict.text == "model/latest is this run's model: the first of nightly."
    found = latest.read(root, "nightly")
    assert (found.run, found.model, found.why) == ("run-a", f"model/all/{'a' * 32}", "the first of nightly")
    assert found.value == pytest.approx(0.5)
    again = measured(root, "a", VALUES).model_copy(update={"run": "run-later"})
    assert decide(root, again, 0.0) is None  # it is that one
    assert run_of(root) == "run-later"
    assert latest.read(root, "nightly").why == "the first of nightly"


@pytest.mark.parametrize(
    ("values", "tolerance", "won", "text"),
    [
        (shifted(0.05, 0.02), 0.0, True, "not worse than run run-a's beyond chance, nDCG@10 +0.0500 [+0.0"),
        (shifted(-0.005, 0.05), 0.0, True, "not worse than run run-a's beyond chance, nDCG@10 -0.0050 [-0.0"),
        (shifted(-0.05, 0.02), 0.0, False, "this run's is worse beyond chance, nDCG@10 -0.0500 [-0.05"),
        (shifted(-0.05, 0.02), 0.06, True, "on 44 dev queries, tolerance 0.06."),
        (shifted(-0.05, 0.02), 0.04, False, "on 44 dev queries, tolerance 0.04."),
        (shifted(-0.05), 0.04, False, "worse beyond chance"),  # by the same for every query: nothing varies
        (shifted(0.0), 0.0, True, "nDCG@10 +0.0000 [+0.0000, +0.0000]"),
    ],
    ids=["better", "worse by chance", "worse", "within the tolerance", "beyond it", "alike", "equal"],
)
def test_a_model_wins_unless_it_is_worse_beyond_tolerance_and_chance(root, values, tolerance, won, text):
    decide(root, measured(root, "a", VALUES), 0.0)
    verdict = decide(root, measured(root, "b", values), tolerance)
    assert (verdict.won, run_of(root)) == (won, "run-b" if won else "run-a")
    assert text in verdict.text
    assert verdict.text.startswith(f"model/latest is {'this run' if won else 'still run run-a'}'s model: ")


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"text": "who is {}"}, "other dev data, 0 of 44 queries in common; `polyloom latest RUN` chooses by hand"),
        ({"relevance": 2}, "other dev data, 0 of 44 queries in common"),
        ({"documents": 40}, "another corpus, fi 30 → 40 documents"),
    ],
)
def test_what_was_measured_on_other_data_does_not_win(root, other, text):
    decide(root, measured(root, "a", VALUES), 0.0)
    verdict = decide(root, measured(root, "b", shifted(0.1), **other), 0.0)
    assert (verdict.won, run_of(root)) == (False, "run-a")
    assert text in verdict.text


def test_new_queries_and_a_few_new_documents_are_compared_on_what_is_common(root):
    decide(root, measured(root, "a", VALUES), 0.0)
    more = {language: [*values, 0.0, 0.0] for language, values in shifted(0.05, 0.02).items()} | {"en": [0.0, 0.0]}
    verdict = decide(root, measured(root, "b", more, documents=32), 0.0)
    assert verdict.won
    assert "+0.0500" in verdict.text
    assert "on 44 dev queries" in verdict.text


def test_a_model_whose_measures_are_gone_stays(root):
    last = measured(root, "a", VALUES)
    decide(root, last, 0.0)
    care.remove(care.Waste(f"{root}/{last.metrics}", "gone", 0))
    verdict = decide(root, measured(root, "b", VALUES), 0.0)
    assert not verdict.won
    assert "what it was measured on is gone" in verdict.text
    assert run_of(root) == "run-a"


def test_each_name_has_a_model_whatever_its_letters(root):
    new = measured(root, "a", VALUES)
    for name in ("nightly", "../../ünï/ name"):
        decide(root, new.model_copy(update={"name": name}), 0.0)
    assert [one.name for one in latest.everyone(root)] == ["../../ünï/ name", "nightly"]
    assert len(backend.names(f"{root}/{latest.FOLDER}")) == 2
    assert {ref.partition for ref in care.folders(root)} == {"all", "fi", "sw"}


def test_a_pointer_that_cannot_be_read_is_an_error(root):
    backend.put_bytes(b"{}", latest.uri(root, "nightly"))
    with pytest.raises(StorageError, match=r"nightly\.json: expected what names a model"):
        decide(root, measured(root, "a", VALUES), 0.0)
