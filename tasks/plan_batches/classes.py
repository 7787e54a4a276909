"""Merge the classes of fastText's DBpedia and Yahoo classifiers into the method's twelve topics (docs/method.md)."""

import re
from collections.abc import Mapping, Sequence

import polars as pl

# Topic: classes of DBpedia, classes of Yahoo Answers, by their numbers in the classes.txt of the two data sets. Which
# class joins which topic is our choice.
TOPICS = {
    "Books & Literature": ((14,), ()),  # written work
    "Science & Mathematics": ((), (2,)),
    "Life & Health": ((10, 11), (3,)),  # animal, plant; health
    "Jobs & Education": ((2,), (4,)),  # educational institution; education & reference
    "Computers & Internet": ((), (5,)),
    "Sports": ((4,), (6,)),  # athlete
    "Business & Finance": ((1,), (7,)),  # company
    "Politics & Government": ((5,), (10,)),  # office holder
    "Traffic & Transportation": ((6,), ()),  # means of transportation
    "Arts & Entertainment": ((3, 12, 13), (8,)),  # artist, album, film; entertainment & music
    "Geography": ((7, 8, 9), ()),  # building, natural place, village
    "Others": ((), (1, 9)),  # society & culture, family & relationships
}
NAMES = tuple(TOPICS)
DBPEDIA, YAHOO = (
    {f"__label__{number}": place for place, numbers in enumerate(TOPICS.values()) for number in numbers[model]}
    for model in (0, 1)
)


def fasttext_line(text: str) -> str:
    """Write a text as the two models were trained: one line, lower case, punctuation set apart."""
    return " ".join(re.sub(r"([^\w\s])", r" \1 ", text.lower()).split())


def merge_classes(dbpedia: Mapping[str, float], yahoo: Mapping[str, float]) -> tuple[int, float]:
    """Choose the topic that both classifiers together find most probable.

    A topic's probability is the mean of what the two give to its classes; among equals the first of `TOPICS` wins.

    Args:
        dbpedia: probability of each label, `__label__1` .. `__label__14`.
        yahoo: probability of each label, `__label__1` .. `__label__10`.

    Returns:
        The topic's number in `TOPICS` and its probability, 0..1.

    Raises:
        ValueError: a label that the data set does not have.
    """
    probability = [0.0] * len(TOPICS)
    for name, topics, labels in (("DBpedia", DBPEDIA, dbpedia), ("Yahoo", YAHOO, yahoo)):
        for label, share in labels.items():
            if label not in topics:
                raise ValueError(
                    f"topics: expected the labels __label__1 .. __label__{len(topics)} from the {name} classifier, got "
                    f"'{label}'. Put fastText's own dbpedia.bin and yahoo_answers.bin into the folder."
                )
            probability[topics[label]] += share / 2
    best = max(probability)
    return probability.index(best), min(best, 1.0)


def class_topics(
    queries: pl.DataFrame, dbpedia: Sequence[Mapping[str, float]], yahoo: Sequence[Mapping[str, float]]
) -> pl.DataFrame:
    """Give each query the topic of its classified document.

    Args:
        queries: language, query_id.
        dbpedia: the DBpedia classifier's probabilities for the document of each row.
        yahoo: the Yahoo classifier's.

    Returns:
        language, query_id, topic, label, confidence: the topics dataset, sorted.
    """
    merged = [merge_classes(one, other) for one, other in zip(dbpedia, yahoo, strict=True)]
    return queries.select(
        "language",
        "query_id",
        topic=pl.Series([topic for topic, _ in merged], dtype=pl.Int32),
        label=pl.Series([NAMES[topic] for topic, _ in merged], dtype=pl.String),
        confidence=pl.Series([confidence for _, confidence in merged], dtype=pl.Float32),
    ).sort("language", "query_id")
