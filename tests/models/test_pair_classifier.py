"""A ready cross-encoder on a tiny real network: what transformers gives pair by pair."""

import shutil
import weakref

import numpy as np
import pytest
import torch
from support.tiny_model import write_tiny_encoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tasks.models.pair_classifier import PairClassifier

PAIRS = [
    ("what is red", "an apple is red"),
    ("what is red", ""),
    ("", "the sky is blue and the sea is deep " * 6),
    ("what", "東京は日本の首都です"),
    ("what is red and what is blue", "red"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_tiny_encoder(
        tmp_path_factory.mktemp("cross") / "model", texts=[text for pair in PAIRS for text in pair]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
        with torch.no_grad():
            network.bert.pooler.dense.weight.normal_(std=0.2)  # as drawn all pairs score alike
            network.classifier.weight.normal_(std=5.0)
    network.save_pretrained(folder)
    return folder


def _score(folder, pairs, **changes):
    limits = {"max_query_tokens": 8, "max_document_tokens": 24, "batch_tokens": 64} | changes
    return PairClassifier.load(folder, device="cpu").score_pairs(pairs, **limits)


def test_scores_equal_plain_transformers_pair_by_pair(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    expected = []
    for query, document in PAIRS:
        inputs = tokenizer(query, document, truncation="only_second", max_length=32, return_tensors="pt")
        with torch.no_grad():
            expected.append(network(**inputs).logits.item())
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(_score(folder, PAIRS), expected, atol=1e-5)


def test_scores_keep_order_whatever_the_batch(folder):
    together = _score(folder, PAIRS, batch_tokens=10_000)
    np.testing.assert_allclose(_score(folder, PAIRS, batch_tokens=1), together, atol=1e-5)
    np.testing.assert_allclose(_score(folder, PAIRS[::-1])[::-1], together, atol=1e-5)


def test_scoring_again_with_one_classifier_gives_the_same(folder):
    judge = PairClassifier.load(folder, device="cpu")
    limits = {"max_query_tokens": 8, "max_document_tokens": 24, "batch_tokens": 64}
    first = judge.score_pairs(PAIRS, **limits)
    np.testing.assert_array_equal(judge.score_pairs(PAIRS, **limits), first)


def test_reports_every_pair_once_and_takes_none(folder):
    done = []
    _score(folder, PAIRS, progress=done.append)
    assert sum(done) == len(PAIRS)
    assert len(done) > 1
    assert _score(folder, []).shape == (0,)


@pytest.mark.parametrize("batch_tokens", [1, 64, 10_000])
def test_tokenizing_ahead_gives_the_same(folder, batch_tokens, monkeypatch):
    monkeypatch.setattr("tasks.models.pair_classifier._PAIRS_AHEAD", 2)
    plain = _score(folder, PAIRS, batch_tokens=1)
    np.testing.assert_allclose(_score(folder, PAIRS, batch_tokens=batch_tokens, ahead=True), plain, atol=1e-5)
    assert _score(folder, [], ahead=True).shape == (0,)


def test_networks_that_want_padding_on_the_left_get_it(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "left")
    tokenizer = AutoTokenizer.from_pretrained(copy, padding_side="left")
    tokenizer.save_pretrained(copy)
    seen = []
    judge = PairClassifier.load(copy, device="cpu")
    judge.network.register_forward_pre_hook(lambda module, args, given: seen.append(given), with_kwargs=True)
    pairs = [pair for pair in PAIRS if pair[1]]  # to transformers the other is none
    judge.score_pairs(pairs, max_query_tokens=8, max_document_tokens=24, batch_tokens=10_000)
    given = {"truncation": "only_second", "max_length": 32, "padding": True, "pad_to_multiple_of": 8}
    expected = [tokenizer(*pair, **given) for pair in pairs]
    rows = [
        (ids, attended)
        for batch in seen
        for ids, attended in zip(batch["input_ids"].tolist(), attention_of(batch).tolist(), strict=True)
    ]
    assert sorted(rows) == sorted((one["input_ids"], one["attention_mask"]) for one in expected)
    assert all(attended[-1] for _, attended in rows)
    assert not all(attended[0] for _, attended in rows)


def attention_of(batch):
    return torch.ones_like(batch["input_ids"]) if batch["attention_mask"] is None else batch["attention_mask"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_scores_in_the_type_that_is_asked_for_alone(folder, dtype):
    judge, seen = PairClassifier.load(folder, device="cpu", dtype=dtype), set()
    layer = next(one for one in judge.network.modules() if isinstance(one, torch.nn.Linear))
    layer.register_forward_hook(lambda module, given, made: seen.add(made.dtype))  # what autocast would change
    found = judge.score_pairs(PAIRS, max_query_tokens=8, max_document_tokens=24, batch_tokens=64)
    assert seen == {dtype}
    np.testing.assert_allclose(found, _score(folder, PAIRS), atol=0.2)


def test_tokenizer_is_gone_when_the_network_runs(folder, monkeypatch):
    load, made, alive = AutoTokenizer.from_pretrained, [], []

    def remembering(*args, **options):
        tokenizer = load(*args, **options)
        made.append(weakref.ref(tokenizer))
        return tokenizer

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", remembering)
    judge = PairClassifier.load(folder, device="cpu")
    judge.network.register_forward_pre_hook(lambda *_: alive.extend(one() is not None for one in made))
    judge.score_pairs(PAIRS, max_query_tokens=8, max_document_tokens=24, batch_tokens=10_000)
    assert set(alive) == {False}


def test_rejects_a_model_without_a_head(tmp_path):
    with pytest.raises(ValueError, match="expected a sequence classifier with 1 output and all its weights, got"):
        PairClassifier.load(write_tiny_encoder(tmp_path / "model"), device="cpu")
