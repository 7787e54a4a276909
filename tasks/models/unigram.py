"""Tokenizers without the pieces that cannot occur: the same ids, for a fraction of the memory.

A Unigram tokenizer splits a text into the pieces with the largest sum of scores, and weighs none that does not stand in
the text. The `tokenizers` library holds 250,000 pieces in 300 MB, of which the texts of one language use a tenth.
Shapes: C characters, V pieces of the vocabulary, K pieces kept, S pieces of one size.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tasks.models.batches import Tokens, pack_tokens

_FACTOR = np.uint32(0x9E3779B1)  # 2^32 over the golden ratio: spreads sums of characters over all bits
_CHARACTERS_AT_ONCE = 2**20
_SPARE_BITS, _MOST_BITS = 4, 26  # of the table of their hashes: about one piece in sixteen is kept by chance


@dataclass(frozen=True)
class Splitter:
    """A tokenizer with all or some of a vocabulary's pieces, and what its ids are in the whole vocabulary."""

    tokenizer: Tokenizer
    id_K: NDArray[np.int32]

    def token_to_id(self, token: str) -> int | None:
        """Return the whole vocabulary's id of a token; None where the tokenizer has no such."""
        narrow_id = self.tokenizer.token_to_id(token)
        return None if narrow_id is None else int(self.id_K[narrow_id])

    def split(self, texts: Sequence[str], *, max_tokens: int) -> Tokens:
        """Return the texts' ids, special tokens included, cut at the end; a text may have none."""
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens)
        narrow = pack_tokens(encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts))
        return Tokens(self.id_K[narrow.ids], narrow.length_N)


class Unigram:
    """The vocabulary of a Unigram tokenizer, kept compactly, to make narrow tokenizers of."""

    def __init__(self, description: dict[str, Any], *, names: Iterable[str] = ()) -> None:
        """Take a tokenizer.json apart.

        Args:
            description: its content, numbers with a point as the bytes that stand in the file: the library reads some
                of them otherwise than Python, and the scores have to stay the same to the last bit.
            names: pieces to keep in every narrow tokenizer; the added tokens are kept anyway.
        """
        vocabulary = description["model"]["vocab"]
        self._model = {key: value for key, value in description["model"].items() if key != "vocab"}
        self._around = {key: value for key, value in description.items() if key != "model"}
        self._added = [token["content"] for token in description["added_tokens"]]
        pieces = [piece for piece, _ in vocabulary]
        self._characters = "".join(pieces)
        self._start_V = np.cumsum([0, *map(len, pieces)], dtype=np.int32)  # and the end of the last
        self._scores = b" ".join(score if isinstance(score, bytes) else b"%d" % score for _, score in vocabulary)
        self._hash_S = dict(_hashes_by_size(self._characters, self._start_V))
        self._kept_V = self._always_kept(pieces, {*names, *self._added})
        self._words = self._word_splitter()

    def narrow(self, blocks: Iterable[Sequence[str]]) -> Splitter:
        """Return a tokenizer that gives all texts in `blocks` the ids that the whole vocabulary gives them."""
        kept_V = self._kept_V.copy()
        words: set[str] = set()
        for texts in blocks:
            for encoding in self._words.encode_batch(texts, add_special_tokens=False):
                words.update(encoding.tokens)
        for text in _joined(words):
            self._mark_occurring(kept_V, text)
        kept_K = np.flatnonzero(kept_V)
        model = dict(self._model)
        if model["unk_id"] is not None:
            model["unk_id"] = int(np.searchsorted(kept_K, model["unk_id"]))
        ids = np.concatenate([kept_K, len(kept_V) + np.arange(len(self._added))])  # where they are no pieces
        return Splitter(_tokenizer(self._around, model, self._entries(kept_K)), ids.astype(np.int32))

    def _entries(self, kept_K: NDArray[np.int64]) -> Iterator[str]:
        scores = self._scores.split(b" ")
        for piece in kept_K.tolist():
            text = self._characters[self._start_V[piece] : self._start_V[piece + 1]]
            yield f"[{json.dumps(text)},{scores[piece].decode()}]"

    def _mark_occurring(self, kept_V: NDArray[np.bool_], text: str) -> None:
        """Mark the pieces that stand in `text`, by hashes: some of the others are marked too, which does no harm."""
        character_C = _code_points(text)
        hash_C = np.zeros_like(character_C)
        bits = min(len(character_C).bit_length() + _SPARE_BITS, _MOST_BITS)
        occurs = np.empty(1 << bits, dtype=bool)  # by the highest bits of a run's hash
        shift = np.uint32(32 - bits)
        for size in range(1, min(max(self._hash_S, default=0), len(character_C)) + 1):
            hash_C = _longer(hash_C, character_C, size)
            if size in self._hash_S:
                piece_S, hash_S = self._hash_S[size]
                occurs[:] = False
                occurs[hash_C * _FACTOR >> shift] = True
                kept_V[piece_S] |= occurs[hash_S * _FACTOR >> shift]

    def _always_kept(self, pieces: list[str], names: set[str]) -> NDArray[np.bool_]:
        """Mark what a narrow tokenizer needs whatever the texts are."""
        if self._model.get("byte_fallback"):
            names |= {f"<0x{byte:02X}>" for byte in range(256)}
        score_V = np.array(self._scores.split(b" "), dtype=np.float64)
        kept_V = np.fromiter((piece in names for piece in pieces), dtype=bool, count=len(pieces))
        kept_V |= score_V == score_V.min(initial=np.inf)  # an unknown character's score follows from the lowest
        kept_V[: max(_integers(self._around["post_processor"]), default=-1) + 1] = True  # it knows tokens by their ids
        if self._model["unk_id"] is not None:
            kept_V[self._model["unk_id"]] = True
        return kept_V

    def _word_splitter(self) -> Tokenizer:
        """Return a tokenizer that knows no piece, so that its tokens are the words as the model gets them."""
        around = self._around | {"post_processor": None, "truncation": None, "padding": None}
        return _tokenizer(around, self._model | {"unk_id": 0}, ['["",0]'])


