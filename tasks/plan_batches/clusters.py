"""Spherical k-means over multilingual embeddings, blind to language, the same on every machine.

All vectors are whole numbers on a grid of 2^-15, so every product and sum below is exact in float64: neither the BLAS,
nor its threads, nor the order of a sum can change a topic.

Shapes: N vectors, K centroids, D dimensions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

GRID = 2**15
MAX_FIT = 50_000  # vectors that the centroids are fitted to, over all languages; the others are only assigned
MAX_ROUNDS = 100
NUM_STARTS = 4  # of k-means; the tightest is kept
ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Clusters:
    """Centroids, and the mean of each language that is taken away first."""

    centroid_KD: np.ndarray
    """Unit vectors times GRID, whole numbers in float64."""
    means: Mapping[str, np.ndarray]
    """Mean vector of each language, [D], float64."""

    def assign(self, language: str, vector_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Assign vectors to their nearest centroids.

        Args:
            language: the vectors' language.
            vector_ND: embeddings, any float type.

        Returns:
            The cluster [N, int64]; how surely (best cosine - second best) / (1 - second best), 0 half-way between two
            centroids and 1 on one [N, float32]; the cosine to the centroid [N, float32].
        """
        chosen = np.empty(len(vector_ND), dtype=np.int64)
        best, second = np.empty(len(vector_ND)), np.empty(len(vector_ND))
        for first in range(0, len(vector_ND), ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            score_NK = on_grid(vector_ND[rows], self.means[language]) @ self.centroid_KD.T / GRID**2
            chosen[rows] = score_NK.argmax(axis=1)
            best[rows] = score_NK.max(axis=1)
            np.put_along_axis(score_NK, chosen[rows, None], -1.0, axis=1)
            second[rows] = score_NK.max(axis=1)
        surely = (best - second) / np.maximum(1 - second, 1 / GRID)
        return chosen, np.clip(surely, 0, 1).astype(np.float32), np.clip(best, -1, 1).astype(np.float32)


def fit_clusters(vectors: Mapping[str, np.ndarray], *, num_topics: int, seed: int) -> Clusters:
    """Cluster embeddings by what they are about, not by language.

    Multilingual encoders put a language's texts in a region of their own. Taking each language's mean away brings the
    languages together; what is left is scaled to length one and clustered by cosine. Of `NUM_STARTS` k-means++ starts
    the one with the highest sum of cosines is kept.

    Args:
        vectors: embeddings [N, D] of each language, in a fixed order of rows.
        num_topics: K.
        seed: draws the starts and, above `MAX_FIT` vectors, the sample.

    Returns:
        K centroids, in no particular order.

    Raises:
        ValueError: fewer vectors than topics.
    """
    total = sum(len(rows) for rows in vectors.values())
    if total < num_topics:
        raise ValueError(
            f"topics: expected at least num_topics = {num_topics} train queries with a positive, got {total}. Lower "
            "plan_batches.topics."
        )
    rng = np.random.default_rng(seed)
    means = {language: vectors[language].mean(axis=0, dtype=np.float64) for language in sorted(vectors)}
    points = []
    for language, vector_ND in sorted(vectors.items()):
        size = MAX_FIT * len(vector_ND) // max(total, MAX_FIT)
        points.append(on_grid(_sample(vector_ND, size, rng), means[language]))
    point_ND = np.concatenate(points)
    fitted = [_fit(point_ND, _start(point_ND, num_topics, rng)) for _ in range(NUM_STARTS)]
    _, centroid_KD = max(fitted, key=lambda fit: fit[0])
    return Clusters(centroid_KD, means)


def on_grid(vector_ND: np.ndarray, mean_D: np.ndarray) -> np.ndarray:
    """Take a mean away, scale to length one and round to the grid; a vector equal to the mean becomes zero."""
    return _unit(np.rint((vector_ND.astype(np.float64) - mean_D) * GRID))


def _unit(whole_ND: np.ndarray) -> np.ndarray:
    length = np.sqrt((whole_ND * whole_ND).sum(axis=1, keepdims=True))
    return np.asarray(np.rint(whole_ND / np.maximum(length, 1) * GRID))


def _sample(vector_ND: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    if len(vector_ND) <= size or not len(vector_ND):
        return vector_ND
    return vector_ND[np.sort(rng.choice(len(vector_ND), max(size, 1), replace=False))]


def _start(point_ND: np.ndarray, num_topics: int, rng: np.random.Generator) -> np.ndarray:
    """Draw centroids far from each other: k-means++ with 1 - cosine as the squared distance."""
    chosen = [int(rng.integers(len(point_ND)))]
    distance_N = GRID**2 - point_ND @ point_ND[chosen[0]]
    while len(chosen) < num_topics:
        reach = np.cumsum(np.maximum(distance_N, 0))
        chosen.append(min(int(np.searchsorted(reach, rng.random() * reach[-1], side="right")), len(point_ND) - 1))
        distance_N = np.minimum(distance_N, GRID**2 - point_ND @ point_ND[chosen[-1]])
    return point_ND[chosen]


def _fit(point_ND: np.ndarray, centroid_KD: np.ndarray) -> tuple[float, np.ndarray]:
    """Move the centroids until none moves; return the sum of cosines, times GRID², and the centroids."""
    fit = 0.0
    for _ in range(MAX_ROUNDS):
        score_NK = point_ND @ centroid_KD.T
        chosen_N = score_NK.argmax(axis=1)
        best_N = score_NK[np.arange(len(point_ND)), chosen_N]
        fit = float(best_N.sum())
        moved_KD = np.empty_like(centroid_KD)
        farthest = iter(np.argsort(best_N, kind="stable"))
        for topic in range(len(centroid_KD)):
            members_ND = point_ND[chosen_N == topic]
            # An empty cluster starts anew at the vector that fits worst.
            moved_KD[topic] = members_ND.mean(axis=0) if len(members_ND) else point_ND[next(farthest)]
        moved_KD = _unit(np.rint(moved_KD))
        if np.array_equal(moved_KD, centroid_KD):
            break
        centroid_KD = moved_KD
    return fit, centroid_KD
