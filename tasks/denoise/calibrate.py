"""Raw scores -> probabilities: Platt's logistic curve per language, fitted on judged pairs.

What a probability means. The share of positives among judged pairs says how people judged, not how many of a query's
candidates answer it (one language of MIRACL has 18 judged negatives for 3,000 positives). So both classes are weighed
to a stated share `prior` of relevant ones: the probability is P(relevant | raw score) for a pair out of a pool in
which that share is relevant, the same in every language.

Where the negatives come from. A language with too few judged pairs of a class takes the pairs of all languages; where
those too have too few judged negatives, presumed negatives (unjudged candidates of middling rank) stand in for them.
"""

from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.denoise.logistic import fit_logistic, sigmoid

_RIDGE = 1e-3  # on the standardised slope: keeps it finite where the classes part completely
JUDGED, POOLED, PRESUMED = "judged", "pooled", "presumed"


@dataclass(frozen=True)
class Curve:
    """Probability = 1 / (1 + exp(-(slope * raw + intercept))), and the pairs that it was fitted on."""

    slope: float
    intercept: float
    fitted_on: str
    num_positive: int
    num_negative: int

    def to_dict(self) -> dict[str, float | int | str]:
        """As JSON takes it."""
        return asdict(self)


def fit_curve(raw_N: NDArray[np.float64], is_relevant_N: NDArray[np.bool_], *, prior: float) -> tuple[float, float]:
    """Fit a rising logistic curve by Newton's method.

    Args:
        raw_N: scores of pairs, any scale.
        is_relevant_N: which of them are relevant; at least one of each kind.
        prior: share of relevant pairs that the curve is to assume, 0..1, exclusive.

    Returns:
        slope (0 or more: a higher score never means a lower probability) and intercept.

    Raises:
        ValueError: a class is empty, or `prior` is not between 0 and 1.

    Source: Platt 1999, targets smoothed as there (Lin, Lin, Weng 2007); class weights are ours.
    """
    num_positive, num_negative = int(is_relevant_N.sum()), int((~is_relevant_N).sum())
    if not num_positive or not num_negative:
        raise ValueError(
            f"calibration: expected relevant and non-relevant pairs, got {num_positive} and {num_negative}. "
            "Judge more pairs, or lower denoise.presumed_ranks."
        )
    if not 0.0 < prior < 1.0:
        raise ValueError(f"denoise.prior: expected a share between 0 and 1, got {prior}. Correct it.")
    high, low = (num_positive + 1) / (num_positive + 2), 1 / (num_negative + 2)
    target_N = np.where(is_relevant_N, high, low)
    # weights sum to N, so that the ridge weighs little where there is much data
    weight_N = len(raw_N) * np.where(is_relevant_N, prior / num_positive, (1.0 - prior) / num_negative)
    centre, scale = float(raw_N.mean()), float(raw_N.std()) or 1.0
    design_N2 = np.stack([(raw_N - centre) / scale, np.ones_like(raw_N)], axis=1)
    slope, intercept = fit_logistic(design_N2, target_N, weight_N, np.array([_RIDGE, 0.0])).tolist()
    if slope < 0.0:
        share = float((weight_N * target_N).sum() / weight_N.sum())
        return 0.0, float(np.log(share / (1.0 - share)))
    return slope / scale, intercept - slope * centre / scale


def probability(raw: NDArray[np.float64], *, slope: float, intercept: float) -> NDArray[np.float64]:
    """Read the curve at some scores."""
    return sigmoid(slope * raw + intercept)


def fit_curves(
    judged: pl.DataFrame, presumed: pl.DataFrame, *, prior: float, min_positive: int, min_negative: int
) -> dict[str, Curve]:
    """Fit each language's curve.

    Args:
        judged: language, raw, relevance: every judged pair that has a score.
        presumed: language, raw: unjudged candidates that stand in for negatives where even all languages together
            have fewer than `min_negative`.
        prior: see the module.
        min_positive: a language with fewer judged relevant pairs takes those of all languages.
        min_negative: the same for judged non-relevant pairs.

    Returns:
        Language -> Curve, for every language of `judged` or `presumed`, in alphabetical order.

    Raises:
        ValueError: no relevant pair in any language, or no negative of any kind.
    """
    languages = sorted(set(judged["language"]) | set(presumed["language"]))
    labelled = judged.select("language", "raw", is_relevant=pl.col("relevance") > 0)
    pooled, pooled_name = labelled, POOLED
    if (~labelled["is_relevant"]).sum() < min_negative:
        extra = presumed.select("language", "raw", is_relevant=pl.lit(False))
        pooled, pooled_name = pl.concat([labelled, extra]), PRESUMED
    curves = {}
    for language in languages:
        pairs, name = labelled.filter(pl.col("language") == language), JUDGED
        num_positive = int(pairs["is_relevant"].sum())
        if num_positive < min_positive or len(pairs) - num_positive < min_negative:
            pairs, name = pooled, pooled_name
        raw, relevant = pairs["raw"].cast(pl.Float64).to_numpy(), pairs["is_relevant"].to_numpy()
        slope, intercept = fit_curve(raw, relevant, prior=prior)
        curves[language] = Curve(slope, intercept, name, int(relevant.sum()), int((~relevant).sum()))
    return curves


def comparable_pairs(judged: pl.DataFrame, *, min_positive: int) -> pl.DataFrame:
    """Keep the judged pairs that were scored as candidates are: with another relevant document as the reference.

    The relevant document of a query that has no other is judged without one, and a score without a reference compares
    less well. Where all languages together have fewer than `min_positive` relevant pairs with a reference, all stay.

    Args:
        judged: relevance, without_reference, and others.
        min_positive: as for `fit_curves`.

    Returns:
        Some or all rows, in the given order.
    """
    kept = judged.filter(~pl.col("without_reference"))
    return kept if (kept["relevance"] > 0).sum() >= min_positive else judged


def apply_curve(raw_scores: pl.DataFrame, curve: Curve, *, grade_cuts: tuple[float, float]) -> pl.DataFrame:
    """Add probability and grade to raw scores.

    Args:
        raw_scores: query_id, doc_id, judge, raw and others.
        curve: of the language.
        grade_cuts: grade 1 begins at the first probability, grade 2 at the second.

    Returns:
        query_id, doc_id, judge, raw, probability (float32), grade (0 irrelevant, 1 partly, 2 highly relevant; int32),
        in the given order.
    """
    values = probability(raw_scores["raw"].cast(pl.Float64).to_numpy(), slope=curve.slope, intercept=curve.intercept)
    column = pl.Series("probability", values.astype(np.float32))
    partly, highly = grade_cuts
    grade = (column >= partly).cast(pl.Int32) + (column >= highly).cast(pl.Int32)
    return raw_scores.select("query_id", "doc_id", "judge", "raw").with_columns(column, grade.alias("grade"))
