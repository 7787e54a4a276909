"""The converter of the bundled encoder, on a small file of the same format written here, and on the real one."""

import struct

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from tasks.models.bundled import dequantize, write_bundled_encoder
from tasks.models.layout import read_json
from tasks.models.locate import locate_model

HIDDEN, LAYERS, HEADS, FEED_FORWARD, ROWS, POSITIONS, TYPES = 32, 2, 2, 64, 8, 4, 2
PIECES = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁ab", -1.0), ("<mask>", 0.0)]
MAP = {"\x01": "", "\t": " ", "①": "1"}


def _shapes():
    shapes = {"emb.word": (ROWS, HIDDEN), "emb.pos": (POSITIONS, HIDDEN), "emb.type": (TYPES, HIDDEN)}
    shapes |= {"emb.ln.w": (HIDDEN,), "emb.ln.b": (HIDDEN,)}
    for layer in range(LAYERS):
        for name in ("q", "k", "v", "ao", "fi", "fo"):
            out_in = {"fi": (FEED_FORWARD, HIDDEN), "fo": (HIDDEN, FEED_FORWARD)}.get(name, (HIDDEN, HIDDEN))
            shapes |= {f"l{layer}.{name}.w": out_in, f"l{layer}.{name}.b": out_in[:1]}
        for name in ("aln", "oln"):
            shapes |= {f"l{layer}.{name}.w": (HIDDEN,), f"l{layer}.{name}.b": (HIDDEN,)}
    return shapes


def _quantized(name):
    return name == "emb.word" or (name.endswith(".w") and name.split(".")[1] in {"q", "k", "v", "ao", "fi", "fo"})


def _weights(rng, shape, *, quantized):
    """Return bytes as the file has them, and the matrix that they stand for, weight by weight."""
    if not quantized:
        values = rng.standard_normal(shape).astype("<f4")
        return values.tobytes(), values.astype(np.float16)
    data, values = b"", []
    for _ in range(shape[0] * shape[1] // 32):
        scale, nibbles = np.float16(rng.uniform(0.01, 0.1)), rng.integers(0, 16, 32)
        packed = [int(low) | int(high) << 4 for low, high in zip(nibbles[:16], nibbles[16:], strict=True)]
        data += struct.pack("<e16B", scale, *packed)
        values += [(int(nibble) - 8) * float(scale) for nibble in nibbles]
    return data, np.array(values, dtype=np.float16).reshape(shape)


def _write_file(path, *, magic=b"E5S1", group=32, without=()):
    rng = np.random.default_rng(7)
    head = struct.pack("<4sI", magic, 1)
    head += struct.pack("<7ifi", HIDDEN, LAYERS, HEADS, FEED_FORWARD, ROWS, POSITIONS, TYPES, 1e-12, group)
    blob = b"".join(piece.encode() for piece, _ in PIECES)
    ends = np.cumsum([0] + [len(piece.encode()) for piece, _ in PIECES])
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(blob))
    head += ends.astype("<u4").tobytes() + np.array([score for _, score in PIECES], "<f4").tobytes() + blob
    entries = b"".join(
        struct.pack(f"<IB{len(to)}I", ord(character), len(to), *map(ord, to)) for character, to in MAP.items()
    )
    head += struct.pack("<iI", len(MAP), len(entries)) + entries
    shapes = {name: shape for name, shape in _shapes().items() if name not in without}
    tensors = {name: _weights(rng, shape, quantized=_quantized(name)) for name, shape in shapes.items()}
    offset = len(head) + 4 + sum(2 + len(name) + 21 for name in tensors)
    directory, body = struct.pack("<i", len(tensors)), b""
    for name, (data, values) in tensors.items():
        place = offset + len(body)
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", int(_quantized(name)), values.size, place, len(data))
        body += data
    path.write_bytes(head + directory + body)
    return path, {name: values for name, (_, values) in tensors.items()}


def test_dequantize_by_hand():
    blocks = np.zeros(2, dtype=[("scale", "<f2"), ("nibbles", "u1", (16,))])
    blocks["scale"] = [0.5, 2.0]
    blocks["nibbles"][0, 0] = 0xF0  # low nibble 0 is weight 0, high nibble 15 is weight 16
    blocks["nibbles"][1, 15] = 0x9A  # low nibble 10 is weight 15, high nibble 9 is weight 31
    weight_RC = dequantize(blocks, (2, 32))
    assert weight_RC.dtype == np.float16
    assert (weight_RC[0, 0], weight_RC[0, 16], weight_RC[0, 1]) == (-4.0, 3.5, -4.0)
    assert (weight_RC[1, 15], weight_RC[1, 31], weight_RC[1, 0]) == (4.0, 2.0, -16.0)


