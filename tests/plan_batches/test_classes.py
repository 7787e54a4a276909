import polars as pl
import pytest

from storage.schemas import check
from tasks.plan_batches.classes import DBPEDIA, NAMES, YAHOO, class_topics, fasttext_line, merge_classes


def test_every_class_of_both_models_joins_one_of_the_topics():
    assert sorted(DBPEDIA) == sorted(f"__label__{number}" for number in range(1, 15))
    assert sorted(YAHOO) == sorted(f"__label__{number}" for number in range(1, 11))
    assert {*DBPEDIA.values(), *YAHOO.values()} == set(range(12))
    assert len(NAMES) == 12


@pytest.mark.parametrize(
    ("dbpedia", "yahoo", "topic", "confidence"),
    [
        ({"4": 1.0}, {"6": 1.0}, "Sports", 1.0),
        ({"14": 0.9, "12": 0.1}, {"4": 0.6, "8": 0.4}, "Books & Literature", 0.45),
        ({"12": 0.4, "13": 0.3, "4": 0.3}, {"6": 0.3, "8": 0.3, "1": 0.4}, "Arts & Entertainment", 0.5),
        ({"1": 0.5, "5": 0.5}, {"7": 0.1, "10": 0.9}, "Politics & Government", 0.7),
    ],
)
def test_merges_the_probabilities_of_a_topics_classes(dbpedia, yahoo, topic, confidence):
    number, probability = merge_classes(
        {f"__label__{label}": share for label, share in dbpedia.items()},
        {f"__label__{label}": share for label, share in yahoo.items()},
    )
    assert (NAMES[number], probability) == (topic, pytest.approx(confidence))


def test_first_topic_wins_a_tie():
    assert merge_classes({"__label__4": 1.0}, {"__label__2": 1.0})[0] == NAMES.index("Science & Mathematics")


def test_probability_never_exceeds_one():
    assert merge_classes({"__label__4": 1.00001}, {"__label__6": 1.00002}) == (NAMES.index("Sports"), 1.0)


def test_rejects_a_label_of_another_model():
    with pytest.raises(ValueError, match=r"__label__1 \.\. __label__10 from the Yahoo classifier, got '__label__en'"):
        merge_classes({}, {"__label__en": 1.0})


def test_fasttext_line_is_one_lower_case_line():
    assert fasttext_line("Who, me?\nYes: YOU.") == "who , me ? yes : you ."


def test_class_topics_makes_the_topics_dataset():
    queries = pl.DataFrame({"language": ["sw", "en"], "query_id": ["2", "1"]})
    frame = class_topics(
        queries, [{"__label__4": 1.0}, {"__label__14": 0.8}], [{"__label__6": 1.0}, {"__label__1": 0.1}]
    )
    assert frame.rows() == [
        ("en", "1", 0, "Books & Literature", pytest.approx(0.4)),
        ("sw", "2", 5, "Sports", 1.0),
    ]
    assert check("topics", frame.to_arrow()).num_rows == 2
