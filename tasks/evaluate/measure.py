"""run + qrels -> metrics, computed by ir_measures."""

import ast
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

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


# Found; found after one judged not relevant; not found: what a measure cannot compute here, it cannot at all.
_TRIAL = ({"1": {"a": 1}, "2": {"a": 0, "b": 1}, "3": {"c": 1}}, {"1": {"a": 1.0}, "2": {"a": 2.0, "b": 1.0}})


def measure_language(
    run: pl.DataFrame, qrels: pl.DataFrame, *, metrics: Sequence[str], relevant_from: int = 1
) -> pl.DataFrame:
    """Measure one run, query by query.

    A query with judgements that the run does not answer counts as zero, as in `trec_eval -c`, and so does one whose
    relevant documents are not in the corpus. The run's order is its `rank`: equal scores are not reordered.

    Args:
        run: query_id, doc_id, rank.
        qrels: query_id, doc_id, relevance, of the evaluated queries only; below zero is judged, not relevant.
        metrics: measures as `parse_measures` reads them.
        relevant_from: lowest relevance that counts where a measure knows but relevant and not (R, P, AP, RR …) and
            names none itself. Its name says so: `R(rel=2)@100`.

    Returns:
        metric, query_id, value; sorted by metric (in the given order) and query_id.

    Raises:
        ValueError: a metric that ir_measures does not know, or no judgements.
    """
    if qrels.is_empty():
        raise ValueError("evaluate: expected judgements of the evaluated split, got none. Check ingest's qrels.")
    measures = [_from_grade(measure, relevant_from) for measure in parse_measures(metrics)]
    # Some of ir_measures' programs take ids without white space, and numbers alone as ids of queries.
    query_ids, doc_ids = (pl.concat([run[name], qrels[name]]).unique().sort() for name in ("query_id", "doc_id"))

    def numbered(frame: pl.DataFrame, value: pl.Expr) -> list[tuple[str, str, Any]]:
        numbers = [
            pl.col(name).replace_strict(ids, pl.int_range(len(ids), eager=True)).cast(pl.String)
            for name, ids in (("query_id", query_ids), ("doc_id", doc_ids))
        ]
        return list(frame.select(*numbers, value).iter_rows())

    judged = [ir_measures.Qrel(*row) for row in numbered(qrels, pl.col("relevance").clip(0))]
    ranked = [ir_measures.ScoredDoc(*row) for row in numbered(run, -pl.col("rank").cast(pl.Float64))]
    values = ir_measures.iter_calc(measures, judged, ranked)
    rows = [(str(value.measure), query_ids[int(value.query_id)], float(value.value)) for value in values]
    frame = pl.DataFrame(rows, schema={"metric": pl.String, "query_id": pl.String, "value": pl.Float64}, orient="row")
    order = {str(measure): number for number, measure in enumerate(measures)}
    position = pl.col("metric").replace_strict(order, return_dtype=pl.Int32)
    return frame.sort(position, "query_id")


def parse_measures(names: Sequence[str]) -> list[ir_measures.Measure]:
    """Read measures in any spelling that ir_measures knows (`nDCG@10`, `P(rel=2)@5`, `ndcg_cut_10`), each once.

    Raises:
        ValueError: it knows none of this name, or cannot compute it.
    """
    found: dict[str, ir_measures.Measure] = {}
    for name in names:
        try:
            measures = _parse(name.strip())
            for measure in measures:
                _try(measure)
        except Exception as error:  # each of ir_measures' programs has errors of its own
            reason = str(error).partition("\n")[0].rstrip(".:")
            raise ValueError(
                f"evaluate.metrics: expected measures such as nDCG@10 or R@100, got '{name}' ({reason}). "
                f"{_advice(name)}"
            ) from error
        found |= {str(measure): measure for measure in measures}
    return list(found.values())


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


def _parse(name: str) -> list[ir_measures.Measure]:
    """Read one name. ir_measures' own reader does not run on Python 3.14; trec_eval's names are of another syntax."""
    registry = ir_measures.measures.registry
    if re.fullmatch(r"[\w.,]+", name) and name not in registry:
        return list(ir_measures.parse_trec_measure(name))
    node = ast.parse(name, mode="eval").body
    at = None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        at, node = ast.literal_eval(node.right), node.left
    arguments = {}
    if isinstance(node, ast.Call) and not node.args:
        arguments, node = {str(one.arg): ast.literal_eval(one.value) for one in node.keywords}, node.func
    if not isinstance(node, ast.Name):
        raise ValueError("it is not written as a measure")
    if node.id not in registry:
        raise ValueError(f"ir_measures knows no {node.id}")
    measure = registry[node.id](**arguments)
    return [measure if at is None else measure @ at]


def _try(measure: ir_measures.Measure) -> None:
    """Raise what a measure cannot do before anything is measured; a cut-off of 0 would end the process."""
    needed = [name for name, one in measure.SUPPORTED_PARAMS.items() if one.required and name not in measure.params]
    if needed:
        raise ValueError(f"it needs {', '.join(needed)}")
    cutoff = measure.params.get("cutoff", 1)
    if type(cutoff) is not int or cutoff < 1:
        raise ValueError(f"the cut-off is {cutoff}")
    for _ in ir_measures.iter_calc([measure], *_TRIAL):
        pass


def _advice(name: str) -> str:
    """Say which measure was probably meant."""
    called = re.split(r"[@(]", name)[0].strip()
    known = {one.lower(): measure.__name__ for one, measure in ir_measures.measures.registry.items()}
    near = difflib.get_close_matches(called.lower(), known, n=1)
    if near and called not in ir_measures.measures.registry:
        return f"Did you mean {known[near[0]]}?"
    return "See ir_measures' list."


def _from_grade(measure: ir_measures.Measure, relevant_from: int) -> ir_measures.Measure:
    grade = measure.SUPPORTED_PARAMS.get("rel")
    if relevant_from == 1 or grade is None or grade.default != 1 or "rel" in measure.params:
        return measure
    strict: ir_measures.Measure = measure(rel=relevant_from)
    return strict
