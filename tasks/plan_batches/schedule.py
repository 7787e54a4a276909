"""Which language each slot of an epoch takes."""

import functools
import itertools
from collections.abc import Iterator

import numpy as np


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
    return rng.permutation(np.repeat(np.arange(shares.size), steps))


class Schedule:
    """The languages of all slots, epoch by epoch: one per step, or drawn for each slot."""

    def __init__(
        self, shares: np.ndarray, *, num_steps: int, batch_size: int, same_language: bool, seed: list[int]
    ) -> None:
        """Describe the epochs.

        Args:
            shares: share of each language, summing to one.
            num_steps: steps of an epoch.
            batch_size: slots of a step.
            same_language: a step has one language.
            seed: an epoch's draws depend on this and its number.
        """
        self._shares, self._num_steps, self._batch_size = shares, num_steps, batch_size
        self._same_language, self._seed = same_language, seed
        self.epoch = functools.lru_cache(maxsize=4)(self._epoch)

    def sizes(self, language: int) -> Iterator[np.ndarray]:
        """Say how many slots a language has in each batch that it is in, an epoch at a time, without an end."""
        for epoch in itertools.count():
            slots = (self.epoch(epoch) == language).sum(axis=1)
            yield slots[slots > 0]

    def _epoch(self, epoch: int) -> np.ndarray:
        """Draw an epoch: language number of each slot, [steps, batch_size]."""
        rng = np.random.default_rng([*self._seed, epoch])
        size = 1 if self._same_language else self._batch_size
        languages = draw_languages(self._shares, num_steps=self._num_steps * size, rng=rng).astype(np.int16)
        return np.broadcast_to(languages.reshape(-1, size), (self._num_steps, self._batch_size))
