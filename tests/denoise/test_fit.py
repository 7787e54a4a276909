"""Training of the cross-encoder: its loss, its batches, and that it learns, the same way twice."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from support.tiny_model import write_tiny_encoder

from tasks.denoise.fit import count_steps, draw_groups, group_pairs, pair_loss, train_cross_encoder
from tasks.models.cross_encoder import WEIGHTS_FILE, CrossEncoder, find_cosines
from tasks.models.encoder import Encoder

LIMITS = {"max_query_tokens": 16, "max_document_tokens": 16}
WORDS = ["apple", "river", "stone", "cloud", "horse", "piano", "bread", "glass"]


def task_pairs(numbers: range, word: str = "good") -> pl.DataFrame:
    """Relevant is what is `good`, whatever its words: nothing that the untrained encoder's cosine could know."""
    rows = []
    for number in numbers:
        a, b = WORDS[number % 8], WORDS[(number * 3 + 1) % 8]
        rows.append(("sw" if number % 2 else "te", f"q{number:02d}", a, f"{word} {b}", 1))
        rows.append(("sw" if number % 2 else "te", f"q{number:02d}", a, f"bad {a}", 0))
    schema = {"language": pl.String, "query_id": pl.String, "query": pl.String, "document": pl.String}
    return pl.DataFrame(rows, schema=schema | {"label": pl.Int32}, orient="row").sort("language", "query_id")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are many times slower on two threads when another process wants one of the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder"), texts=[*WORDS, "good", "bad"])


def trained(folder: Path, pairs: pl.DataFrame, num_epochs: float = 15.0) -> CrossEncoder:
    network = CrossEncoder(Encoder.load(folder, device="cpu"), num_layers=1, seed=0)
    texts = list(pairs.select("query", "document").rows())
    train_cross_encoder(
        network,
        pairs,
        find_cosines(network.encoder, texts, batch_tokens=512, **LIMITS),
        num_epochs=num_epochs,
        batch_queries=4,
        learning_rate=1e-3,
        head_learning_rate=1e-2,
        **LIMITS,
        seed=0,
        progress=lambda done: None,
    )
    return network


def accuracy(network: CrossEncoder, pairs: pl.DataFrame) -> float:
    """Share of (relevant, non-relevant) pairs of rows in the right order: the AUC."""
    texts = list(pairs.select("query", "document").rows())
    raw = network.score_pairs(texts, batch_tokens=512, **LIMITS)
    label = pairs["label"].to_numpy()
    return float((raw[label == 1][:, None] > raw[label == 0][None, :]).mean())


def test_training_ranks_queries_that_it_has_not_seen(encoder_folder: Path):
    held_out = task_pairs(range(24, 40))
    assert accuracy(trained(encoder_folder, task_pairs(range(24)), num_epochs=0.1), held_out) < 0.6
    assert accuracy(trained(encoder_folder, task_pairs(range(24))), held_out) > 0.9


def test_training_twice_gives_the_same_bytes(encoder_folder: Path, tmp_path: Path):
    for name in ("one", "two"):
        trained(encoder_folder, task_pairs(range(8)), num_epochs=2.0).save(tmp_path / name)
    one, two = ((tmp_path / name / WEIGHTS_FILE).read_bytes() for name in ("one", "two"))
    assert one == two


def test_training_leaves_the_encoder_as_it_was(encoder_folder: Path):
    network = trained(encoder_folder, task_pairs(range(8)), num_epochs=2.0)
    fresh = Encoder.load(encoder_folder, device="cpu").state_dict()
    for name, weight in network.encoder.state_dict().items():
        assert torch.equal(weight, fresh[name]), name


def test_rejects_pairs_without_a_negative(encoder_folder: Path):
    with pytest.raises(ValueError, match="got 8 relevant of 8"):
        trained(encoder_folder, task_pairs(range(8)).filter(pl.col("label") == 1))


def test_loss_is_the_plain_formula():
    raw, label, query = [1.0, -0.5, 0.2, 2.0], [1.0, 0.0, 0.0, 1.0], [0, 0, 0, 1]
    pointwise = [
        3.0 * math.log1p(math.exp(-r)) if y else math.log1p(math.exp(r)) for r, y in zip(raw, label, strict=True)
    ]
    rivals = math.exp(-0.5) + math.exp(0.2)
    listwise = -math.log(math.exp(1.0) / (math.exp(1.0) + rivals))  # the second query has no negative
    found = pair_loss(torch.tensor(raw), torch.tensor(label), torch.tensor(query), positive_weight=3.0)
    assert float(found) == pytest.approx(sum(pointwise) / 4 + listwise, rel=1e-5)


def test_loss_without_rivals_is_pointwise():
    found = pair_loss(torch.tensor([0.0]), torch.tensor([1.0]), torch.tensor([0]), positive_weight=1.0)
    assert float(found) == pytest.approx(math.log(2.0))


def test_listwise_part_ignores_a_shift_of_one_querys_scores():
    label, query = torch.tensor([1.0, 0.0]), torch.tensor([0, 0])
    low, high = (pair_loss(torch.tensor([1.0 + s, s]), label, query, positive_weight=1.0) for s in (0.0, 5.0))
    pointwise = [math.log1p(math.exp(-1.0 - s)) / 2 + math.log1p(math.exp(s)) / 2 for s in (0.0, 5.0)]
    assert float(high - low) == pytest.approx(pointwise[1] - pointwise[0], rel=1e-4)


def test_languages_are_drawn_equally_however_many_queries_they_have():
    pairs = pl.concat([task_pairs(range(0, 40, 2)), task_pairs(range(1, 4, 2))])  # 20 queries of te, 2 of sw
    groups = group_pairs(pairs)
    assert {language: len(own) for language, own in groups.items()} == {"sw": 2, "te": 20}
    drawn = [group for step in range(10) for group in draw_groups(groups, step=step, batch_queries=4, seed=0)]
    assert sum(group in groups["sw"] for group in drawn) == 20
    assert {group for group in drawn if group in groups["te"]} == set(groups["te"])  # one whole pass


def test_draw_depends_on_step_and_seed_alone():
    groups = group_pairs(task_pairs(range(20)))
    alone = draw_groups(groups, step=7, batch_queries=4, seed=1)
    assert alone == draw_groups(groups, step=7, batch_queries=4, seed=1)
    assert any(
        draw_groups(groups, step=s, batch_queries=4, seed=2) != draw_groups(groups, step=s, batch_queries=4, seed=1)
        for s in range(5)
    )


def test_group_holds_the_rows_of_one_query():
    pairs = task_pairs(range(6))
    for groups in group_pairs(pairs).values():
        for group in groups:
            assert pairs[list(group.rows)]["query_id"].n_unique() == 1
            assert len(group.rows) == 2


def test_steps_cover_the_epochs():
    assert count_steps(task_pairs(range(10)), num_epochs=1.5, batch_queries=4) == 4  # 15 queries in fours
    assert count_steps(task_pairs(range(2)), num_epochs=0.01, batch_queries=4) == 1


def test_cosine_scale_comes_from_the_training_pairs(encoder_folder: Path):
    pairs = task_pairs(range(8))
    network = trained(encoder_folder, pairs, num_epochs=0.1)
    texts = list(pairs.select("query", "document").rows())
    cosines = find_cosines(network.encoder, texts, batch_tokens=512, **LIMITS)
    assert float(network.centre) == pytest.approx(float(np.mean(cosines)), rel=1e-5)
