"""See that a batch plan keeps its promises, from the plan's ids and the datasets alone.

Nothing here is shared with the planner but the definition of an unsafe document.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn

import numpy as np
import polars as pl

from tasks.plan_batches.safety import unsafe_pairs


def check_plan(
    plan: pl.DataFrame,
    *,
    queries: Mapping[str, pl.DataFrame],
    qrels: Mapping[str, pl.DataFrame],
    ledgers: Mapping[str, pl.DataFrame],
    batch_size: int,
    num_negatives: int,
) -> None:
    """Check a whole plan; see `PlanCheck`."""
    check = PlanCheck(queries=queries, qrels=qrels, ledgers=ledgers, batch_size=batch_size, num_negatives=num_negatives)
    for _ in check.passing([plan]):
        pass


class PlanCheck:
    """Checks a plan part by part, so that it need not fit in memory."""

    def __init__(
        self,
        *,
        queries: Mapping[str, pl.DataFrame],
        qrels: Mapping[str, pl.DataFrame],
        ledgers: Mapping[str, pl.DataFrame],
        batch_size: int,
        num_negatives: int,
    ) -> None:
        """Gather what is known about each language's queries.

        Args:
            queries: query_id, text, split of each language's queries of all splits.
            qrels: query_id, doc_id, relevance of each language's judgements.
            ledgers: query_id, doc_id, decision, reason, grade of each language's hard_negatives.
            batch_size: slots of every batch.
            num_negatives: hard negatives of every slot.
        """
        self._batch_size, self._num_negatives = batch_size, num_negatives
        self._unsafe = {name: unsafe_pairs(queries[name], qrels[name], ledgers[name]) for name in queries}
        self._positives = {
            name: qrels[name]
            .filter(pl.col("relevance") > 0)
            .join(queries[name].filter(pl.col("split") == "train"), on="query_id", how="semi")
            .select("query_id", "doc_id")
            for name in queries
        }
        self._views = {
            name: pairs.select("query_id").unique().sort("query_id").with_columns(views=pl.lit(0, pl.Int64))
            for name, pairs in self._positives.items()
        }
        self._next_step = 0

    def passing(self, parts: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Pass the parts of a plan on, each after it was checked.

        Args:
            parts: rows of a batch_plan in order; a part holds whole steps.

        Raises:
            RuntimeError: a batch of another size or with two languages; a query twice in a batch, or seen again
                before all others of its language; a positive that isn't one; too few negatives, or one twice; an
                in-batch negative that is unsafe for a query.
        """
        for part in parts:
            self._check_shape(part)
            for name, rows in sorted(part.partition_by("language", as_dict=True).items()):
                language = str(name[0])
                if language not in self._unsafe:
                    _broken(f"languages {sorted(self._unsafe)}", f"'{language}'")
                self._check_positives(language, rows)
                self._check_views(language, rows)
                self._check_negatives(language, rows)
            yield part

    def _check_shape(self, part: pl.DataFrame) -> None:
        steps = part.group_by("step", maintain_order=True).agg(
            pl.len(),
            pl.col("language").n_unique(),
            pl.col("query_id").n_unique(),
        )
        expected = np.arange(self._next_step, self._next_step + steps.height)
        self._next_step += steps.height
        if not np.array_equal(steps["step"].to_numpy(), expected):
            _broken("steps counted from 0 without a gap", f"{steps['step'].to_list()[:5]} … where {expected[0]} is due")
        for column, message, wanted in (
            ("len", "slots", self._batch_size),
            ("language", "language", 1),
            ("query_id", "different queries", self._batch_size),
        ):
            if wrong := steps.filter(pl.col(column) != wanted).head(1).to_dicts():
                _broken(f"{wanted} {message} in every step", f"{wrong[0][column]} in step {wrong[0]['step']}")
        if not np.array_equal(part["slot"].to_numpy(), np.tile(np.arange(self._batch_size), steps.height)):
            _broken(f"slots 0..{self._batch_size - 1} in order", "another order")
        lists = part.select(
            "step", "slot", unique=pl.col("negatives").list.n_unique(), all=pl.col("negatives").list.len()
        )
        short = lists.filter((pl.col("unique") != self._num_negatives) | (pl.col("all") != self._num_negatives))
        if wrong := short.head(1).to_dicts():
            _broken(f"{self._num_negatives} different negatives in every slot", f"{wrong[0]}")

    def _check_positives(self, language: str, rows: pl.DataFrame) -> None:
        pairs = self._positives[language]
        wrong = rows.join(pairs, left_on=["query_id", "positive"], right_on=["query_id", "doc_id"], how="anti")
        if found := wrong.head(1).to_dicts():
            _broken("positives that the qrels judge relevant to a train query", _place(found[0], found[0]["positive"]))

    def _check_views(self, language: str, rows: pl.DataFrame) -> None:
        """See that the k-th views of all queries come before any (k+1)-th, but for the order within a step."""
        seen = self._views[language]
        before = int(seen["views"].sum())
        view = rows.select(
            "step", "query_id", again=pl.col("query_id").cum_count().over("query_id").cast(pl.Int64)
        ).join(seen, on="query_id", maintain_order="left")
        views = view.select("step", "query_id", view=pl.col("views") + pl.col("again") - 1).sort("step", "view")
        due = (before + np.arange(views.height)) // seen.height
        wrong = np.flatnonzero(views["view"].to_numpy() != due)
        if wrong.size:
            row = views.row(int(wrong[0]), named=True)
            _broken(
                f"every query of '{language}' seen {row['view']} times by step {row['step']}, before any is seen again",
                f"'{row['query_id']}' seen for the {row['view'] + 1}. time there",
            )
        counts = rows.group_by("query_id").agg(new=pl.len().cast(pl.Int64))
        self._views[language] = seen.join(counts, on="query_id", how="left", maintain_order="left").select(
            "query_id", views=pl.col("views") + pl.col("new").fill_null(0)
        )

    def _check_negatives(self, language: str, rows: pl.DataFrame) -> None:
        """Meet every document of a batch with the unsafe ones of its queries; only a slot's own positive may match."""
        brought = pl.concat(
            [
                rows.select("step", "positive", "slot").rename({"positive": "doc_id", "slot": "owner"}),
                rows.select("step", doc_id="negatives", owner=pl.lit(-1, pl.Int32)).explode("doc_id"),
            ]
        ).unique()
        unsafe = self._unsafe[language]
        barred = rows.select("step", "slot", "query_id").join(unsafe, on="query_id")
        clash = barred.join(brought, on=["step", "doc_id"]).filter(pl.col("slot") != pl.col("owner"))
        if found := clash.sort("step", "slot", "doc_id").head(1).to_dicts():
            _broken("in-batch negatives that are safe for every query", _place(found[0], found[0]["doc_id"]))


def _place(row: dict[str, object], document: object) -> str:
    return f"'{document}' for query '{row['query_id']}' in step {row['step']}, slot {row['slot']}"


def _broken(expected: str, got: str) -> NoReturn:
    raise RuntimeError(
        f"batch plan: expected {expected}, got {got}. This is a defect of the planner, not of your data: report "
        "it with the settings and the seed."
    )
