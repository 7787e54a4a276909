import numpy as np
import pytest

from tasks.plan_batches.clusters import GRID, Clusters, fit_clusters, on_grid

DIRECTIONS = np.eye(8)


def sample(topics: list[int], *, language: int, seed: int, noise: float = 0.05) -> np.ndarray:
    """Embeddings with a strong part for the language (dimensions 4..7) and a weaker one for the topic (0..3)."""
    rng = np.random.default_rng(seed)
    vectors = DIRECTIONS[4 + language] + 0.5 * DIRECTIONS[topics] + noise * rng.standard_normal((len(topics), 8))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


TOPICS = [number % 4 for number in range(80)]
VECTORS = {"en": sample(TOPICS, language=0, seed=1), "sw": sample(TOPICS, language=1, seed=2)}


def assignment(clusters: Clusters, language: str) -> np.ndarray:
    return clusters.assign(language, VECTORS[language])[0]


def test_clusters_are_topics_and_not_languages():
    clusters = fit_clusters(VECTORS, num_topics=4, seed=0)
    english, swahili = assignment(clusters, "en"), assignment(clusters, "sw")
    assert english.tolist() == swahili.tolist()
    assert len({(topic, cluster) for topic, cluster in zip(TOPICS, english, strict=True)}) == 4


def test_order_of_languages_changes_nothing():
    one = fit_clusters(VECTORS, num_topics=3, seed=5)
    other = fit_clusters(dict(reversed(VECTORS.items())), num_topics=3, seed=5)
    assert one.centroid_KD.tobytes() == other.centroid_KD.tobytes()


def test_arithmetic_is_exact_so_that_no_machine_gives_other_topics():
    clusters = fit_clusters(VECTORS, num_topics=4, seed=0)
    whole = on_grid(VECTORS["en"], clusters.means["en"])
    assert np.array_equal(whole, np.rint(whole))
    assert np.array_equal(clusters.centroid_KD, np.rint(clusters.centroid_KD))
    product = whole @ clusters.centroid_KD.T
    exact = [
        [sum(int(a) * int(b) for a, b in zip(row, column, strict=True)) for column in clusters.centroid_KD]
        for row in whole
    ]
    assert product.tolist() == exact


def test_on_grid_scales_to_unit_length_and_keeps_zero():
    mean = np.array([0.25, 0.25])
    assert on_grid(np.array([[3.25, 4.25], [0.25, 0.25]]), mean).tolist() == [
        [round(0.6 * GRID), round(0.8 * GRID)],
        [0, 0],
    ]


def test_confidence_is_one_at_a_centroid_and_zero_half_way():
    clusters = Clusters(np.array([[GRID, 0.0], [0.0, GRID]]), {"en": np.zeros(2)})
    cluster, confidence, cosine = clusters.assign("en", np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    assert cluster.tolist() == [0, 0, 1]
    assert confidence.tolist() == [1, 0, 1]
    assert cosine.tolist() == pytest.approx([1, np.sqrt(0.5), 1], abs=1e-4)


def test_vectors_beyond_the_sample_are_assigned_too(monkeypatch):
    whole = assignment(fit_clusters(VECTORS, num_topics=4, seed=0), "en")
    monkeypatch.setattr("tasks.plan_batches.clusters.MAX_FIT", 60)
    monkeypatch.setattr("tasks.plan_batches.clusters.ROWS_AT_ONCE", 7)
    sampled = assignment(fit_clusters(VECTORS, num_topics=4, seed=0), "en")
    assert len(set(zip(whole.tolist(), sampled.tolist(), strict=True))) == 4


def test_equal_vectors_leave_clusters_that_start_anew():
    same = {"en": np.tile(np.array([[1.0, 0.0]], dtype=np.float16), (5, 1))}
    clusters = fit_clusters(same, num_topics=3, seed=0)
    assert set(clusters.assign("en", same["en"])[0].tolist()) == {0}


def test_one_topic_takes_all():
    clusters = fit_clusters(VECTORS, num_topics=1, seed=0)
    cluster, confidence, _ = clusters.assign("en", VECTORS["en"])
    assert set(cluster.tolist()) == {0}
    assert confidence.min() >= 0
    assert confidence.max() <= 1


def test_rejects_fewer_vectors_than_topics():
    with pytest.raises(ValueError, match="at least num_topics = 161 train queries with a positive, got 160"):
        fit_clusters(VECTORS, num_topics=161, seed=0)
