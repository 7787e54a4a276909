import polars as pl

from tasks.train.texts import count_steps, select_texts, wanted_documents, wanted_queries

PLAN = pl.LazyFrame(
    {
        "epoch": [0, 0, 1],
        "step": [0, 0, 1],
        "query_id": ["q1", "q2", "q1"],
        "positive": ["a", "b", "a"],
        "negatives": [["c", "b"], [], ["d"]],
        "language": ["fi", "fi", "sw"],
    },
    schema_overrides={"negatives": pl.List(pl.String)},
)
CORPUS = pl.DataFrame({"doc_id": ["a", "b", "c"], "title": ["T", "", " "], "text": ["x", "y", "z"]})


def test_wants_each_query_and_document_once_per_language():
    assert wanted_queries(PLAN) == {("fi", "q1"), ("fi", "q2"), ("sw", "q1")}
    assert wanted_documents(PLAN) == {("fi", "a"), ("fi", "b"), ("fi", "c"), ("sw", "a"), ("sw", "d")}


def test_counts_steps_not_slots():
    assert count_steps(PLAN) == 2
    assert count_steps(PLAN.head(0)) == 0


def test_selects_wanted_texts_of_the_language_in_the_order_of_the_parts():
    parts = [CORPUS[2:], CORPUS[:2]]
    found = select_texts(
        parts, {("fi", "a"), ("fi", "c"), ("sw", "b")}, language="fi", id_column="doc_id", text=pl.col("text")
    )
    assert list(found) == [(("fi", "c"), "z"), (("fi", "a"), "x")]
