"""The oracle of the batch plan's tests finds what is broken."""

from collections.abc import Callable

import polars as pl
import pytest
from support.plan_data import Language, plain_language, queries_frame
from support.plan_oracle import Known, check_plan

# q1's candidate x is likely relevant to q2; q3 and q4 share nothing.
DATA = Language(
    "en",
    positives={"q1": ["a"], "q2": ["b", "bb"], "q3": ["c"], "q4": ["d"]},
    kept={query: [f"{query}-1", f"{query}-2"] for query in ("q1", "q2", "q3", "q4")},
    dropped={"q2": ["x"]},
    topic=dict.fromkeys(("q1", "q2", "q3", "q4"), 0),
)


def slot(step: int, number: int, query: str, positive: str, *negatives: str, language: str = "en") -> dict[str, object]:
    return {
        "epoch": 0,
        "step": step,
        "slot": number,
        "query_id": query,
        "positive": positive,
        "negatives": list(negatives),
        "language": language,
        "topic": 0,
        "weight": 1.0,
        "not_negatives": [],
    }


def good() -> list[dict[str, object]]:
    return [
        slot(0, 0, "q1", "a", "q1-1", "q1-2"),
        slot(0, 1, "q2", "b", "q2-1", "q2-2"),
        slot(1, 0, "q4", "d", "q4-1", "q4-2"),
        slot(1, 1, "q3", "c", "q3-1", "x"),
        slot(2, 0, "q3", "c", "q3-1", "q3-2"),
        slot(2, 1, "q2", "bb", "q2-1", "q2-2"),
    ]


def frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema_overrides={"step": pl.Int32, "slot": pl.Int32})


def promises() -> dict[str, object]:
    return {"known": {"en": DATA.known}, "batch_size": 2, "num_negatives": 2}


def test_passes_a_good_plan():
    check_plan(frame(good()), **promises())


def change(index: int, **values: object) -> Callable[[list[dict[str, object]]], None]:
    return lambda rows: rows[index].update(values)


