"""Merge the classes of fastText's DBpedia and Yahoo classifiers into METHOD.md's twelve topics."""

import re
from collections.abc import Mapping, Sequence

import polars as pl

TOPICS = (
    "Books & Literature",
    "Science & Mathematics",
    "Life & Health",
    "Jobs & Education",
    "Computers & Internet",
    "Sports",
    "Business & Finance",
    "Politics & Government",
    "Traffic & Transportation",
    "Arts & Entertainment",
    "Geography",
    "Others",
)

# By label number, as the classes.txt of the two data sets list them; which class joins which topic is our choice.
DBPEDIA = {
    "1": "Business & Finance",  # Company
    "2": "Jobs & Education",  # EducationalInstitution
    "3": "Arts & Entertainment",  # Artist
    "4": "Sports",  # Athlete
    "5": "Politics & Government",  # OfficeHolder
    "6": "Traffic & Transportation",  # MeanOfTransportation
    "7": "Geography",  # Building
    "8": "Geography",  # NaturalPlace
    "9": "Geography",  # Village
    "10": "Life & Health",  # Animal
    "11": "Life & Health",  # Plant
    "12": "Arts & Entertainment",  # Album
    "13": "Arts & Entertainment",  # Film
    "14": "Books & Literature",  # WrittenWork
}
YAHOO = {
    "1": "Others",  # Society & Culture
    "2": "Science & Mathematics",
    "3": "Life & Health",  # Health
    "4": "Jobs & Education",  # Education & Reference
    "5": "Computers & Internet",
    "6": "Sports",
    "7": "Business & Finance",
    "8": "Arts & Entertainment",  # Entertainment & Music
    "9": "Others",  # Family & Relationships
    "10": "Politics & Government",
}

_PREFIX = "__label__"


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
    probability = dict.fromkeys(TOPICS, 0.0)
    for name, table, labels in (("DBpedia", DBPEDIA, dbpedia), ("Yahoo", YAHOO, yahoo)):
        for label, share in labels.items():
            topic = table.get(label.removeprefix(_PREFIX))
            if topic is None:
                raise ValueError(
                    f"topics: expected the labels {_PREFIX}1 .. {_PREFIX}{len(table)} from the {name} classifier, got "
                    f"'{label}'. Set plan_batches.topics to fastText's own dbpedia.bin and yahoo_answers.bin."
                )
            probability[topic] += share / 2
    best = max(TOPICS, key=lambda topic: probability[topic])
    return TOPICS.index(best), min(probability[best], 1.0)


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
        label=pl.Series([TOPICS[topic] for topic, _ in merged], dtype=pl.String),
        confidence=pl.Series([confidence for _, confidence in merged], dtype=pl.Float32),
    ).sort("language", "query_id")
