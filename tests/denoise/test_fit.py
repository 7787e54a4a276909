"""Fitting the default judge: it learns what answers, from judgements and from references, and repeats itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tasks.denoise.compare import OWN, REFERENCE
from tasks.denoise.evidence import Evidence
from tasks.denoise.fit import MIN_REFERENCES, fit_evidence_model, to_tensors
from tasks.models.evidence_model import EvidenceModel, relate

SIZE, SENTENCES = 8, 3
SETTINGS = {"strength": 0.03, "reference_strength": 0.03, "relation_ridge": 0.001, "num_steps": 60}


def made(count: int, *, seed: int, has_reference: bool = True) -> tuple[Evidence, NDArray[np.int32]]:
    """Pairs whose first feature, whose reference and whose sentences each tell something of the label."""
    draw = np.random.default_rng(seed)
    label_N = (np.arange(count) % 3 == 0).astype(np.int32)
    own_NF = draw.normal(size=(count, 2 * len(OWN))).astype(np.float32)
    own_NF[:, 0] += label_N
    reference_NF = draw.normal(size=(count, 2 * len(REFERENCE))).astype(np.float32) * has_reference
    reference_NF[:, 1] += 2.0 * label_N * has_reference
    kind_N = draw.integers(0, 2, size=count)
    query_ND = np.eye(SIZE, dtype=np.float32)[kind_N]
    sentence_NSD = np.zeros((count, SENTENCES, SIZE), dtype=np.float16)
    sentence_NSD[:, 0] = np.eye(SIZE)[np.where(label_N > 0, kind_N + 4, 5 - kind_N)]  # kind 0 asks for 4, 1 for 5
    sentence_NSD[:, 1] = np.eye(SIZE)[7]
    return (
        Evidence(
            own_NF,
            reference_NF,
            np.full(count, has_reference),
            query_ND,
            sentence_NSD,
            np.full(count, 2, dtype=np.int64),
        ),
        label_N,
    )


def fitted(evidence: Evidence, label_N: NDArray[np.int32], **changes: float) -> EvidenceModel:
    return fit_evidence_model(evidence, label_N, progress=lambda _: None, **(SETTINGS | changes))[0]  # type: ignore[arg-type]


def won(raw_N: torch.Tensor, label_N: NDArray[np.int32]) -> float:
    """Share of pairs of a relevant and another that are in order."""
    positive, negative = raw_N[label_N > 0], raw_N[label_N == 0]
    return float((positive[:, None] > negative[None]).float().mean())


def test_learns_from_features_sentences_and_references():
    model, (held_out, label_N) = fitted(*made(300, seed=0)), made(300, seed=1)
    tensors = to_tensors(held_out)
    nothing = {"has_reference_N": torch.zeros(300, dtype=torch.bool)}
    alone = won(model.score(**(tensors | nothing)), label_N)
    features_only = won(model.own(tensors["own_NF"]), label_N)
    assert features_only > 0.7
    assert alone > features_only + 0.1  # what kind of sentence answers what kind of question
    assert won(model.score(**tensors), label_N) > alone


def test_same_pairs_give_the_same_bytes(tmp_path: Path):
    for name in ("one", "two"):
        fitted(*made(90, seed=0)).save(tmp_path / name)
    one, two = (next((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_loads_as_it_was_saved(tmp_path: Path):
    evidence, label_N = made(90, seed=0)
    for has_reference in (True, False):
        model = fitted(made(90, seed=0, has_reference=has_reference)[0], label_N)
        model.save(tmp_path / str(has_reference))
        loaded = EvidenceModel.load(tmp_path / str(has_reference))
        torch.testing.assert_close(loaded.score(**to_tensors(evidence)), model.score(**to_tensors(evidence)))


def test_uses_no_reference_where_too_few_relevant_pairs_have_one():
    evidence, label_N = made(90, seed=0)
    few = np.cumsum(label_N) < MIN_REFERENCES
    scarce = Evidence(**{**vars(evidence), "has_reference_N": few})
    assert fitted(scarce, label_N).reference is None
    assert fitted(evidence, label_N).reference is not None


def test_relation_takes_the_best_sentence_and_no_padding():
    query = torch.tensor([[1.0, 0.0]]).repeat(2, 1)
    sentence = torch.tensor([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]])
    both, first_only = relate(torch.eye(2) * 10, query, sentence, torch.tensor([2, 1])).tolist()
    assert both == pytest.approx(40.0)
    assert first_only == pytest.approx(0.0)


def test_progress_counts_the_steps():
    done: list[int] = []
    fit_evidence_model(*made(30, seed=0), progress=done.append, **(SETTINGS | {"num_steps": 3}))  # type: ignore[arg-type]
    assert done == [1, 2, 3]


@pytest.mark.parametrize("label", [0, 1])
def test_rejects_pairs_of_one_label(label: int):
    evidence, label_N = made(9, seed=0)
    with pytest.raises(ValueError, match=rf"expected relevant and non-relevant pairs, got {9 * label} relevant of 9"):
        fitted(evidence, np.full_like(label_N, label))
