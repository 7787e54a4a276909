"""Answers of every kind: what is read out of them, and why some are of no use."""

import pytest

from tasks.supplement.replies import BadReply, parse_query, parse_summary


def summary(reply, language="en", most=100):
    return parse_summary(reply, language=language, max_characters=most)


def query(reply, language="en", most=60, original="Where is Turku?", earlier=()):
    return parse_query(reply, language=language, original=original, earlier=earlier, max_characters=most)


def test_summary_is_put_on_one_line():
    assert summary("  Turku is a city.\n\nIt is old.\n") == "Turku is a city. It is old."


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ("Which city is the oldest of Finland?\n", "Which city is the oldest of Finland?"),
        ('"Which city is old?"', "Which city is old?"),
        ("«Which city is old?»", "Which city is old?"),
        ("<think>It is\nTurku.</think>\n\nWhich city is old?", "Which city is old?"),
        ('"Old" or "new" Turku', '"Old" or "new" Turku'),
        ("Which  city\tis old?", "Which city is old?"),
    ],
)
def test_query_is_read_without_quotes_and_thoughts(reply, read):
    assert query(reply) == read


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "summary_empty"),
        (" \n… ", "summary_empty"),
        ("<think>Turku is", "unparsed"),
        ("<think>Turku is</think> ", "unparsed"),
        ("Turku " * 40, "summary_too_long"),
        ("Турку — город.", "summary_wrong_language"),
        ("Turku on kaupunki, joka on vanha.", "summary_wrong_language"),
    ],
)
def test_bad_summary_has_its_reason(reply, reason):
    with pytest.raises(BadReply, match=f"^{reason}$"):
        summary(reply)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "query_empty"),
        ('""', "query_empty"),
        ("<think>Hm", "unparsed"),
        ("Here is the question:\nWhich city is old?", "query_not_one_line"),
        ("Which city " * 10, "query_too_long"),
        ("Который город старый?", "query_wrong_language"),
        ("Mikä kaupunki on vanhin?", "query_wrong_language"),
        ("where is  TURKU", "query_equals_original"),
        ("Which city is old", "query_repeated"),
    ],
)
def test_bad_query_has_its_reason(reply, reason):
    with pytest.raises(BadReply, match=f"^{reason}$"):
        query(reply, earlier=["Which city is old?"])


def test_query_of_other_marks_is_another_query():
    assert query("कि", language="hi", original="की") == "कि"  # vowel signs are no letters, yet they count
