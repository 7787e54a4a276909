"""How far probabilities can be trusted: what curves promise against what people judged."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.denoise.calibrate import Curve, probability

_SCHEMA = {
    "language": pl.String,
    "raw_low": pl.Float32,
    "raw_high": pl.Float32,
    "num_positive": pl.Int32,
    "num_negative": pl.Int32,
    "observed": pl.Float32,
    "probability": pl.Float32,
    "uncalibrated": pl.Float32,
    "error": pl.Float32,
    "uncalibrated_error": pl.Float32,
}


def reliability_table(judged: pl.DataFrame, curves: dict[str, Curve], *, prior: float, num_bins: int) -> pl.DataFrame:
    """Compare the curves with what people judged, in bins of equal numbers of judged pairs.

    The curves have two parameters each and were fitted on these pairs or on more of them.

    Args:
        judged: language, raw, relevance: every judged pair that has a score.
        curves: language -> Curve.
        prior: share of relevant pairs that the curves assume; observed shares are weighed with it too, or they would
            not compare.
        num_bins: per language, at most.

    Returns:
        language, raw_low, raw_high, num_positive, num_negative, observed (share of relevant pairs; null where the
        language lacks a class), probability (the curve's mean over the bin's pairs), uncalibrated (the same of the raw
        score read as a logit), error and uncalibrated_error (expected calibration error of the language with and
        without its curve: the mean distance of promised and observed share, bins weighed like pairs; the same in each
        of its rows, null like observed), sorted by language and raw_low.
    """
    parts = [
        _of_language(judged.filter(pl.col("language") == language), language, curve, prior, num_bins)
        for language, curve in sorted(curves.items())
    ]
    return pl.concat([pl.DataFrame(schema=_SCHEMA), *parts])


def _of_language(rows: pl.DataFrame, language: str, curve: Curve, prior: float, num_bins: int) -> pl.DataFrame:
    rows = rows.sort("raw")
    raw_N = rows["raw"].cast(pl.Float64).to_numpy()
    relevant_N = (rows["relevance"] > 0).to_numpy()
    weight_N = _weights(relevant_N, prior)
    promised = {
        "probability": probability(raw_N, slope=curve.slope, intercept=curve.intercept),
        "uncalibrated": probability(raw_N, slope=1.0, intercept=0.0),
    }
    table, errors = [], dict.fromkeys(promised, 0.0)
    for part in np.array_split(np.arange(len(raw_N)), num_bins):
        if not len(part):
            continue
        means = {name: float(values[part].mean()) for name, values in promised.items()}
        observed = None
        if weight_N is not None:
            mass = float(weight_N[part].sum())
            observed = float(weight_N[part][relevant_N[part]].sum()) / mass
            for name, values in promised.items():
                errors[name] += mass * abs(float(np.average(values[part], weights=weight_N[part])) - observed)
        positive = int(relevant_N[part].sum())
        table.append(
            (language, raw_N[part[0]], raw_N[part[-1]], positive, len(part) - positive, observed, *means.values())
        )
    total = [None, None] if weight_N is None else list(errors.values())
    return pl.DataFrame([(*row, *total) for row in table], schema=_SCHEMA, orient="row")


def _weights(relevant_N: NDArray[np.bool_], prior: float) -> NDArray[np.float64] | None:
    """Each pair's share of the whole, so that relevant ones have `prior` of it; None where a class is empty."""
    num_positive, num_negative = int(relevant_N.sum()), int((~relevant_N).sum())
    if not num_positive or not num_negative:
        return None
    return np.where(relevant_N, prior / num_positive, (1.0 - prior) / num_negative)
