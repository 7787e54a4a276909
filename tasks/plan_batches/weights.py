"""Sample weights: how much a language and a topic count in the loss."""

import numpy as np
import polars as pl

MAX_PART = 5.0  # a topic of a handful of queries must not rule every batch that it is in


def sample_weights(
    num_queries: pl.DataFrame, *, alpha: float, beta: float, language_temperature: float
) -> pl.DataFrame:
    """Weigh each (language, topic): ω = α(language) + β(topic), with mean 1 over the plan.

    The parts are share^(alpha - 1) of the language and share^(beta - 1) of the topic, where a share is of the train
    queries, each scaled to mean 1/2 over the plan's slots. So a sample counts alike wherever it comes from at exponent
    1, and the smaller the language (the rarer the topic) and the exponent, the more it counts: on top of being drawn
    as often as others. A part counts at most `MAX_PART` times its mean.

    Args:
        num_queries: language, topic, num_queries: train queries per pair.
        alpha: exponent of a language's share, 0..1.
        beta: exponent of a topic's share, 0..1.
        language_temperature: exponent by which the plan draws languages, 0..1.

    Returns:
        language, topic, share (of the train queries), drawn (expected share of the slots), weight (float64); sorted.
        The mean of weight over the slots is 1, but for a last pass over a language that ends half-way.

    Raises:
        ValueError: a pair has no query.

    Source: docs/method.md (stage 3) and table 9 of the paper, which gives α = 0.45, β = 0.40 and "smaller α favours
        low-resource languages" but no formula: this one is ours, docs/decisions/0020-weights.md says why.
    """
    if num_queries.filter(pl.col("num_queries") < 1).height:
        raise ValueError(
            "sample_weights: expected at least one query per language and topic, got "
            f"{num_queries['num_queries'].min()!r}. Leave empty pairs out."
        )
    total = pl.col("num_queries").sum()
    in_language = total.over("language")
    pulled = (in_language / total) ** language_temperature
    pairs = (
        num_queries.sort("language", "topic")
        .with_columns(
            share=pl.col("num_queries") / total,
            drawn=pulled * pl.col("num_queries") / in_language,
        )
        .with_columns(drawn=pl.col("drawn") / pl.col("drawn").sum())
    )
    language, topic = _part(pairs, "language", alpha), _part(pairs, "topic", beta)
    return (
        pairs.join(language, on="language")
        .join(topic, on="topic")
        .with_columns(weight=(pl.col("language_part") + pl.col("topic_part")) / 2)
        .select("language", "topic", "share", "drawn", "weight")
        .sort("language", "topic")
    )


def _part(pairs: pl.DataFrame, by: str, exponent: float) -> pl.DataFrame:
    """Weigh the values of one column: share^(exponent - 1), cut at MAX_PART, mean 1 over the slots."""
    shares = pairs.group_by(by, maintain_order=True).agg(pl.col("share").sum(), pl.col("drawn").sum()).sort(by)
    part = _cut(shares["share"].to_numpy() ** (exponent - 1.0), shares["drawn"].to_numpy())
    return shares.select(by, pl.Series(f"{by}_part", part))


def _cut(part: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Cut parts at MAX_PART and scale the others up, so that the mean over the slots stays 1."""
    cut = np.zeros(part.size, dtype=bool)
    while True:
        scaled = part * (1 - MAX_PART * drawn[cut].sum()) / (part * drawn)[~cut].sum()
        over = ~cut & (scaled > MAX_PART)
        if not over.any():
            return np.where(cut, MAX_PART, scaled)
        cut |= over
