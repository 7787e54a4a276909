"""Which queries belong together."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.groups import group_queries, parallel_id, say_split


def queries(*rows):
    return pl.DataFrame(rows, schema=dict.fromkeys(["language", "query_id", "text"], pl.String), orient="row")


def qrels(*rows):
    schema = {"language": pl.String, "query_id": pl.String, "doc_id": pl.String, "relevance": pl.Int32}
    return pl.DataFrame([(*row, 1) if len(row) == 3 else row for row in rows], schema=schema, orient="row")


def sets(groups):
    """The groups as sets of language:query_id."""
    named = groups.with_columns(name=pl.format("{}:{}", "language", "query_id"))
    return {frozenset(names) for names in named.group_by("group").agg("name")["name"]}


def test_shared_documents_texts_and_ids_connect_also_by_way_of_others():
    found = group_queries(
        queries(
            ("ar", "a1", "one"),
            ("ar", "a2", "two"),
            ("ar", "a3", " Two  "),
            ("hi", "h9", "three"),
            ("hi", "q-hi-4", "four"),
            ("ar", "q-ar-4", "five"),
            ("ar", "a6", "six"),
        ),
        qrels(("ar", "a1", "p1"), ("hi", "h9", "p1"), ("ar", "a2", "p1"), ("ar", "a6", "p1", 0), ("fi", "f", "p1")),
    )
    assert sets(found) == {
        frozenset({"ar:a1", "ar:a2", "ar:a3", "hi:h9"}),
        frozenset({"ar:q-ar-4", "hi:q-hi-4"}),
        frozenset({"ar:a6"}),
    }
    assert say_split(found) == []


def test_documents_that_differ_by_language_alone_are_one():
    found = group_queries(
        queries(("sw", "1", "a"), ("fi", "2", "b")), qrels(("sw", "1", "sw-p1"), ("fi", "2", "fi-p1"))
    )
    assert len(sets(found)) == 1


def test_a_groups_name_is_the_same_in_another_language():
    def group(language, ids):
        rows = [(language, one, f"{language} {one}") for one in ids]
        return set(group_queries(queries(*rows), qrels(*((language, one, "p7") for one in ids)))["group"])

    assert group("ar", ["x1", "x2", "x3"]) == group("hi", ["x9"]) == {"d p7"}


def chain(number):
    """Queries each of which shares a document with the next: 0 has d0 and d1, 1 has d1 and d2, …"""
    rows = [("sw", f"q{n:03}", f"text {n}") for n in range(number)]
    return queries(*rows), qrels(*(("sw", f"q{n:03}", f"d{n + m:03}") for n in range(number) for m in (0, 1)))


def test_group_that_swallows_a_language_is_split_by_document_and_said():
    found = group_queries(*chain(50))
    assert len(sets(found)) == 50
    assert say_split(found) == [
        "sw: 50 of 50 train queries hang together by documents, texts or ids; split by document"
    ]


def test_same_text_and_same_first_document_stay_together_where_a_group_is_split():
    asked, judged = chain(50)
    asked = asked.with_columns(
        text=pl.when(pl.col("query_id").is_in(["q003", "q030"])).then(pl.lit("twin")).otherwise("text")
    )
    judged = pl.concat([judged, qrels(("sw", "q007", "d000"))])
    parts = sets(group_queries(asked, judged))
    assert {frozenset({"sw:q003", "sw:q030"}), frozenset({"sw:q000", "sw:q007"})} <= parts
    assert len(parts) == 48


def test_few_queries_are_never_too_many():
    found = group_queries(*chain(10))
    assert len(sets(found)) == 1
    assert not found["by_document"].any()


def test_nothing_has_no_groups():
    assert group_queries(queries(), qrels()).is_empty()


@pytest.mark.parametrize(
    ("given_id", "language", "expected"),
    [
        ("atlas-sw-q0012", "sw", "atlas--q0012"),
        ("atlas-pt-BR-q0012", "pt-BR", "atlas--q0012"),
        ("yue#3", "yue", "#3"),
        ("yue#3", "sw", "yue#3"),
        ("swahili-1", "sw", "swahili-1"),
        ("tydi-000507", "sw", "tydi-000507"),
        ("abc#de#1", "sw", "abc##1"),
    ],
)
def test_parallel_id_leaves_the_language_out(given_id, language, expected):
    assert parallel_id(given_id, language) == expected


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), max_size=25), st.randoms())
def test_groups_are_the_connected_parts_in_whatever_order(pairs, random):
    asked = queries(*((["ar", "hi"][n % 2], f"q{n}", f"t{n // 4}") for n in range(10)))
    judged = qrels(*((["ar", "hi"][n % 2], f"q{n}", f"d{d}") for n, d in dict.fromkeys(pairs)))
    parts = [{n, *range(n // 4 * 4, min(n // 4 * 4 + 4, 10))} for n in range(10)]
    parts += [{n for n, other in pairs if other == d} for d in range(7)]
    merged: list[set[int]] = []
    for part in filter(None, parts):
        touching = [one for one in merged if one & part]
        merged = [one for one in merged if not one & part] + [part.union(*touching)]
    expected = {frozenset(f"{['ar', 'hi'][n % 2]}:q{n}" for n in part) for part in merged}
    found = group_queries(asked, judged)
    assert sets(found) == expected
    seed = random.randrange(1000)
    shuffled = [frame.sample(fraction=1.0, shuffle=True, seed=seed) for frame in (asked, judged)]
    assert group_queries(*shuffled).equals(found)