def read_unigram(file: Path, *, names: Iterable[str] = ()) -> Unigram | None:
    """Read the vocabulary of a tokenizer.json; None where its model is another. `names` as `Unigram` takes them."""
    description = json.loads(file.read_bytes(), parse_float=str.encode)
    return Unigram(description, names=names) if description["model"].get("type") == "Unigram" else None


def read_whole(file: Path) -> Splitter:
    """Load a tokenizer.json of any model with its whole vocabulary."""
    tokenizer = Tokenizer.from_file(str(file))
    return Splitter(tokenizer, np.arange(max(tokenizer.get_vocab().values(), default=-1) + 1, dtype=np.int32))


def _tokenizer(around: dict[str, Any], model: dict[str, Any], entries: Iterable[str]) -> Tokenizer:
    described = json.dumps(model, default=float).removesuffix("}") + f', "vocab": [{",".join(entries)}]}}'
    return Tokenizer.from_str(json.dumps(around, default=float).removesuffix("}") + f', "model": {described}}}')


def _joined(words: Iterable[str]) -> Iterator[str]:
    """Put words into texts of some `_CHARACTERS_AT_ONCE`, each word whole."""
    some: list[str] = []
    size = 0
    for word in words:
        some.append(word)
        size += len(word) + 1
        if size >= _CHARACTERS_AT_ONCE:
            yield " ".join(some)
            some, size = [], 0
    yield " ".join(some)


def _integers(value: Any) -> Iterator[int]:
    """Find all whole numbers in some JSON."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _integers(inner)


def _hashes_by_size(
    characters: str, start_V: NDArray[np.int32]
) -> Iterator[tuple[int, tuple[NDArray[np.int32], NDArray[np.uint32]]]]:
    """Yield each size that pieces have, with the pieces of the size and their hashes."""
    character_C, size_V = _code_points(characters), np.diff(start_V)
    hash_C = np.zeros_like(character_C)
    for size in range(1, size_V.max(initial=0) + 1):
        hash_C = _longer(hash_C, character_C, size)
        piece_S = np.flatnonzero(size_V == size).astype(np.int32)
        if len(piece_S):
            yield size, (piece_S, hash_C[start_V[piece_S]])


def _longer(hash_C: NDArray[np.uint32], character_C: NDArray[np.uint32], size: int) -> NDArray[np.uint32]:
    """Turn the hashes of all runs of `size` - 1 characters into those of `size`."""
    return hash_C[: len(character_C) - size + 1] * _FACTOR + character_C[size - 1 :]


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
