"""Write the batch plan, epoch by epoch, in parts of bounded size.

Shapes: T steps of a part, B slots of a batch, M negatives of a slot.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from tasks.plan_batches.group import Dealer
from tasks.plan_batches.negatives import sample_negatives
from tasks.plan_batches.schedule import draw_languages, language_shares
from tasks.plan_batches.tables import LanguageTable

PART_SLOTS = 1 << 17  # rows per part; another number is another plan, as good as this one

# What the generators draw, so that each has a stream of its own.
_LANGUAGES, _QUERIES, _NEGATIVES = range(3)


def plan_parts(
    tables: Sequence[LanguageTable],
    weights: pl.DataFrame,
    *,
    batch_size: int,
    num_negatives: int,
    num_epochs: int,
    num_steps: int | None,
    seed: int,
    language_temperature: float,
) -> Iterator[pl.DataFrame]:
    """Plan the training: one language per batch, no unsafe document among the in-batch negatives.

    An epoch is a fixed number of steps, not a pass over each language: a small language passes several times while a
    large one passes once or less. The order of a language's queries depends on the seed and that language alone.

    Args:
        tables: one per language.
        weights: language, topic, weight of a sample.
        batch_size: queries per batch, in every batch.
        num_negatives: hard negatives per query.
        num_epochs: epochs.
        num_steps: steps per epoch; None: train queries / batch_size, rounded up.
        seed: seed.
        language_temperature: exponent by which languages are drawn, 0 (uniformly) .. 1 (by size).

    Yields:
        Rows of the batch_plan in order: epoch, step (counted through all epochs), slot, query_id, positive,
        negatives, language, topic, weight; whole steps, at most `PART_SLOTS` rows or one step.

    Raises:
        ValueError: no language; one that cannot fill a batch; one that has no clash-free arrangement.
    """
    if not tables:
        raise ValueError("plan_batches: expected at least one language, got none. Name some in the settings.")
    tables = sorted(tables, key=lambda table: table.language)
    num_queries = np.array([table.num_queries for table in tables])
    steps = steps_per_epoch(tables, batch_size=batch_size, num_steps=num_steps)
    shares = language_shares(num_queries, language_temperature)
    order = np.random.default_rng([seed, _LANGUAGES])
    languages = [
        _Language(table, weights, batch_size=batch_size, num_negatives=num_negatives, seed=seed) for table in tables
    ]
    ids = _Ids(tables)
    steps_per_part = max(1, PART_SLOTS // batch_size)
    for epoch in range(num_epochs):
        schedule = draw_languages(shares, num_steps=steps, rng=order)
        for first in range(0, steps, steps_per_part):
            part = schedule[first : first + steps_per_part]
            numbers = _Numbers(part.size, batch_size, num_negatives)
            for number in np.unique(part):
                rows = np.flatnonzero(part == number)
                languages[number].deal(numbers, rows, ids.first_query[number], ids.first_document[number])
            yield ids.frame(numbers, part, epoch=epoch, first_step=epoch * steps + first)


def steps_per_epoch(tables: Sequence[LanguageTable], *, batch_size: int, num_steps: int | None) -> int:
    """Count an epoch's steps: as set, or so many that it has a slot for every train query."""
    return num_steps or math.ceil(sum(table.num_queries for table in tables) / batch_size)


class _Numbers:
    """A part of the plan in numbers, to be filled language by language."""

    def __init__(self, num_steps: int, batch_size: int, num_negatives: int) -> None:
        self.query_TB = np.empty((num_steps, batch_size), dtype=np.int64)
        self.positive_TB = np.empty_like(self.query_TB)
        self.topic_TB = np.empty((num_steps, batch_size), dtype=np.int32)
        self.weight_TB = np.empty((num_steps, batch_size), dtype=np.float32)
        self.negative_TBM = np.empty((num_steps, batch_size, num_negatives), dtype=np.int64)


class _Language:
    """Deals one language's steps."""

    def __init__(
        self, table: LanguageTable, weights: pl.DataFrame, *, batch_size: int, num_negatives: int, seed: int
    ) -> None:
        name = list(table.language.encode())
        self._table, self._num_negatives = table, num_negatives
        self._dealer = Dealer(table, batch_size=batch_size, rng=np.random.default_rng([seed, _QUERIES, *name]))
        self._rng = np.random.default_rng([seed, _NEGATIVES, *name])
        own = weights.filter(pl.col("language") == table.language)
        self._weight_by_topic = np.full(int(table.topic.max()) + 1, np.nan, dtype=np.float32)
        self._weight_by_topic[own["topic"].to_numpy()] = own["weight"].to_numpy()

    def deal(self, numbers: _Numbers, rows: np.ndarray, first_query: int, first_document: int) -> None:
        """Fill the rows of a part; ids are counted through all languages."""
        query, positive = self._dealer.deal(rows.size)
        negative = sample_negatives(self._table, query, num_negatives=self._num_negatives, rng=self._rng)
        numbers.query_TB[rows] = query + first_query
        numbers.positive_TB[rows] = positive + first_document
        numbers.negative_TBM[rows] = negative + first_document
        numbers.topic_TB[rows] = self._table.topic[query]
        numbers.weight_TB[rows] = self._weight_by_topic[self._table.topic[query]]


class _Ids:
    """The ids of all languages, end to end, and the way from numbers to rows."""

    def __init__(self, tables: Sequence[LanguageTable]) -> None:
        self._languages = pl.Series([table.language for table in tables])
        self._query_ids = pl.concat([table.query_ids for table in tables])
        self._document_ids = pl.concat([table.document_ids for table in tables])
        self.first_query = np.cumsum([0, *(table.num_queries for table in tables)])
        self.first_document = np.cumsum([0, *(table.num_documents for table in tables)])

    def frame(self, numbers: _Numbers, languages: np.ndarray, *, epoch: int, first_step: int) -> pl.DataFrame:
        """Write the rows of a part."""
        num_steps, batch_size, num_negatives = numbers.negative_TBM.shape
        steps = np.arange(first_step, first_step + num_steps, dtype=np.int32)
        negatives = self._document_ids.gather(numbers.negative_TBM.reshape(-1))
        if num_negatives:
            lists = negatives.reshape((-1, num_negatives)).arr.to_list()
        else:
            lists = pl.Series([[]] * (num_steps * batch_size), dtype=pl.List(pl.String))
        return pl.DataFrame(
            {
                "epoch": np.full(num_steps * batch_size, epoch, dtype=np.int32),
                "step": np.repeat(steps, batch_size),
                "slot": np.tile(np.arange(batch_size, dtype=np.int32), num_steps),
                "query_id": self._query_ids.gather(numbers.query_TB.reshape(-1)),
                "positive": self._document_ids.gather(numbers.positive_TB.reshape(-1)),
                "negatives": lists,
                "language": self._languages.gather(np.repeat(languages, batch_size)),
                "topic": numbers.topic_TB.reshape(-1),
                "weight": numbers.weight_TB.reshape(-1),
            }
        )
