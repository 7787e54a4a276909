"""run + qrels -> metrics, computed by ir_measures."""

import ast
from collections.abc import Mapping, Sequence

import ir_measures
import polars as pl

from tasks.models.texts import same_text

ALL = "all"
METRICS_SCHEMA = pl.Schema(
    {
        "system": pl.String(),
        "language": pl.String(),
        "metric": pl.String(),
        "query_id": pl.String(),
        "value": pl.Float64(),
        "num_queries": pl.Int32(),
        "new_value": pl.Float64(),
        "num_new": pl.Int32(),
    }
)


def measure_language(run: pl.DataFrame, qrels: pl.DataFrame, *, metrics: Sequence[str]) -> pl.DataFrame:
    """Measure one run, query by query.

    A query with judgements that the run does not answer counts as zero, as in `trec_eval -c`. The run's order is its
    `rank`: equal scores are not reordered.

    Args:
        run: query_id, doc_id, rank.
        qrels: query_id, doc_id, relevance, of the evaluated queries only.
        metrics: measures as ir_measures spells them.

    Returns:
        metric, query_id, value; sorted by metric (in the given order) and query_id.

    Raises:
        ValueError: a metric that ir_measures does not know, or no judgements.
    """
    if qrels.is_empty():
        raise ValueError("evaluate: expected judgements of the evaluated split, got none. Check ingest's qrels.")
    measures = [_parse(name) for name in metrics]
    judged = [ir_measures.Qrel(*row) for row in qrels.select("query_id", "doc_id", "relevance").iter_rows()]
    ranked = run.select("query_id", "doc_id", score=-pl.col("rank").cast(pl.Float64))
    values = ir_measures.iter_calc(measures, judged, [ir_measures.ScoredDoc(*row) for row in ranked.iter_rows()])
    rows = [(str(value.measure), value.query_id, float(value.value)) for value in values]
    frame = pl.DataFrame(rows, schema={"metric": pl.String, "query_id": pl.String, "value": pl.Float64}, orient="row")
    order = {str(measure): number for number, measure in enumerate(measures)}
    position = pl.col("metric").replace_strict(order, return_dtype=pl.Int32)
    return frame.sort(position, "query_id")


def summarise(per_query: Mapping[str, pl.DataFrame], *, system: str) -> pl.DataFrame:
    """Put the languages together: per query, per language, and the plain mean over languages.

    Args:
        per_query: language -> metric, query_id, value, is_new (no train query has its text).
        system: name in the table.

    Returns:
        system, language, metric, query_id, value, num_queries; new_value and num_new: the same of new queries alone
        (null where there are none). Means have query_id `all`; the mean over languages has language `all`, and the
        number of all queries.
    """
    columns = list(METRICS_SCHEMA)
    counts = pl.col("num_queries", "num_new")
    rows = pl.concat(
        [frame.with_columns(language=pl.lit(language)) for language, frame in sorted(per_query.items())]
    ).with_columns(
        system=pl.lit(system),
        num_queries=pl.lit(1, pl.Int32),
        new_value=pl.when("is_new").then("value"),
        num_new=pl.col("is_new").cast(pl.Int32),
    )
    means = rows.group_by("system", "language", "metric", maintain_order=True).agg(
        pl.col("value", "new_value").mean(), counts.sum(), query_id=pl.lit(ALL)
    )
    overall = means.group_by("system", "metric", maintain_order=True).agg(
        pl.col("value", "new_value").mean(), counts.sum(), language=pl.lit(ALL), query_id=pl.lit(ALL)
    )
    return pl.concat([part.select(columns).cast(METRICS_SCHEMA) for part in (overall, means, rows)])


def repeated_queries(queries: pl.DataFrame, train: pl.DataFrame) -> pl.Series:
    """Return the ids of the queries whose text a train query has, too; both frames: query_id, text."""
    texts = train.select(same=same_text("text"))
    return queries.with_columns(same=same_text("text")).join(texts, on="same", how="semi")["query_id"].sort()


def _parse(name: str) -> ir_measures.Measure:
    """Read a measure such as `nDCG@10` or `P(rel=2)@5`; ir_measures' own reader does not run on Python 3.14."""
    called, at, cutoff = name.partition("@")
    try:
        call = ast.parse(called if called.endswith(")") else f"{called}()", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError("not a measure")
        arguments = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
        measure: ir_measures.Measure = ir_measures.measures.registry[call.func.id](**arguments)
        if at:
            measure = measure @ int(cutoff)
        return measure
    except (ValueError, LookupError, SyntaxError, TypeError, AssertionError) as error:
        raise ValueError(
            f"evaluate.metrics: expected measures such as nDCG@10 or R@100, got '{name}'. See ir_measures' list."
        ) from error
