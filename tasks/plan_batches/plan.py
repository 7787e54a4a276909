"""Write the batch plan, epoch by epoch, in parts of bounded size.

Shapes: R slots of a language in a part, M negatives of a slot.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from tasks.plan_batches.group import Dealer, check_room
from tasks.plan_batches.negatives import sample_negatives
from tasks.plan_batches.schedule import Schedule, language_shares
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
    same_language: bool = True,
    topic_balance: bool = True,
) -> Iterator[pl.DataFrame]:
    """Plan the training: no unsafe document among the in-batch negatives of a query.

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
        same_language: a batch holds one language; else each slot's language is drawn.
        topic_balance: deal the queries by topic, so that a batch has many; else in random order.

    Yields:
        Rows of the batch_plan in order: epoch, step (counted through all epochs), slot, query_id, positive,
        negatives, language, topic, weight; whole steps, at most `PART_SLOTS` rows or one step.

    Raises:
        ValueError: no language; one that cannot fill a batch; one that has no clash-free arrangement.
    """
    if not tables:
        raise ValueError("plan_batches: expected at least one language, got none. Name some in the settings.")
    tables = sorted(tables, key=lambda table: table.language)
    steps = steps_per_epoch(tables, batch_size=batch_size, num_steps=num_steps)
    schedule = Schedule(
        language_shares(np.array([table.num_queries for table in tables]), language_temperature),
        num_steps=steps,
        batch_size=batch_size,
        same_language=same_language,
        seed=[seed, _LANGUAGES],
    )
    if same_language:
        for table in tables:
            check_room(table, batch_size)
    languages = [
        _Language(table, weights, schedule.sizes(number), num_negatives, seed=seed, topic_balance=topic_balance)
        for number, table in enumerate(tables)
    ]
    steps_per_part = max(1, PART_SLOTS // batch_size)
    for epoch in range(num_epochs):
        for first in range(0, steps, steps_per_part):
            part = schedule.epoch(epoch)[first : first + steps_per_part]
            yield _write(languages, part, epoch=epoch, first_step=epoch * steps + first)


def steps_per_epoch(tables: Sequence[LanguageTable], *, batch_size: int, num_steps: int | None) -> int:
    """Count an epoch's steps: as set, or so many that it has a slot for every train query."""
    return num_steps or math.ceil(sum(table.num_queries for table in tables) / batch_size)


def _write(languages: "Sequence[_Language]", part: np.ndarray, *, epoch: int, first_step: int) -> pl.DataFrame:
    """Let each language fill its slots of some steps, and put the rows in order."""
    num_steps, batch_size = part.shape
    language = part.reshape(-1)
    slots = {int(number): np.flatnonzero(language == number) for number in np.unique(language)}
    rows = pl.concat([languages[number].deal(places // batch_size) for number, places in slots.items()])
    steps = np.arange(first_step, first_step + num_steps, dtype=np.int32)
    place = np.empty(language.size, dtype=np.int64)
    place[np.concatenate([*slots.values()])] = np.arange(language.size)
    return rows[place].select(
        epoch=pl.lit(epoch, pl.Int32),
        step=pl.Series(np.repeat(steps, batch_size)),
        slot=pl.Series(np.tile(np.arange(batch_size, dtype=np.int32), num_steps)),
        query_id="query_id",
        positive="positive",
        negatives="negatives",
        language="language",
        topic="topic",
        weight="weight",
    )


class _Language:
    """Deals one language's slots."""

    def __init__(
        self,
        table: LanguageTable,
        weights: pl.DataFrame,
        sizes: Iterator[np.ndarray],
        num_negatives: int,
        *,
        seed: int,
        topic_balance: bool,
    ) -> None:
        name = list(table.language.encode())
        self._table, self._num_negatives = table, num_negatives
        queries = np.random.default_rng([seed, _QUERIES, *name])
        self._dealer = Dealer(table, sizes, topic_balance=topic_balance, rng=queries)
        self._rng = np.random.default_rng([seed, _NEGATIVES, *name])
        own = weights.filter(pl.col("language") == table.language)
        self._weight_by_topic = np.full(int(table.topic.max()) + 1, np.nan, dtype=np.float32)
        self._weight_by_topic[own["topic"].to_numpy()] = own["weight"].to_numpy()

    def deal(self, batch: np.ndarray) -> pl.DataFrame:
        """Fill the next slots; takes each slot's batch, ascending."""
        table, num_negatives = self._table, self._num_negatives
        query, positive = self._dealer.deal(np.unique(batch).size)
        negative_RM = sample_negatives(table, query, batch, num_negatives=num_negatives, rng=self._rng)
        if num_negatives:
            lists = table.document_ids.gather(negative_RM.reshape(-1)).reshape((-1, num_negatives)).arr.to_list()
        else:
            lists = pl.Series([[]] * query.size, dtype=pl.List(pl.String))
        topic = table.topic[query]
        return pl.DataFrame(
            {
                "query_id": table.query_ids.gather(query),
                "positive": table.document_ids.gather(positive),
                "negatives": lists,
                "topic": topic.astype(np.int32),
                "weight": self._weight_by_topic[topic],
            }
        ).with_columns(language=pl.lit(table.language))
