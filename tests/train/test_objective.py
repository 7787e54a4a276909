import math
from dataclasses import replace

import pytest
import torch
from support.tiny_training import CONFIG, run_training, tiny_encoder
from torch.nn.functional import normalize

from tasks.train.batch import Batch
from tasks.train.losses import distillation, info_nce
from tasks.train.objective import batch_loss, check_objective

NAN = math.nan


def unit(rows, seed=0, grad=False):
    return normalize(torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed)), dim=-1).requires_grad_(grad)


def batch(teacher=None):
    return Batch(
        token_ids=[],
        doc_N=torch.tensor([2, 3, 4, 3]),
        num_docs=[3, 1],
        weight_B=torch.tensor([1.0, 2.0]),
        ignore_BN=torch.zeros(2, 4, dtype=torch.bool),
        teacher_N=teacher,
    )


def plain_divergence(query, docs, scores, *, temperature):
    """One query, in Python floats; unknown documents are left out."""
    known = [n for n, score in enumerate(scores) if not math.isnan(score)]
    if len(known) < 2:
        return 0.0

    def softmax(values):
        powers = [math.exp(value) for value in values]
        return [power / sum(powers) for power in powers]

    student = softmax([float(query @ docs[n]) / temperature for n in known])
    teacher = softmax([scores[n] for n in known])
    return sum(t * math.log(t / s) for t, s in zip(teacher, student, strict=True))


def test_distillation_equals_the_plain_formula():
    query, docs = unit(4, 1), unit(8, 2)
    counts, scores = [3, 1, 2, 2], [4.0, -1.0, NAN, 2.0, 0.5, 1.5, NAN, 3.0]
    starts = [0, 3, 4, 6]
    expected = [
        plain_divergence(query[b], docs[s : s + c], scores[s : s + c], temperature=0.2)
        for b, (s, c) in enumerate(zip(starts, counts, strict=True))
    ]
    assert expected[1] == expected[3] == 0.0
    value = distillation(query, docs, temperature=0.2, num_docs=counts, teacher_N=torch.tensor(scores))
    torch.testing.assert_close(value, torch.tensor(sum(expected) / 4), rtol=1e-5, atol=1e-6)


def test_distillation_has_no_gradient_for_queries_without_scores():
    query, docs = unit(2, 1, grad=True), unit(5, 2, grad=True)
    teacher = torch.tensor([1.0, 0.0, NAN, NAN, NAN])
    distillation(query, docs, temperature=0.1, num_docs=[2, 3], teacher_N=teacher).backward()
    assert query.grad.isfinite().all()
    assert docs.grad.isfinite().all()
    assert query.grad[0].abs().sum() > 0
    assert not query.grad[1].any()
    assert not docs.grad[2:].any()


def test_distillation_is_zero_when_the_student_agrees():
    query, docs = unit(1), unit(3, 2)
    teacher = (query @ docs.T)[0] / 0.1
    value = distillation(query, docs, temperature=0.1, num_docs=[3], teacher_N=teacher)
    assert value.item() == pytest.approx(0.0, abs=1e-6)


def test_batch_loss_adds_the_weighted_divergence():
    text, teacher = unit(5), torch.tensor([2.0, 1.0, 0.0, NAN])
    recipe = replace(CONFIG, distillation_weight=0.5)
    plain = batch_loss(text, batch(teacher), CONFIG, temperature=0.1)
    value = batch_loss(text, batch(teacher), recipe, temperature=0.1)
    expected = distillation(text[:2], text[batch().doc_N], temperature=0.1, num_docs=[3, 1], teacher_N=teacher)
    torch.testing.assert_close(value, plain + 0.5 * expected)


def test_batch_loss_is_the_mean_over_matryoshka_sizes():
    text = unit(5)
    value = batch_loss(text, batch(), replace(CONFIG, weighting="none", matryoshka_dimensions=(4, 2)), temperature=0.1)
    losses = []
    for size in (2, 4, 6):
        cut = torch.stack([row[:size] / row[:size].norm() for row in text])
        losses.append(info_nce(cut[:2], cut[batch().doc_N], temperature=0.1, num_docs=[3, 1]))
    torch.testing.assert_close(value, sum(losses) / 3)
    assert not torch.isclose(value, losses[-1])


def test_rejects_matryoshka_sizes_beyond_the_embedding(tmp_path):
    size = tiny_encoder(tmp_path / "encoder").hidden_size
    with pytest.raises(ValueError, match=rf"matryoshka_dimensions in 1..{size}, got \[999\]"):
        run_training(tmp_path, matryoshka_dimensions=(4, 999))


def test_rejects_distillation_without_scores():
    with pytest.raises(ValueError, match=r"stored scores for distillation_weight 0\.5, got none"):
        check_objective(replace(CONFIG, distillation_weight=0.5), embedding_size=8, has_teacher=False)


def test_training_with_a_teacher_draws_the_student_towards_it(tmp_path):
    scores = {("en", f"q{n}"): {f"d{k}": 0.0 for k in range(6)} for n in range(6)}  # all alike
    _, plain = run_training(tmp_path, checkpoints="a")
    _, distilled = run_training(tmp_path, checkpoints="b", teacher=scores, distillation_weight=1.0)
    assert distilled[0].loss > plain[0].loss


def test_temperature_is_learned_and_logged(tmp_path):
    _, fixed = run_training(tmp_path, checkpoints="a")
    assert {row.temperature for row in fixed} == {0.1}
    _, log = run_training(tmp_path, checkpoints="b", temperature_learning_rate=0.05)
    values = [row.temperature for row in log]
    assert values[0] == pytest.approx(0.1)
    assert len(set(values)) == len(values)
    assert 0.05 < values[-1] < 0.2
    assert log[0].loss == pytest.approx(fixed[0].loss, rel=1e-6)


def test_learned_temperature_moves_by_adam_against_its_gradient(tmp_path):
    _, log = run_training(tmp_path, temperature_learning_rate=0.02, learning_rate=1e-9)
    first, second = log[0].temperature, log[1].temperature
    assert abs(math.log(second / first)) == pytest.approx(0.01, rel=1e-3)  # half the peak in the warm-up's first step
