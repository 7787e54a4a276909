"""See that a batch plan keeps its promises, from the plan's ids and the datasets alone.

Nothing here is shared with the planner but the definition of an unsafe document.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn

import numpy as np
import polars as pl

from tasks.plan_batches.known import Known, hashes

_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd: steps get different keys


class PlanCheck:
    """Checks a plan part by part, so that it need not fit in memory."""

    def __init__(
        self,
        known: Mapping[str, Known],
        *,
        batch_size: int,
        num_negatives: int,
        language_temperature: float = 0.0,
        same_language: bool = True,
    ) -> None:
        """Take down what was promised.

        Args:
            known: what is known about each language.
            batch_size: slots of every batch.
            num_negatives: hard negatives of every slot.
            language_temperature: languages are drawn ~ train queries ** this.
            same_language: a batch holds one language.
        """
        self._known, self._batch_size, self._num_negatives = known, batch_size, num_negatives
        self._same_language = same_language
        self._views = {name: np.zeros(one.query.size, dtype=np.int32) for name, one in known.items()}
        pulled = {name: float(one.query.size) ** language_temperature for name, one in known.items()}
        self._share = {name: pull / sum(pulled.values()) for name, pull in pulled.items()}
        self._next_step = 0
        self._epoch = 0
        self._drawn = dict.fromkeys(known, 0)  # slots of the epoch so far

    def passing(self, parts: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Pass the parts of a plan on, each after it was checked.

        Args:
            parts: rows of a batch_plan in order; a part holds whole steps.

        Raises:
            RuntimeError: a batch of another size or with two languages; a query twice in a batch, or seen again
                before all others of its language; a positive that isn't one; too few negatives, or one twice; an
                in-batch negative that is unsafe for a query; a language drawn more or less often than its share.
        """
        for part in parts:
            self._check_shape(part)
            for rows in part.partition_by("epoch", maintain_order=True):
                self._count_languages(rows)
            for name, rows in sorted(part.partition_by("language", as_dict=True).items()):
                language = str(name[0])
                place = self._known[language].find(rows["query_id"])
                self._check_positives(language, rows, place)
                self._check_views(language, rows, place)
                self._check_negatives(language, rows, place)
            yield part
        self._check_shares()

    def _check_shape(self, part: pl.DataFrame) -> None:
        ids = part.select(
            "step", "language", query=pl.struct(pl.col("language").hash(), pl.col("query_id").hash()).hash()
        )
        steps = ids.group_by("step", maintain_order=True).agg(
            pl.len(), pl.col("language").n_unique(), pl.col("query").n_unique()
        )
        expected = np.arange(self._next_step, self._next_step + steps.height)
        self._next_step += steps.height
        if not np.array_equal(steps["step"].to_numpy(), expected):
            _broken("steps counted from 0 without a gap", f"{steps['step'].to_list()[:5]} … where {expected[0]} is due")
        for column, message, wanted in (
            ("len", "slots", self._batch_size),
            ("language", "language", 1),
            ("query", "different queries", self._batch_size),
        ):
            if column == "language" and not self._same_language:
                continue
            if wrong := steps.filter(pl.col(column) != wanted).head(1).to_dicts():
                _broken(f"{wanted} {message} in every step", f"{wrong[0][column]} in step {wrong[0]['step']}")
        if not np.array_equal(part["slot"].to_numpy(), np.tile(np.arange(self._batch_size), steps.height)):
            _broken(f"slots 0..{self._batch_size - 1} in order", "another order")
        count = part["negatives"].list.len().to_numpy()
        if (count == self._num_negatives).all() and self._num_negatives:
            lists = np.sort(hashes(part["negatives"].explode()).reshape(-1, self._num_negatives), axis=1)
            count = count - (lists[:, 1:] == lists[:, :-1]).sum(axis=1)
        if (wrong_rows := np.flatnonzero(count != self._num_negatives)).size:
            row = part.row(int(wrong_rows[0]), named=True)
            _broken(f"{self._num_negatives} different negatives in every slot", f"{_place(row, row['negatives'])}")

    def _count_languages(self, rows: pl.DataFrame) -> None:
        if rows["epoch"][0] != self._epoch:
            self._check_shares()
            self._epoch, self._drawn = rows["epoch"][0], dict.fromkeys(self._known, 0)
        for name, count in rows["language"].value_counts().iter_rows():
            if name not in self._known:
                _broken(f"languages {sorted(self._known)}", f"'{name}'")
            self._drawn[name] += count

    def _check_shares(self) -> None:
        """See that each language had its share of the epoch, rounded up or down to whole steps (or slots)."""
        unit = self._batch_size if self._same_language else 1
        num_units = sum(self._drawn.values()) / unit
        for name, count in self._drawn.items():
            if abs(count / unit - self._share[name] * num_units) > 1 + 1e-6:
                what = "steps" if self._same_language else "slots"
                _broken(
                    f"'{name}' in {self._share[name] * num_units:.1f} of {num_units:.0f} {what} of epoch {self._epoch}",
                    f"it in {count / unit:.1f}",
                )

    def _check_positives(self, language: str, rows: pl.DataFrame, place: np.ndarray) -> None:
        known = np.flatnonzero(place >= 0)
        positive = hashes(rows["positive"])
        owner, document = self._known[language].positives.of(place[known])
        right = np.zeros(place.size, dtype=bool)
        right[known[owner[document == positive[known][owner]]]] = True
        if (wrong := np.flatnonzero(~right)).size:
            row = rows.row(int(wrong[0]), named=True)
            _broken("positives that the qrels judge relevant to a train query", _place(row, row["positive"]))

    def _check_views(self, language: str, rows: pl.DataFrame, place: np.ndarray) -> None:
        """See that the k-th views of all queries come before any (k+1)-th, but for the order within a step."""
        views = self._views[language]
        before = int(views.sum())
        order = np.argsort(place, kind="stable")
        in_order = place[order]
        heads = np.searchsorted(in_order, in_order)
        again = np.empty_like(order)
        again[order] = np.arange(order.size) - heads
        view = views[place] + again
        step = rows["step"].to_numpy()
        sorted_rows = np.lexsort((view, step))
        due = (before + np.arange(view.size)) // views.size
        if (wrong := np.flatnonzero(view[sorted_rows] != due)).size:
            row = int(sorted_rows[wrong[0]])
            _broken(
                f"every query of '{language}' seen {view[row]} times by step {step[row]}, before any is seen again",
                f"'{rows['query_id'][row]}' seen for the {view[row] + 1}. time there",
            )
        views += np.bincount(place, minlength=views.size).astype(np.int32)

    def _check_negatives(self, language: str, rows: pl.DataFrame, place: np.ndarray) -> None:
        """Meet every document of a batch with the unsafe ones of its queries; only a slot's own positive may match."""
        known = self._known[language]
        step = rows["step"].to_numpy().astype(np.uint64) * _MIX
        positive = hashes(rows["positive"]) ^ step
        negatives = hashes(rows["negatives"].explode().drop_nulls()) ^ np.repeat(step, self._num_negatives)
        brought = np.sort(np.concatenate([positive, negatives]))
        owner, document = known.unsafe.of(known.group[place])
        barred = document ^ step[owner]
        at = np.minimum(np.searchsorted(brought, barred), brought.size - 1)
        met = np.flatnonzero(brought[at] == barred)
        met = met[np.argsort(owner[met], kind="stable")]
        times = np.searchsorted(brought, barred[met], side="right") - at[met]
        clash = met[times > (barred[met] == positive[owner[met]])]  # once: the slot's own positive
        if clash.size:
            row = rows.row(int(owner[clash[0]]), named=True)
            batch = rows.filter(pl.col("step") == row["step"])
            others = pl.concat([batch["positive"], batch["negatives"].explode().drop_nulls()]).unique().sort()
            found = others.filter(pl.Series(hashes(others) == document[clash[0]]))[0]
            _broken("in-batch negatives that are safe for every query", _place(row, found))


def _place(row: dict[str, object], document: object) -> str:
    return f"'{document}' for query '{row['query_id']}' in step {row['step']}, slot {row['slot']}"


def _broken(expected: str, got: str) -> NoReturn:
    raise RuntimeError(
        f"batch plan: expected {expected}, got {got}. This is a defect of the planner, not of your data: report "
        "it with the settings and the seed."
    )
