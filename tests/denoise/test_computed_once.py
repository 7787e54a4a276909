"""No pair is scored twice: what a memory holds is taken from it."""

import polars as pl

from tasks.denoise.computed_once import compute_once


class Notes(dict):
    """A memory in a dict."""

    add = dict.__setitem__


def pairs(*ids, text="text of"):
    rows = [(query_id, doc_id, f"{query_id}?", f"{text} {doc_id}") for query_id, doc_id in ids]
    return pl.DataFrame(
        rows, schema=dict.fromkeys(["query_id", "doc_id", "query", "document"], pl.String), orient="row"
    )


class Judge:
    def __init__(self):
        self.scored, self.calls = [], 0

    def __call__(self, rows):
        self.calls += 1
        self.scored += rows.select("query_id", "doc_id").rows()
        raw = pl.Series([len(text) + 0.125 for text in rows["document"]], dtype=pl.Float32)
        return rows.select("query_id", "doc_id", judge=pl.lit("j"), raw=raw)


SCHEMA = pl.Schema({"query_id": pl.String, "doc_id": pl.String, "judge": pl.String, "raw": pl.Float32})


def score(table, memory, judge, identity="i"):
    return compute_once(table, memory, identity=identity, schema=SCHEMA, compute=judge)


SOME = pairs(("q1", "a"), ("q1", "bb"), ("q2", "a"))
MORE = pairs(("q3", "a"), ("q2", "a"), ("q1", "ccc"), ("q1", "a"))


def test_scores_every_pair_once_sorted():
    rows = score(SOME.reverse(), Notes(), Judge())
    assert rows.rows() == [("q1", "a", "j", 9.125), ("q1", "bb", "j", 10.125), ("q2", "a", "j", 9.125)]
    assert rows.schema["raw"] == pl.Float32


def test_second_time_only_new_pairs_are_scored():
    memory, first, second = Notes(), Judge(), Judge()
    score(SOME, memory, first)
    assert score(MORE, memory, second).equals(score(MORE, Notes(), Judge()))
    assert second.scored == [("q1", "ccc"), ("q3", "a")]
    third = Judge()
    score(pl.concat([SOME, MORE]).unique(), memory, third)
    assert third.calls == 0


def test_other_judge_and_other_texts_are_scored_anew():
    memory = Notes()
    score(SOME, memory, Judge())
    other, changed = Judge(), Judge()
    score(SOME, memory, other, identity="another")
    score(pairs(("q1", "a"), text="another text of"), memory, changed)
    assert len(other.scored) == 3
    assert changed.scored == [("q1", "a")]


def test_no_pairs_give_no_rows_and_no_call():
    judge = Judge()
    rows = score(SOME.head(0), Notes(), judge)
    assert (rows.columns, rows.height, judge.calls) == (["query_id", "doc_id", "judge", "raw"], 0, 0)
