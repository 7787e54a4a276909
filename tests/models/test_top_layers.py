"""The last layers of an encoder: put in and taken out again, stored and loaded."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.tiny_model import write_tiny_encoder
from torch import nn

from tasks.models.encoder import Encoder
from tasks.models.top_layers import LAYERS_FILE, copy_top_layers, load_layers, put_in, save_layers

TEXTS = ["apple river", "stone cloud horse", "piano"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = write_tiny_encoder(tmp_path_factory.mktemp("encoder"), texts=" ".join(TEXTS).split(), layers=3)
    return Encoder.load_for_inference(folder, device="cpu")


def changed(encoder: Encoder, number: int) -> nn.ModuleList:
    layers = copy_top_layers(encoder, number)
    with torch.no_grad():
        for weight in layers.parameters():
            weight += 0.1
    return layers


def embed(encoder: Encoder) -> NDArray[np.float32]:
    return encoder.embed(TEXTS, role="document", max_tokens=16, batch_tokens=64)


def test_layers_compute_while_they_are_in_and_no_longer(encoder: Encoder):
    before = embed(encoder)
    with put_in(encoder, changed(encoder, 2)):
        assert not np.allclose(embed(encoder), before, atol=1e-3)
    np.testing.assert_array_equal(embed(encoder), before)


def test_own_layers_are_back_after_an_error(encoder: Encoder):
    before = embed(encoder)
    with pytest.raises(KeyboardInterrupt), put_in(encoder, changed(encoder, 1)):
        raise KeyboardInterrupt
    np.testing.assert_array_equal(embed(encoder), before)


def test_a_copy_computes_the_same_and_has_all_layers_at_most(encoder: Encoder):
    before = embed(encoder)
    layers = copy_top_layers(encoder, 99)
    assert len(layers) == 3
    with put_in(encoder, layers):
        np.testing.assert_array_equal(embed(encoder), before)


def test_layers_are_loaded_as_they_were_saved(encoder: Encoder, tmp_path: Path):
    layers = changed(encoder, 2)
    for name in ("one", "two"):
        save_layers(layers, tmp_path / name)
    assert (tmp_path / "one" / LAYERS_FILE).read_bytes() == (tmp_path / "two" / LAYERS_FILE).read_bytes()
    with put_in(encoder, layers):
        expected = embed(encoder)
    loaded = load_layers(encoder, tmp_path / "one")
    assert loaded is not None
    with put_in(encoder, loaded):
        np.testing.assert_array_equal(embed(encoder), expected)


def test_a_folder_without_layers_has_none(encoder: Encoder, tmp_path: Path):
    assert load_layers(encoder, tmp_path) is None


def test_another_encoders_layers_are_refused(encoder: Encoder, tmp_path: Path):
    other = Encoder.load(write_tiny_encoder(tmp_path / "other", hidden=16, layers=2), device="cpu")
    save_layers(copy_top_layers(other, 1), tmp_path / "layers")
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_layers(encoder, tmp_path / "layers")
