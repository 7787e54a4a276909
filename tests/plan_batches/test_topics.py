import numpy as np
import polars as pl
import pytest
from support.plan_data import qrels_frame, queries_frame

from storage.schemas import check
from tasks.plan_batches.topics import cluster_topics, first_positives, gather_vectors, label_topics


def test_first_positive_is_the_most_relevant_then_the_first_by_id():
    qrels = pl.concat(
        [
            qrels_frame({"q1": ["b", "a"], "q2": ["c"], "dev": ["d"]}),
            qrels_frame({"q2": ["x"]}, relevance=2),
            qrels_frame({"q1": ["0"], "q3": ["e"]}, relevance=0),
        ]
    )
    queries = queries_frame(["q1", "q2", "q3"])
    assert first_positives(queries, qrels).rows() == [("q1", "a"), ("q2", "x")]
    assert first_positives(queries.reverse(), qrels.reverse()).rows() == [("q1", "a"), ("q2", "x")]


def embedded(**vectors: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"id": list(vectors), "vector": np.array(list(vectors.values()), dtype=np.float16)})


POSITIVES = pl.DataFrame({"query_id": ["q1", "q2", "q3"], "doc_id": ["b", "a", "b"]})


def test_gathers_vectors_in_the_order_of_the_queries():
    parts = [embedded(x=[9, 9], b=[0, 1]), embedded(a=[1, 0])]
    assert gather_vectors(parts, POSITIVES, language="en").tolist() == [[0, 1], [1, 0], [0, 1]]


def test_gathers_nothing_for_a_language_without_queries():
    assert gather_vectors([embedded(a=[1, 0])], POSITIVES.clear(), language="en").shape == (0, 2)
    assert len(gather_vectors([], POSITIVES.clear(), language="en")) == 0


def test_rejects_a_positive_without_embedding():
    with pytest.raises(ValueError, match="embedding of every positive of 'en', got none of 1, the first 'a'"):
        gather_vectors([embedded(b=[0, 1])], POSITIVES, language="en")


VECTORS = {
    "en": np.array([[1, 0, 0], [0, 1, 0], [0.1, 1, 0], [0, 1, 0.2]], dtype=np.float16),
    "sw": np.array([[1, 0.1, 0], [0, 1, 0]], dtype=np.float16),
    "te": np.empty((0, 3), dtype=np.float16),
}
ROWS = {
    "en": pl.DataFrame({"query_id": ["1", "2", "3", "4"], "doc_id": ["a", "b", "b", "c"]}),
    "sw": pl.DataFrame({"query_id": ["1", "2"], "doc_id": ["s", "t"]}),
    "te": pl.DataFrame(schema={"query_id": pl.String, "doc_id": pl.String}),
}
CORPUS = pl.DataFrame(
    [
        ("en", "a", "Sport", "text"),
        ("en", "b", "Law", "text"),
        ("en", "c", "", "  The supreme court is the highest court of a country."),
        ("sw", "s", "Michezo", "text"),
        ("sw", "t", "Sheria", "text"),
    ],
    schema=["language", "doc_id", "title", "text"],
    orient="row",
)


def by_language(corpus: pl.DataFrame) -> dict[str, pl.LazyFrame]:
    parts = corpus.partition_by("language", as_dict=True)
    return {str(name): rows.select("doc_id", "title", "text").lazy() for (name,), rows in parts.items()}


def assigned() -> pl.DataFrame:
    return cluster_topics(ROWS, VECTORS, num_topics=2, seed=0)


def test_topics_are_numbered_by_size():
    frame = assigned()
    assert frame.select("language", "query_id", "topic").rows() == [
        ("en", "1", 1),
        ("en", "2", 0),
        ("en", "3", 0),
        ("en", "4", 0),
        ("sw", "1", 1),
        ("sw", "2", 0),
    ]
    assert frame["confidence"].is_between(0, 1).all()


def test_topics_do_not_depend_on_the_order_of_languages():
    turned = {name: VECTORS[name] for name in ("te", "sw", "en")}
    assert cluster_topics(ROWS, turned, num_topics=2, seed=0).equals(assigned())


def test_labels_are_titles_nearest_to_the_centre_english_first():
    frame = label_topics(assigned(), by_language(CORPUS))
    labels = dict(frame.select("topic", "label").unique().rows())
    assert labels[1] == "Sport · Michezo"
    assert set(labels[0].split(" · ")[:2]) == {"Law", "The supreme court is the highest court o"}
    assert labels[0].endswith(" · Sheria")
    assert check("topics", frame.to_arrow()).num_rows == 6


def test_label_holds_three_different_titles():
    many = pl.DataFrame(
        {
            "language": ["en"] * 6,
            "query_id": list("123456"),
            "doc_id": list("abcdef"),
            "topic": pl.Series([0] * 6, dtype=pl.Int32),
            "confidence": pl.Series([0.5] * 6, dtype=pl.Float32),
            "cosine": pl.Series([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], dtype=pl.Float32),
        }
    )
    corpus = many.select("language", "doc_id", title=pl.Series(["A", "A", "B", "A", "C", "D"]), text=pl.lit(""))
    assert label_topics(many, by_language(corpus))["label"].unique().to_list() == ["A · B · C"]