def test_bundled_conversion_puts_every_weight_in_its_place(tmp_path):
    file, values = _write_file(tmp_path / "small.bin")
    write_bundled_encoder(file, tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    assert len(tensors) == len(values) + 2  # and the stand-in pooler
    np.testing.assert_array_equal(tensors["embeddings.word_embeddings.weight"], values["emb.word"])
    np.testing.assert_array_equal(tensors["embeddings.LayerNorm.bias"], values["emb.ln.b"])
    np.testing.assert_array_equal(tensors["encoder.layer.1.attention.self.key.weight"], values["l1.k.w"])
    np.testing.assert_array_equal(tensors["encoder.layer.0.attention.output.LayerNorm.weight"], values["l0.aln.w"])
    np.testing.assert_array_equal(tensors["encoder.layer.0.intermediate.dense.weight"], values["l0.fi.w"])
    np.testing.assert_array_equal(tensors["encoder.layer.1.output.dense.weight"], values["l1.fo.w"])
    np.testing.assert_array_equal(tensors["pooler.dense.weight"], np.eye(HIDDEN))


def test_bundled_conversion_writes_configuration_of_the_file(tmp_path):
    file, _ = _write_file(tmp_path / "small.bin")
    write_bundled_encoder(file, tmp_path / "model", num_layers=1)
    config = read_json(tmp_path / "model" / "config.json")
    assert (config["hidden_size"], config["num_hidden_layers"], config["vocab_size"]) == (32, 1, 8)
    assert config["layer_norm_eps"] == 1e-12
    names = load_file(tmp_path / "model" / "model.safetensors")
    assert not [name for name in names if name.startswith("encoder.layer.1.")]


def test_bundled_conversion_keeps_ids_and_normaliser(tmp_path):
    file, _ = _write_file(tmp_path / "small.bin")
    write_bundled_encoder(file, tmp_path / "model")
    tokenizer = Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json"))
    assert tokenizer.encode("a\x01b\t").ids == [0, 5, 2]
    assert tokenizer.normalizer.normalize_str("①") == "1"


def test_bundled_conversion_repeats_byte_for_byte(tmp_path):
    file, _ = _write_file(tmp_path / "small.bin")
    for name in ("a", "b"):
        write_bundled_encoder(file, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_bundled_conversion_rejects_other_files(tmp_path):
    file, _ = _write_file(tmp_path / "other.bin", magic=b"GGUF")
    with pytest.raises(ValueError, match=r"other.bin: expected the format E5S1 version 1, got b'GGUF' version 1"):
        write_bundled_encoder(file, tmp_path / "model")


def test_bundled_conversion_rejects_other_groups(tmp_path):
    file, _ = _write_file(tmp_path / "other.bin", group=64)
    with pytest.raises(ValueError, match="expected 4-bit groups of 32 weights, got 64"):
        write_bundled_encoder(file, tmp_path / "model")


def test_bundled_conversion_names_missing_tensors(tmp_path):
    file, _ = _write_file(tmp_path / "cut.bin", without=("l1.q.b",))
    with pytest.raises(ValueError, match=r"expected the tensors \['l1.q.b'\], got none"):
        write_bundled_encoder(file, tmp_path / "model")


@pytest.mark.parametrize("num_layers", [0, 3])
def test_bundled_conversion_rejects_layers_it_has_not(tmp_path, num_layers):
    file, _ = _write_file(tmp_path / "small.bin")
    with pytest.raises(ValueError, match=rf"expected num_layers in 1..2, got {num_layers}"):
        write_bundled_encoder(file, tmp_path / "model", num_layers=num_layers)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_real_bundled_tokenizer_gives_published_ids(tmp_path):
    write_bundled_encoder(locate_model("bundled:multilingual-e5-small"), tmp_path, num_layers=1)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ids = tokenizer.encode("query: how much protein should a female eat").ids
    assert ids == [0, 41, 1294, 12, 3642, 5045, 21308, 5608, 10, 117776, 73203, 2]
    assert tokenizer.encode("\x01").ids == [0, 2]
    for padded in (" {}", "{} ", "{}\n", "\u3000{}\u00a0\u200b"):  # as XLM-R's own tokenizer
        assert tokenizer.encode(padded.format("query: how much protein should a female eat")).ids == ids
