"""From generated queries' candidates to new candidates of the given queries."""

import polars as pl

from tasks.supplement.short import collect_candidates, generated_queries

PAIR = {"query_id": pl.String, "doc_id": pl.String}
ASKED = pl.DataFrame({"query_id": ["q1~1", "q1~2", "q2~1"], "text": ["a?", "b?", "c?"], "parent": ["q1", "q1", "q2"]})
LEDGER = pl.DataFrame([("q1", "known"), ("q1", "positive-known")], schema=PAIR, orient="row")
QRELS = pl.DataFrame(
    [("q1", "positive", 1), ("q1", "positive-known", 1), ("q1", "judged", 0)],
    schema=PAIR | {"relevance": pl.Int32},
    orient="row",
)


def fused(*rows):
    columns = {"query_id": [], "doc_id": [], "rank": [], "score": [], "systems": []}
    for query_id, doc_id, rank in rows:
        entries = (query_id, doc_id, rank, 1.0 / rank, [{"system": "bm25", "rank": rank, "score": 1.0}])
        for name, value in zip(columns, entries, strict=True):
            columns[name].append(value)
    system = pl.Struct({"system": pl.String, "rank": pl.Int32, "score": pl.Float32})
    schema = PAIR | {"rank": pl.Int32, "score": pl.Float32, "systems": pl.List(system)}
    return pl.DataFrame(columns, schema=schema)


def collect(*rows):
    found = collect_candidates(fused(*rows), ASKED, LEDGER, QRELS)
    return found.select("query_id", "doc_id", "rank", "generated_id", "generated_text").rows()


def test_new_candidate_belongs_to_the_query_that_was_short():
    assert collect(("q2~1", "known", 3)) == [("q2", "known", 3, "q2~1", "c?")]


def test_candidate_that_the_query_has_already_is_left_out_but_a_positive_stays():
    rows = collect(("q1~1", "known", 1), ("q1~1", "positive", 2), ("q1~1", "positive-known", 3), ("q1~1", "judged", 4))
    assert [row[1] for row in rows] == ["positive", "positive-known", "judged"]


def test_document_found_twice_comes_once_with_its_best_rank():
    assert collect(("q1~1", "new", 2), ("q1~2", "new", 1)) == [("q1", "new", 1, "q1~2", "b?")]
    assert collect(("q1~2", "new", 1), ("q1~1", "new", 1)) == [("q1", "new", 1, "q1~1", "a?")]


def test_nothing_found_gives_no_rows_with_all_columns():
    found = collect_candidates(fused(), ASKED, LEDGER, QRELS)
    names = ["query_id", "doc_id", "rank", "score", "systems", "generated_id", "generated_text"]
    assert (found.height, found.columns) == (0, names)


def test_candidates_do_not_depend_on_the_order_of_rows():
    rows = [("q1~1", "b", 2), ("q1~2", "a", 2), ("q2~1", "a", 1), ("q1~2", "b", 2)]
    assert collect(*rows) == collect(*rows[::-1])


def test_good_generated_queries_become_train_queries_with_a_parent():
    generated = pl.DataFrame(
        {
            "query_id": ["q2~1", "q1~2", "q1~1"],
            "parent": ["q2", "q1", "q1"],
            "text": ["c?", "b?", None],
            "status": ["good", "good", "bad"],
        }
    )
    assert generated_queries(generated).rows() == [
        ("q1~2", "b?", "train", "generated", "q1"),
        ("q2~1", "c?", "train", "generated", "q2"),
    ]
