import math

import pytest
import torch
from torch.nn.functional import normalize

from tasks.train.losses import info_nce, same_document


def unit(rows: int, *, seed: int, grad: bool = False) -> torch.Tensor:
    values = torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed))
    return normalize(values, dim=-1).requires_grad_(grad)


def plain_loss(query_BD, doc_ND, *, temperature, counts, weight=None, weighting="none", ignored=frozenset()):
    """The docstring's formula, pair by pair, in Python floats' own order."""
    owner = [b for b, count in enumerate(counts) for _ in range(count)]
    losses = []
    for b, query in enumerate(query_BD):
        positive = owner.index(b)
        over = torch.exp(query @ doc_ND[positive] / temperature)
        under = over
        for n, doc in enumerate(doc_ND):
            if n != positive and (b, n) not in ignored:
                factor = weight[owner[n]] if weighting == "negative" else 1.0
                under = under + factor * torch.exp(query @ doc / temperature)
        losses.append((weight[b] if weighting == "query" else 1.0) * -torch.log(over / under))
    return sum(losses) / len(losses)


def evenly(query_BD, doc_ND, **rest):
    """Each query has as many documents."""
    return info_nce(query_BD, doc_ND, num_docs=[len(doc_ND) // len(query_BD)] * len(query_BD), **rest)


def test_info_nce_equals_log_n_when_all_scores_tie():
    ones = normalize(torch.ones(6, 4), dim=-1)
    torch.testing.assert_close(evenly(ones[:2], ones, temperature=0.05), torch.tensor(math.log(6)))


def test_info_nce_equals_hand_computed_value():
    query = torch.tensor([[1.0, 0.0]])
    docs = torch.tensor([[1.0, 0.0], [0.0, 1.0]])  # cosines 1 and 0, divided by 0.5: 2 and 0
    expected = math.log(1 + math.exp(-2))
    torch.testing.assert_close(evenly(query, docs, temperature=0.5), torch.tensor(expected))


@pytest.mark.parametrize("weighting", ["none", "query", "negative"])
def test_info_nce_and_gradients_equal_the_plain_formula(weighting):
    counts, weights = [3, 1, 2], [0.5, 2.0, 1.5]
    ignore = torch.zeros(3, 6, dtype=torch.bool)
    ignore[0, 4] = ignore[2, 1] = True
    gradients = []
    for use_plain in (False, True):
        query, doc = unit(3, seed=1, grad=True), unit(6, seed=2, grad=True)
        if use_plain:
            loss = plain_loss(
                query, doc, temperature=0.1, counts=counts, weight=weights, weighting=weighting,
                ignored={(0, 4), (2, 1)},
            )  # fmt: skip
        else:
            loss = info_nce(
                query, doc, temperature=0.1, num_docs=counts, weight_B=torch.tensor(weights), weighting=weighting,
                ignore_BN=ignore,
            )  # fmt: skip
        loss.backward()
        gradients.append((loss.detach(), query.grad, doc.grad))
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("weighting", ["query", "negative"])
def test_info_nce_with_weights_of_one_equals_unweighted(weighting):
    query, doc = unit(2, seed=3), unit(6, seed=4)
    weighted = evenly(query, doc, temperature=0.1, weight_B=torch.ones(2), weighting=weighting)
    torch.testing.assert_close(weighted, evenly(query, doc, temperature=0.1))


def test_info_nce_query_weight_scales_only_its_query():
    tie = normalize(torch.ones(4, 4), dim=-1)  # each query's loss is log 4
    loss = evenly(tie[:2], tie, temperature=1.0, weight_B=torch.tensor([1.0, 3.0]), weighting="query")
    torch.testing.assert_close(loss, torch.tensor(2 * math.log(4)))


def test_info_nce_negative_weight_counts_a_document_several_times():
    tie = normalize(torch.ones(4, 4), dim=-1)  # query 0: 1 own negative, 2 documents of query 1 that count 3 times
    loss = evenly(tie[:2], tie, temperature=1.0, weight_B=torch.tensor([1.0, 3.0]), weighting="negative")
    first, second = math.log(1 + 1 + 2 * 3), math.log(1 + 3 + 2 * 1)
    torch.testing.assert_close(loss, torch.tensor((first + second) / 2))


def test_info_nce_ignores_masked_pairs_but_never_the_positive():
    tie = normalize(torch.ones(4, 4), dim=-1)
    loss = evenly(tie[:2], tie, temperature=1.0, ignore_BN=torch.ones(2, 4, dtype=torch.bool))
    torch.testing.assert_close(loss, torch.tensor(0.0))


def test_info_nce_does_not_depend_on_order_of_queries():
    query, doc = unit(3, seed=5), unit(6, seed=6)
    turned = evenly(query.flip(0), doc.view(3, 2, 5).flip(0).reshape(6, 5), temperature=0.05)
    torch.testing.assert_close(turned, evenly(query, doc, temperature=0.05))


def test_info_nce_computes_in_float32_under_autocast():
    query, doc = unit(2, seed=7), unit(4, seed=8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reduced = evenly(query, doc, temperature=0.02)
    assert reduced.dtype == torch.float32
    torch.testing.assert_close(reduced, evenly(query, doc, temperature=0.02), rtol=0, atol=0)


@pytest.mark.parametrize("counts", [[2, 2], [2, 3, 0], [5]])
def test_info_nce_rejects_counts_that_do_not_fit(counts):
    with pytest.raises(ValueError, match="counts of 5 documents for 2 queries"):
        info_nce(torch.zeros(2, 4), torch.zeros(5, 4), temperature=0.05, num_docs=counts)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 0.0]), torch.tensor([1.0])])
def test_info_nce_rejects_missing_and_zero_weights(weights):
    with pytest.raises(ValueError, match="expected 2 weights above 0, got"):
        evenly(unit(2, seed=1), unit(4, seed=2), temperature=0.05, weight_B=weights, weighting="query")


def test_info_nce_rejects_temperature_of_zero():
    with pytest.raises(ValueError, match="temperature above 0, got 0"):
        evenly(unit(2, seed=1), unit(4, seed=2), temperature=0)


def test_same_document_finds_the_positive_in_another_querys_documents():
    # query 0 has 7 (positive), 3; query 1 has 5 (positive), 7; query 2 has 7 (positive)
    found = same_document(torch.tensor([7, 3, 5, 7, 7]), [2, 2, 1])
    assert found.tolist() == [
        [False, False, False, True, True],
        [False, False, False, False, False],
        [True, False, False, True, False],
    ]
