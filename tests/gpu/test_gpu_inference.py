"""On a GPU: what the CPU gives, by the same code. Torch and transformers alone, so that a bare GPU box runs these."""

import numpy as np
import pytest
import torch
from support.tiny_model import write_tiny_encoder
from transformers import AutoModelForSequenceClassification

from tasks.models.encoder import Encoder
from tasks.models.pair_classifier import PairClassifier
from tasks.retrieve.torch_products import TorchProducts

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
WORDS = ["red", "blue", "sky", "apple", "pear", "long", "short", "river", "stone", "light"]
TEXTS = [" ".join(WORDS[(start + step) % 10] for step in range(1 + start % 23)) for start in range(300)] + [""]
LIMITS = {"max_query_tokens": 16, "max_document_tokens": 48}


def devices():
    """Return the default GPU, and the last by its number."""
    return ["cuda", f"cuda:{torch.cuda.device_count() - 1}"]


def vectors(folder, device, dtype=torch.float32, **settings):
    encoder = Encoder.load(folder, device=device, dtype=dtype)
    given = {"role": "document", "max_tokens": 32, "batch_tokens": 1024} | settings
    return np.concatenate(list(encoder.embed_each([TEXTS[:200], TEXTS[200:]], **given)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder") / "model", texts=TEXTS)


@pytest.fixture(scope="module")
def judge_folder(folder, tmp_path_factory):
    place = write_tiny_encoder(tmp_path_factory.mktemp("judge") / "model", texts=TEXTS)
    torch.manual_seed(0)
    network = AutoModelForSequenceClassification.from_pretrained(place, num_labels=1)
    with torch.no_grad():
        network.bert.pooler.dense.weight.normal_(std=0.2)
        network.classifier.weight.normal_(std=5.0)
    network.save_pretrained(place)
    return place


def test_vectors_in_float32_are_the_cpus(folder):
    expected_ND = vectors(folder, "cpu")
    for device in devices():
        np.testing.assert_allclose(vectors(folder, device), expected_ND, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_vectors_in_half_precision_are_close(folder, dtype):
    cosine_N = (vectors(folder, "cuda", dtype) * vectors(folder, "cpu")).sum(axis=1)
    assert cosine_N.min() > 0.99


def test_vectors_do_not_depend_on_what_runs_ahead_or_on_the_batch(folder):
    expected_ND = vectors(folder, "cuda", ahead=False)
    for settings in ({"ahead": True}, {"batch_tokens": 65_536}, {"batch_tokens": 64}):
        np.testing.assert_allclose(vectors(folder, "cuda", **settings), expected_ND, atol=1e-5)


@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-3), (torch.bfloat16, 1.0)])
def test_pairs_score_as_on_the_cpu(judge_folder, dtype, apart):
    pairs = [(text[:12], other) for text, other in zip(TEXTS, TEXTS[::-1], strict=True)]
    expected = PairClassifier.load(judge_folder, device="cpu").score_pairs(pairs, **LIMITS, batch_tokens=1024)
    assert np.ptp(expected) > 0.05
    for device in devices():
        judge = PairClassifier.load(judge_folder, device=device, dtype=dtype)
        np.testing.assert_allclose(judge.score_pairs(pairs, **LIMITS, batch_tokens=1024), expected, atol=apart)


def test_search_finds_what_numpy_finds():
    random = np.random.default_rng(0)
    query_QD, document_ND = (random.normal(size=(n, 64)).astype(np.float16) for n in (40, 3000))
    product_QN = query_QD.astype(np.float64) @ document_ND.astype(np.float64).T
    expected_QC = np.argsort(-product_QN, axis=1)[:, :20]
    for device in devices():
        best = TorchProducts(device, query_QD.astype(np.float32)).of(document_ND)
        found_QC, position_QC = best(np.arange(40), 20)
        np.testing.assert_array_equal(position_QC, expected_QC)
        np.testing.assert_allclose(found_QC, np.take_along_axis(product_QN, expected_QC, 1), rtol=1e-5)


def test_too_large_a_batch_names_the_setting(folder, monkeypatch):
    encoder = Encoder.load(folder, device="cuda")
    with torch.cuda.device(0):
        torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        with pytest.raises(RuntimeError, match="embed: expected a batch of .* Lower resources.batch_tokens."):
            encoder.embed(TEXTS * 100, role="document", max_tokens=32, batch_tokens=10**9)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
