"""Answers of every kind: what is read out of them, and why some are of no use."""

import pytest

from tasks.supplement.replies import BadReply, parse_query, parse_summary


def summary(reply, language="en", source="Turku is the oldest city of Finland."):
    return parse_summary(reply, language=language, source=source)


def query(reply, language="en", original="Where is Turku?", earlier=()):
    return parse_query(reply, language=language, original=original, earlier=earlier)


def test_summary_is_put_on_one_line():
    assert summary("  Turku is a city.\n\nIt is old.\n") == "Turku is a city. It is old."


@pytest.mark.parametrize(
    ("language", "reply", "source"),
    [
        ("fi", "Turussa on vanha linna.", "Turun linna rakennettiin 1280-luvulla."),  # Turussa, Turun: one city
        ("sw", "Turku ni mji wa zamani.", "Mji wa Turku ulianzishwa zamani sana."),
        ("ja", "トゥルクは古い都市です。", "トゥルクはフィンランドで最も古い都市である。"),
        ("zh", "图尔库是一座古老的城市。", "图尔库是芬兰最古老的城市。"),
        ("th", "ตุรกุเป็นเมืองเก่า", "ตุรกุเป็นเมืองที่เก่าแก่ที่สุดในฟินแลนด์"),
    ],
)
def test_summary_is_grounded_in_any_language(language, reply, source):
    assert summary(reply, language=language, source=source) == reply


@pytest.mark.parametrize(
    ("language", "reply"),
    [("fi", "Valitettavasti en voi auttaa tässä asiassa."), ("zh", "抱歉，我无法协助完成这个请求。")],
)
def test_refusal_in_the_right_language_is_no_summary(language, reply):
    sources = {"fi": "Turun linna rakennettiin 1280-luvulla.", "zh": "图尔库是芬兰最古老的城市。"}
    with pytest.raises(BadReply, match="^summary_ungrounded$"):
        summary(reply, language=language, source=sources[language])


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
        ("Turku " * 201, "summary_too_long"),
        ("Турку — город.", "summary_wrong_language"),
        ("Turku on kaupunki, joka on vanha.", "summary_wrong_language"),
        ("I'm sorry, but I cannot summarise this.", "summary_ungrounded"),
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
        ("Which city " * 19, "query_too_long"),
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