BROKEN = {
    "short batch": (lambda rows: rows.pop(1), "2 slots in every step, got 1 in step 0"),
    "missing step": (lambda rows: rows.__delitem__(slice(2, 4)), "steps counted from 0 without a gap"),
    "slots out of order": (change(0, slot=1), "slots 0..1 in order"),
    "two languages": (change(1, language="sw"), "1 language in every step, got 2 in step 0"),
    "query twice in a batch": (change(1, query_id="q1"), "2 different queries in every step, got 1 in step 0"),
    "no positive": (change(0, positive="q1-1"), "positives that the qrels judge relevant .* 'q1-1' for query 'q1'"),
    "too few negatives": (change(0, negatives=["q1-1"]), "2 different negatives in every slot"),
    "negative twice": (change(0, negatives=["q1-1", "q1-1"]), "2 different negatives in every slot"),
    "own positive as negative": (change(0, negatives=["q1-1", "a"]), "'a' for query 'q1' in step 0, slot 0"),
    "other positive of the query": (change(5, negatives=["q2-1", "b"]), "'b' for query 'q2' in step 2, slot 1"),
    "likely relevant to another": (change(0, negatives=["q1-1", "x"]), "'x' for query 'q2' in step 0, slot 1"),
    "listed though safe": (
        change(0, not_negatives=["q2-1"]),
        r"only \[\] listed as no negatives, got '\['q2-1'\]' for query 'q1'",
    ),
    "another's positive": (change(0, negatives=["q1-1", "bb"]), "'bb' for query 'q2' in step 0, slot 1"),
    "seen again too early": (
        change(2, query_id="q1", positive="a"),
        "every query of 'en' seen 1 times by step 1, before any is seen again, got 'q1' seen for the 2. time there",
    ),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_finds_a_broken_promise(name):
    breaking, message = BROKEN[name]
    rows = good()
    breaking(rows)
    with pytest.raises(AssertionError, match=f"^batch plan: expected .*{message}"):
        check_plan(frame(rows), **promises())


def test_finds_two_queries_that_share_a_positive():
    # q2's text is q1's, so that a answers q2 as well.
    queries = queries_frame(["q1", "q2", "q3", "q4"], texts=["t", "t", "u", "v"])
    twins = promises() | {"known": {"en": Known(queries, DATA.qrels, DATA.ledger)}}
    with pytest.raises(AssertionError, match="'b' for query 'q1' in step 0, slot 0"):
        check_plan(frame(good()), **twins)


def test_passes_what_is_listed_and_finds_what_is_not():
    queries = queries_frame(["q1", "q2", "q3", "q4"], texts=["t", "t", "u", "v"])
    twins = promises() | {"known": {"en": Known(queries, DATA.qrels, DATA.ledger)}}
    rows = good()
    rows[0]["not_negatives"], rows[1]["not_negatives"] = ["b"], ["a"]
    check_plan(frame(rows), **twins)
    rows[1]["not_negatives"] = []
    with pytest.raises(AssertionError, match="'a' for query 'q2' in step 0, slot 1"):
        check_plan(frame(rows), **twins)


def test_finds_a_copy_of_a_positive():
    texts = {"a": "One  answer.", "q2-1": " one ANSWER.", "b": "another"}
    copies = promises() | {"known": {"en": Known(DATA.queries, DATA.qrels, DATA.ledger, texts)}}
    with pytest.raises(AssertionError, match="'q2-1' for query 'q1' in step 0, slot 0"):
        check_plan(frame(good()), **copies)


def test_finds_a_language_that_it_knows_nothing_of():
    rows = [row | {"language": "sw"} for row in good()]
    with pytest.raises(AssertionError, match=r"languages \['en'\], got 'sw'"):
        check_plan(frame(rows), **promises())


def test_finds_a_held_out_query():
    queries = DATA.queries.with_columns(split=pl.lit("validation"))
    held_out = promises() | {"known": {"en": Known(queries, DATA.qrels, DATA.ledger)}}
    with pytest.raises(AssertionError, match="relevant to a train query"):
        check_plan(frame(good()), **held_out)


def mixed(*languages: str) -> pl.DataFrame:
    """A plan of batches of two, each slot of a language of its own; queries come in order."""
    counts = dict.fromkeys(languages, 0)
    rows = []
    for number, name in enumerate(languages):
        query = f"{name}{counts[name] % 4:03}"
        counts[name] += 1
        rows.append(slot(number // 2, number % 2, query, f"{query}+", f"{query}-0", f"{query}-1", language=name))
    return frame(rows)


TWO = {name: plain_language(name, 4).known for name in ("en", "sw")}


def test_passes_mixed_batches_only_where_they_were_meant():
    settings = {"batch_size": 2, "num_negatives": 2}
    check_plan(mixed("en", "sw", "sw", "en"), TWO, same_language=False, **settings)
    with pytest.raises(AssertionError, match="1 language in every step, got 2 in step 0"):
        check_plan(mixed("en", "sw", "sw", "en"), TWO, **settings)


def test_finds_a_language_drawn_too_often():
    plan = mixed("en", "en", "en", "en", "sw", "sw", "sw", "en")
    with pytest.raises(AssertionError, match="'en' in 2.0 of 4 steps of epoch 0, got it in 4.0"):
        check_plan(mixed(*["en"] * 8), TWO, batch_size=2, num_negatives=2)
    check_plan(plan, TWO, batch_size=2, num_negatives=2, same_language=False)  # 5 of 8 slots: rounded up, 4 + 1
    by_size = {"en": plain_language("en", 12).known, "sw": plain_language("sw", 4).known}
    with pytest.raises(AssertionError, match="'en' in 6.0 of 8 slots"):
        check_plan(
            mixed(*["en", "sw"] * 4),
            by_size,
            batch_size=2,
            num_negatives=2,
            same_language=False,
            language_temperature=1.0,
        )
