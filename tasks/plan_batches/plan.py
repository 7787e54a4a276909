"""Write the batch plan, epoch by epoch, in parts of bounded size.

Shapes: R slots of a language in a part, M negatives of a slot.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from tasks.plan_batches.deal import Dealer, check_room
from tasks.plan_batches.negatives import find_not_negatives, sample_negatives
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
    """Plan the training: an unsafe document among the in-batch negatives of a query only where it cannot be helped.

    Such a document stands in the slot's `not_negatives`, and the loss leaves it out. An epoch is a number of steps, not
    a pass over each language. The order of a language's queries depends on the seed and that language alone.

    Args:
        tables: one per language.
        weights: language, topic, weight of a sample.
        batch_size: queries per batch, in every batch.
        num_negatives: hard negatives per query.
        num_epochs: epochs.
        num_steps: steps per epoch; None: train queries / batch_size, rounded up.
        seed: of all that is drawn.
        language_temperature: exponent by which languages are drawn, 0 (uniformly) .. 1 (by size).
        same_language: a batch holds one language; else each slot's language is drawn.
        topic_balance: deal the queries by topic, so that a batch has many; else in random order.

    Yields:
        Rows of the batch_plan in order: epoch, step (counted through all epochs), slot, query_id, positive,
        negatives, language, topic, weight, not_negatives; whole steps, at most `PART_SLOTS` rows or one step.

    Raises:
        ValueError: no language; one that cannot fill a batch, or has too few documents.
    """
    if not tables:
        raise ValueError("plan_batches: expected at least one language, got none. Name some in the settings.")
    tables = sorted(tables, key=lambda table: table.language)
    steps = steps_per_epoch(tables, batch_size=batch_size, num_steps=num_steps)
    shares = language_shares(np.array([table.num_queries for table in tables]), language_temperature)
    slots_per_draw = batch_size if same_language else 1

    def draw_epoch(epoch: int) -> np.ndarray:
        rng = np.random.default_rng([seed, _LANGUAGES, epoch])
        drawn = draw_languages(shares, num_steps=steps * batch_size // slots_per_draw, rng=rng)
        return np.repeat(drawn, slots_per_draw).reshape(steps, batch_size)

    for table in tables if same_language else ():
        check_room(table, batch_size)
    languages = [
        _Language(table, weights, batch_sizes(number, draw_epoch), num_negatives, seed, topic_balance)
        for number, table in enumerate(tables)
    ]
    steps_per_part = max(1, PART_SLOTS // batch_size)
    for epoch in range(num_epochs):
        language = draw_epoch(epoch)
        for first in range(0, steps, steps_per_part):
            yield _fill(languages, language[first : first + steps_per_part], epoch, epoch * steps + first)


def steps_per_epoch(tables: Sequence[LanguageTable], *, batch_size: int, num_steps: int | None) -> int:
    """Count an epoch's steps: as set, or so many that it has a slot for every train query."""
    return num_steps or math.ceil(sum(table.num_queries for table in tables) / batch_size)


def language_shares(num_queries: np.ndarray, temperature: float) -> np.ndarray:
    """Return how often each language is drawn: ~ num_queries ** temperature, so 0 = uniformly, 1 = by size."""
    pulled = np.asarray(num_queries, dtype=np.float64) ** temperature
    return np.asarray(pulled / pulled.sum())


