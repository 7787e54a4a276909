"""Which language each step of an epoch takes."""

import numpy as np


def language_shares(num_queries: np.ndarray, temperature: float) -> np.ndarray:
    """Return how often each language is drawn: ~ num_queries ** temperature, so 0 = uniformly, 1 = by size."""
    pulled = np.asarray(num_queries, dtype=np.float64) ** temperature
    return np.asarray(pulled / pulled.sum())


def draw_languages(shares: np.ndarray, *, num_steps: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the languages of an epoch's steps, in random order.

    Each language gets its share of the steps, rounded up or down at random: on average exactly its share, and never
    off by a whole step.

    Args:
        shares: share of each language, summing to one.
        num_steps: steps of the epoch.
        rng: draws.

    Returns:
        Language numbers, one per step.
    """
    edges = np.floor(np.cumsum(shares)[:-1] * num_steps + rng.random()).astype(np.int64)
    steps = np.diff(np.concatenate([[0], np.clip(edges, 0, num_steps), [num_steps]]))
    return rng.permutation(np.repeat(np.arange(shares.size), steps))
