"""TREC run files -> a system's candidates for the dev queries, as trec_eval reads them."""

from collections.abc import Sequence
from urllib.parse import unquote

import polars as pl

from storage import DatasetRef, scan
from tasks.engine.job import Job
from tasks.ingest.config import Source
from tasks.ingest.lines import is_cut_off, read_lines
from tasks.ingest.rows import DamagedFile, on_one_line

_LINES = {"file": pl.String(), "line": pl.Int64()} | dict.fromkeys(("got", "query_id", "doc_id", "score"), pl.String())
_FLAWS = {  # what a line must have, and what to do about one that has not
    "columns": ("query, Q0, document, rank, score and name, split by white space", "Correct the line"),
    "score": ("a finite number as score", "Correct the line"),
    "query": ("a dev query of this language", "Keep each language's run in files of its own"),
    "again": ("every document of a query once", "Remove one of the two"),
    "document": ("a document of the corpus", "Make the run from this corpus"),
}


def ingest_run(
    job: Job,
    *,
    source: Source,
    corpus: DatasetRef,
    queries: DatasetRef,
    system: str,
    ignore_own_document: bool = False,
) -> None:
    """Read ranked lists that another program made; a dev query that has none is measured as not answered."""
    lines = read_run([file.path for file in source.files])
    asked, doc_ids = scan(queries).select("query_id").collect(), lines["doc_id"].drop_nulls().unique()
    named = pl.LazyFrame({"doc_id": pl.Series([*{*doc_ids, *map(unquote, doc_ids)}], dtype=pl.String)})
    present = scan(corpus).select("doc_id").join(named, on="doc_id", how="semi").collect(engine="streaming")
    lines = with_ids_as_known(lines, asked["query_id"], present["doc_id"])
    flawed = find_flaws(lines, asked["query_id"], present["doc_id"])
    for (flaw,), found in flawed.group_by("flaw", maintain_order=True):
        told = found["told"][0]
        if source.on_bad_row == "error":
            then = "count it as a miss" if flaw == "document" else "leave such lines out"
            raise ValueError(f"{told[:-1]}, or set ingest.on_bad_row to 'quarantine' to {then}.")
        job.log.warning("%s: %d such lines, the first is %s", system, found.height, told)
    good = lines.join(flawed.filter(pl.col("flaw") != "document"), on=["file", "line"], how="anti")
    others = good.filter(pl.col("query_id") != pl.col("doc_id")) if ignore_own_document else good
    candidates = rank_as_trec_eval(others, system=system)
    if unanswered := asked.join(candidates, on="query_id", how="anti").height:
        job.log.warning("%s: of %d dev queries %d have no line and count as 0", system, asked.height, unanswered)
    job.out.write(candidates)


def read_run(paths: Sequence[str]) -> pl.DataFrame:
    """Read run files: file, line, got, query_id, doc_id, score; these are null where a line has not six columns.

    Raises:
        DamagedFile: as `read_lines`; or the last line breaks off.
    """
    rows = []
    for path in paths:
        fields: list[str] = [""] * 6
        for number, raw in read_lines(path):  # split at ASCII's white space, as by trec_eval
            fields = [field.decode(errors="backslashreplace") for field in raw.split()]
            rows.append(
                (
                    path,
                    number,
                    on_one_line(" ".join(fields))[:100],
                    *(fields[0:5:2] if len(fields) == 6 else [None] * 3),
                )
            )
        if len(fields) < 6 and is_cut_off(path):
            got = f"{len(fields)} columns instead of 6, and no line end"
            raise DamagedFile(path, number, "a last line that is whole", got)
    return pl.DataFrame(rows, schema=_LINES, orient="row")


def with_ids_as_known(lines: pl.DataFrame, query_ids: pl.Series, doc_ids: pl.Series) -> pl.DataFrame:
    """Undo what `write_trec` does to white space in ids, where only so an id is known."""
    for name, known in (("query_id", {*query_ids}), ("doc_id", {*doc_ids})):
        unknown = {*lines[name].drop_nulls()} - known
        plain = {one: unquote(one) for one in unknown if unquote(one) in known}
        lines = lines.with_columns(pl.col(name).replace(plain))
    return lines


def find_flaws(lines: pl.DataFrame, query_ids: pl.Series, doc_ids: pl.Series) -> pl.DataFrame:
    """Return the lines that cannot be used with the first flaw of each: file, line, flaw, told (an error's text)."""
    is_wrong = {
        "columns": pl.col("query_id").is_null(),
        "score": ~pl.col("score").cast(pl.Float32, strict=False).is_finite().fill_null(False),
        "query": ~pl.col("query_id").is_in(query_ids.implode()),
        "again": ~pl.struct("query_id", "doc_id").is_first_distinct(),
        "document": ~pl.col("doc_id").is_in(doc_ids.implode()),
    }
    flaw = pl.coalesce(pl.when(wrong).then(pl.lit(flaw)) for flaw, wrong in is_wrong.items())
    rows = [
        (*row, "{}, line {}: expected {}, got '{}'. {}.".format(*row[:2], _FLAWS[row[2]][0], got, _FLAWS[row[2]][1]))
        for *row, got in lines.select("file", "line", flaw.alias("flaw"), "got").drop_nulls("flaw").iter_rows()
    ]
    schema = {"file": pl.String(), "line": pl.Int64(), "flaw": pl.String(), "told": pl.String()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def rank_as_trec_eval(lines: pl.DataFrame, *, system: str) -> pl.DataFrame:
    """Rank by the score as a float32, equal ones by id backwards; the ranks that a file names do not count.

    Args:
        lines: query_id, doc_id, score (text of a finite number).
        system: name of what made them.

    Returns:
        candidates: query_id, doc_id, system, rank (from 1), score; by query_id and rank.

    Source: trec_eval 9, `form_res_rels.c`: by falling similarity, then by falling document number.
    """
    score = pl.col("score").cast(pl.Float64).cast(pl.Float32)
    rank = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("query_id")
    ordered = lines.with_columns(score).sort("query_id", "score", "doc_id", descending=[False, True, True])
    return ordered.select("query_id", "doc_id", pl.lit(system).alias("system"), rank.alias("rank"), "score")