def draw_languages(shares: np.ndarray, *, num_steps: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the languages of an epoch's steps (or slots), in random order.

    Each language gets its share of the steps, rounded up or down at random: on average exactly its share, and never
    off by a whole step.

    Args:
        shares: share of each language, summing to one.
        num_steps: steps (or slots) of the epoch.
        rng: draws.

    Returns:
        Language numbers, one per step.
    """
    edges = np.floor(np.cumsum(shares)[:-1] * num_steps + rng.random()).astype(np.int64)
    steps = np.diff(np.concatenate([[0], np.clip(edges, 0, num_steps), [num_steps]]))
    return rng.permutation(np.repeat(np.arange(shares.size), steps)).astype(np.int16)


def batch_sizes(language: int, epoch: Callable[[int], np.ndarray]) -> Iterator[np.ndarray]:
    """Say how many slots a language has in each batch that it is in, an epoch at a time, without an end.

    Args:
        language: its number.
        epoch: gives an epoch's language numbers, [steps, slots].
    """
    for number in itertools.count():
        slots = (epoch(number) == language).sum(axis=1)
        yield slots[slots > 0]


def _fill(languages: "Sequence[_Language]", part: np.ndarray, epoch: int, first_step: int) -> pl.DataFrame:
    """Let each language fill its slots of some steps (language numbers, [steps, slots]), and put the rows in order."""
    num_steps, batch_size = part.shape
    language = part.reshape(-1)
    slots = {int(number): np.flatnonzero(language == number) for number in np.unique(language)}
    rows = pl.concat([languages[number].deal(places // batch_size) for number, places in slots.items()])
    place = np.argsort(np.concatenate([*slots.values()]))
    return rows[place].select(
        pl.lit(epoch, pl.Int32).alias("epoch"),
        pl.Series("step", np.repeat(np.arange(first_step, first_step + num_steps, dtype=np.int32), batch_size)),
        pl.Series("slot", np.tile(np.arange(batch_size, dtype=np.int32), num_steps)),
        *("query_id", "positive", "negatives", "language", "topic", "weight", "not_negatives"),
    )


class _Language:
    """Deals one language's slots."""

    def __init__(
        self,
        table: LanguageTable,
        weights: pl.DataFrame,
        sizes: Iterator[np.ndarray],
        num_negatives: int,
        seed: int,
        topic_balance: bool,
    ) -> None:
        name = list(table.language.encode())
        self._table, self._num_negatives = table, num_negatives
        queries = np.random.default_rng([seed, _QUERIES, *name])
        self._dealer = Dealer(table, sizes, topic_balance=topic_balance, rng=queries)
        self._rng = np.random.default_rng([seed, _NEGATIVES, *name])
        by_topic = weights.filter(pl.col("language") == table.language)
        self._weight_by_topic = np.full(int(table.topic.max()) + 1, np.nan, dtype=np.float32)
        self._weight_by_topic[by_topic["topic"].to_numpy()] = by_topic["weight"].to_numpy()

    def deal(self, batch: np.ndarray) -> pl.DataFrame:
        """Fill the next slots; takes each slot's batch, ascending."""
        table, num_negatives = self._table, self._num_negatives
        query, positive = self._dealer.deal(np.unique(batch).size)
        negative_RM = sample_negatives(table, query, batch, num_negatives=num_negatives, rng=self._rng)
        unsafe_slot, unsafe = find_not_negatives(table, query, batch, np.column_stack([positive, negative_RM]))
        topic = table.topic[query]
        return pl.DataFrame(
            {
                "query_id": table.query_ids.gather(query),
                "positive": table.document_ids.gather(positive),
                "negatives": self._lists(
                    np.repeat(np.arange(query.size), num_negatives), negative_RM.reshape(-1), query.size
                ),
                "topic": topic.astype(np.int32),
                "weight": self._weight_by_topic[topic],
                "not_negatives": self._lists(unsafe_slot, unsafe, query.size),
            }
        ).with_columns(language=pl.lit(table.language))

    def _lists(self, slot: np.ndarray, document: np.ndarray, num_slots: int) -> pl.Series:
        """Make lists of ids of pairs of slot and document number that come slot by slot; a slot may have none."""
        start = np.searchsorted(slot, np.arange(num_slots + 1))
        ids = self._table.document_ids.gather(document).to_arrow()
        return pl.Series(pa.LargeListArray.from_arrays(pa.array(start, pa.int64()), ids), dtype=pl.List(pl.String))
