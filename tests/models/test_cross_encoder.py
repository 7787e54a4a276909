"""The cross-encoder begins as the encoder's own ranking, and loads as it was saved."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny_model import write_tiny_encoder
from transformers import BertConfig, BertForSequenceClassification, BertModel

from tasks.models.cross_encoder import WEIGHTS_FILE, CrossEncoder, count_layers
from tasks.models.encoder import Encoder
from tasks.models.pair_classifier import PairClassifier

PAIRS = [
    ("red apples", "a red apple"),
    ("red apples", "the blue sea and the sky above"),
    ("sea", "blue sea"),
    ("x", ""),
]
LIMITS = {"max_query_tokens": 16, "max_document_tokens": 32}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are many times slower on two threads when another process wants one of the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [text for pair in PAIRS for text in pair]
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder"), texts=words)


@pytest.fixture
def network(folder: Path) -> CrossEncoder:
    return CrossEncoder(Encoder.load(folder, device="cpu"), num_layers=2, seed=0)


def unsettle(network: CrossEncoder) -> CrossEncoder:
    """Give the head and the scale other values than the fresh ones."""
    with torch.no_grad():
        network.out.weight.fill_(0.3)
        network.weight.fill_(1.5)
    network.set_cosine_scale(np.array([0.1, 0.7], dtype=np.float32))
    return network


def scores(network: CrossEncoder, batch_tokens: int = 4096, pairs: list[tuple[str, str]] = PAIRS) -> np.ndarray:
    return network.score_pairs(pairs, batch_tokens=batch_tokens, **LIMITS)


def test_fresh_network_ranks_by_the_encoders_cosine(network: CrossEncoder):
    encoder = network.encoder
    query_ND = encoder.embed([query for query, _ in PAIRS], role="query", max_tokens=16, batch_tokens=64)
    document_ND = encoder.embed([text for _, text in PAIRS], role="document", max_tokens=32, batch_tokens=64)
    np.testing.assert_allclose(scores(network), 2.5 * (query_ND * document_ND).sum(axis=1), atol=1e-5)


def test_joint_input_has_both_texts_and_one_begin(network: CrossEncoder):
    (joint,) = network.tokenize_pairs([("red apples", "blue sea")], **LIMITS)
    query = network.encoder.tokenize(["red apples"], role="query", max_tokens=16)[0]
    document = network.encoder.tokenize(["blue sea"], role="document", max_tokens=32)[0]
    assert joint.ids == [*query, 2, *document[1:]]
    assert joint.ids.count(0) == 1
    assert joint.num_query == len(query)


def test_scores_do_not_depend_on_batches_or_order(network: CrossEncoder):
    unsettle(network)
    together = scores(network)
    np.testing.assert_allclose(scores(network, batch_tokens=1), together, atol=1e-5)
    np.testing.assert_allclose(scores(network, pairs=PAIRS[::-1])[::-1], together, atol=1e-5)


def test_head_sees_query_and_document_together(network: CrossEncoder):
    unsettle(network)
    cosine_B = torch.zeros(2)  # nothing but the joint states can tell the two documents apart
    joint = network.tokenize_pairs(PAIRS[:2], **LIMITS)
    with torch.no_grad():
        raw_B = network(joint, cosine_B)
    assert float((raw_B[0] - raw_B[1]).abs()) > 1e-4


def test_progress_counts_every_pair(network: CrossEncoder):
    done: list[int] = []
    network.score_pairs(PAIRS, batch_tokens=30, progress=done.append, **LIMITS)
    assert sum(done) == len(PAIRS)


def test_no_pairs_give_no_scores(network: CrossEncoder):
    assert scores(network, pairs=[]).shape == (0,)


def test_loads_as_it_was_saved(network: CrossEncoder, folder: Path, tmp_path: Path):
    unsettle(network).save(tmp_path)
    loaded = CrossEncoder.load(tmp_path, encoder=Encoder.load(folder, device="cpu"))
    np.testing.assert_array_equal(scores(loaded), scores(network))


def test_saved_bytes_are_equal_and_leave_the_encoder_out(folder: Path, tmp_path: Path):
    for name in ("one", "two"):
        CrossEncoder(Encoder.load(folder, device="cpu"), num_layers=1, seed=5).save(tmp_path / name)
    one, two = ((tmp_path / name / WEIGHTS_FILE).read_bytes() for name in ("one", "two"))
    assert one == two
    assert b"word_embeddings" not in one


def test_only_layers_and_head_are_trained(network: CrossEncoder):
    trained = {name.partition(".")[0] for name, weight in network.named_parameters() if weight.requires_grad}
    assert trained == {"joint_layers", "dense", "out", "weight"}


def test_rejects_more_layers_than_there_are(folder: Path):
    encoder = Encoder.load(folder, device="cpu")
    assert count_layers(encoder) == 2
    with pytest.raises(ValueError, match=r"expected num_layers in 1..2, got 3"):
        CrossEncoder(encoder, num_layers=3, seed=0)


def test_rejects_weights_of_another_encoder(network: CrossEncoder, tmp_path: Path):
    network.save(tmp_path / "judge")
    other = write_tiny_encoder(tmp_path / "other", texts=["a"], hidden=16)
    with pytest.raises(ValueError, match="expected weights that fit the encoder"):
        CrossEncoder.load(tmp_path / "judge", encoder=Encoder.load(other, device="cpu"))


def test_rejects_inputs_longer_than_the_network_takes(network: CrossEncoder):
    with pytest.raises(ValueError, match=r"have 128 tokens at most, got 64 \+ 65"):
        network.tokenize_pairs(PAIRS, max_query_tokens=64, max_document_tokens=65)


def write_classifier(folder: Path, encoder: Path, num_labels: int) -> Path:
    """A ready cross-encoder: the tiny encoder's tokenizer under a classifier."""
    config = BertConfig.from_pretrained(encoder)
    config.num_labels = num_labels
    BertForSequenceClassification(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((encoder / name).read_bytes())
    return folder


def test_ready_classifier_scores_pairs_as_transformers_does(folder: Path, tmp_path: Path):
    torch.manual_seed(0)
    judge = PairClassifier.load(str(write_classifier(tmp_path, folder, 1)), device="cpu")
    found = judge.score_pairs(PAIRS, batch_tokens=64, **LIMITS)
    for (query, document), raw in zip(PAIRS, found, strict=True):
        with torch.no_grad():
            expected = judge.network(**judge.tokenizer(query, document, return_tensors="pt")).logits[0, 0]
        assert raw == pytest.approx(float(expected), abs=1e-5)


def test_rejects_classifier_with_two_outputs(folder: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="with 1 output and all its weights, got 2 outputs"):
        PairClassifier.load(str(write_classifier(tmp_path, folder, 2)), device="cpu")


def test_rejects_encoder_without_a_head(folder: Path, tmp_path: Path):
    config = BertConfig.from_pretrained(folder)
    config.num_labels = 1
    BertModel(config).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(ValueError, match="no weights for .*classifier"):
        PairClassifier.load(str(tmp_path), device="cpu")


def test_rejects_bundled_encoder_as_cross_encoder():
    with pytest.raises(ValueError, match="expected a folder or a hub id, got a bundled encoder"):
        PairClassifier.load("bundled:multilingual-e5-small", device="cpu")
