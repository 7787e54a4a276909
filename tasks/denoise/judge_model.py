"""The fitted judge: one logistic regression per fold of the queries on a few features, its weights as a table.

A query's candidates are comparable with each other, those of two queries less: each feature counts as it is, and
relative to the mean of the query's pool (its candidates and judged documents). The reference has a weight of its own
that is not learnt: the relevant document of a query that has one alone has no reference, so most judgements say nothing
about it.

Shapes: N pairs, F features.
"""

import numpy as np
import polars as pl

from tasks.denoise.logistic import fit_logistic
from tasks.denoise.pairs import PAIR
from tasks.groups import fraction

NUM_FOLDS = 5
LEARNT = ("cosine", "shared_wording")
REFERENCE = "reference_cosine"
FEATURES = (*LEARNT, *(f"relative_{name}" for name in LEARNT))
"""What is learnt of; the reference's, also relative, comes after them."""

_REFERENCE_WEIGHT = 0.5  # logits per standard deviation: decisions/0018
_RIDGE = 33.0
_POSITIVE_SHARE = 0.3  # weight of all relevant pairs to that of all others
_SMALLEST_SPREAD = 1e-6
_DECIMALS = 3  # finer differences depend on the batch size and the machine


def fold_queries(groups: pl.DataFrame) -> pl.DataFrame:
    """Give each group of queries (see `tasks.groups`) a fold, by its name alone.

    Args:
        groups: language, query_id, group.

    Returns:
        language, query_id, fold (int32), in the given order.
    """
    folds = [int(fraction("fold", group) * NUM_FOLDS) for group in groups["group"]]
    return groups.select("language", "query_id", fold=pl.Series(folds, dtype=pl.Int32))


def with_relative(features: pl.DataFrame, pool: pl.DataFrame, folds: pl.DataFrame) -> pl.DataFrame:
    """Add fold and the features relative to the pool's mean, 0 where there is no reference.

    Args:
        features: as `find_features` returns them.
        pool: the same, of the queries' candidates and judged documents.
        folds: query_id, fold.

    Returns:
        The rows in the given order, with fold (int32) and a column `relative_…` for each feature.
    """
    names = (*LEARNT, REFERENCE)
    means = pool.group_by("query_id").agg(pl.col(name).mean().alias(f"mean_{name}") for name in names)
    return (
        features.join(folds.select("query_id", "fold"), on="query_id", maintain_order="left")
        .join(means, on="query_id", how="left", maintain_order="left")
        .with_columns(
            (pl.col(name) - pl.col(f"mean_{name}")).fill_null(0.0).alias(f"relative_{name}") for name in names
        )
        .drop(f"mean_{name}" for name in names)
    )


def fit_fold(pairs: pl.DataFrame, fold: int) -> pl.DataFrame:
    """Fit the judge of one fold on the pairs of the others; the same pairs give the same weights.

    Args:
        pairs: as `with_relative` returns them, of all languages, and label (1 relevant, 0 not).
        fold: whose queries the judge is to score.

    Returns:
        A row per term: fold, term (a feature, or `intercept`), centre, spread, weight (a pair's score is the sum of
        weight * (feature - centre) / spread, and the intercept), num_pairs, num_queries.

    Raises:
        ValueError: no relevant or no non-relevant pair.
    """
    rows = pairs.filter(pl.col("fold") != fold)
    label_N = rows["label"].to_numpy().astype(np.float64)
    num_positive, num_negative = int(label_N.sum()), int((label_N == 0).sum())
    if not num_positive or not num_negative:
        raise ValueError(
            f"fit_judge: expected relevant and non-relevant pairs, got {num_positive} relevant of {len(rows)} outside "
            "a fold (queries that share an answer or a text share a fold). Give more train judgements, widen "
            "denoise.presumed_ranks, or choose another denoise.judge."
        )
    value_NF = rows.select(FEATURES).to_numpy().astype(np.float64)
    centre_F, spread_F = value_NF.mean(axis=0), np.maximum(value_NF.std(axis=0), _SMALLEST_SPREAD)
    design_NF = np.column_stack([(value_NF - centre_F) / spread_F, np.ones(len(rows))])
    weight_N = np.where(label_N > 0, _POSITIVE_SHARE * num_negative / num_positive, 1.0)
    ridge_F = np.array([*[_RIDGE] * len(FEATURES), 0.0])
    *weights, intercept = fit_logistic(design_NF, label_N, weight_N, ridge_F).tolist()
    compared = rows.filter(pl.col(REFERENCE).is_not_null())[f"relative_{REFERENCE}"].cast(pl.Float64)
    compared_spread = max(compared.std() or 0.0, _SMALLEST_SPREAD) if len(compared) > 1 else 1.0
    terms = [
        *zip(FEATURES, centre_F.tolist(), spread_F.tolist(), weights, strict=True),
        (f"relative_{REFERENCE}", 0.0, compared_spread, _REFERENCE_WEIGHT),
        ("intercept", 0.0, 1.0, intercept),
    ]
    schema = {"term": pl.String, "centre": pl.Float64, "spread": pl.Float64, "weight": pl.Float64}
    sizes = {"num_pairs": len(rows), "num_queries": rows["query_id"].n_unique()}
    facts = {name: pl.lit(value, dtype=pl.Int32) for name, value in sizes.items()}
    table = pl.DataFrame(terms, schema=schema, orient="row").with_columns(fold=pl.lit(fold, dtype=pl.Int32), **facts)
    return table.select("fold", *schema, *facts)


def score_pairs(pairs: pl.DataFrame, model: pl.DataFrame) -> pl.DataFrame:
    """Score each pair by the weights of its query's fold, which were fitted without the fold.

    Args:
        pairs: as `with_relative` returns them.
        model: the rows of all folds, as `fit_fold` returns them.

    Returns:
        query_id, doc_id, judge (`fold-<n>`), raw (float32), without_reference, sorted by query_id and doc_id.
    """
    values = pairs.with_columns(intercept=pl.lit(1.0))
    raw_N = np.zeros(len(pairs))
    for fold, term, centre, spread, weight in model.select("fold", "term", "centre", "spread", "weight").iter_rows():
        in_fold_N = (values["fold"] == fold).to_numpy()
        raw_N[in_fold_N] += weight * (values[term].to_numpy()[in_fold_N].astype(np.float64) - centre) / spread
    return pairs.select(
        *PAIR,
        judge=pl.format("fold-{}", "fold"),
        raw=pl.Series(raw_N.round(_DECIMALS), dtype=pl.Float32),
        without_reference=pl.col(REFERENCE).is_null(),
    ).sort(PAIR)
