"""The tokenizer of an encoder's folder, which needs no network: texts to token ids."""

import functools
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tasks.models.batches import Tokens
from tasks.models.layout import Role, read_json, read_max_tokens, read_prompts
from tasks.models.unigram import Splitter, Unigram, read_unigram, read_whole

_TEXTS_AT_ONCE = 256  # for the tokenizer, whose intermediate results are many times the ids
_TEXTS_AT_ONCE_WHOLE = 4096  # where many cores work for a GPU
# Unicode's default ignorables that are no format characters, and the braille blank
_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


class TextTokenizer:
    """Tokenizer, prompts and limits of an encoder.

    A Unigram vocabulary is narrowed to what the texts of a call can use, and is in memory whole only where that is
    asked for.
    """

    def __init__(self, folder: Path) -> None:
        """Read tokenizer, prompts and limits from a folder as `write_encoder` made it."""
        self.folder = folder
        self.prompts = read_prompts(folder)
        self.max_tokens = read_max_tokens(folder)
        file = folder / "tokenizer.json"
        pad_token = read_json(folder / "tokenizer_config.json")["pad_token"]
        self._model = read_unigram(file, names=[pad_token]) or read_whole(file)
        pad_id = self._splitter(()).token_to_id(pad_token)
        if pad_id is None:
            raise ValueError(
                f"{folder}: expected the padding token {pad_token!r} in tokenizer.json, got none. "
                "Make the folder with write_encoder."
            )
        self.pad_id: int = pad_id

    def __call__(self, texts: Sequence[str], *, role: Role, max_tokens: int) -> Iterator[list[int]]:
        """Yield each text's token ids as a list; arguments and errors as those of `blocks`."""
        for tokens in self.blocks(texts, role=role, max_tokens=max_tokens):
            yield from tokens

    def blocks(self, texts: Sequence[str], *, role: Role, max_tokens: int, whole: bool = False) -> Iterator[Tokens]:
        """Yield the texts' token ids, some hundred texts at a time.

        The role's prompt goes before a text, special tokens are included, and it is cut at the end.

        Args:
            texts: any strings; one of white space and invisible characters alone is as good as an empty one, and
                one that the tokenizer reduces to nothing still has a token.
            role: whose prompt is put before the texts.
            max_tokens: longest result, special tokens included.
            whole: with the whole vocabulary, some thousand texts at a time: faster, in more memory.

        Raises:
            ValueError: `max_tokens` is beyond what the network takes.
        """
        if not 1 <= max_tokens <= self.max_tokens:
            raise ValueError(
                f"max_tokens of a {role}: expected 1..{self.max_tokens} for the encoder in {self.folder}, got "
                f"{max_tokens}. Correct the setting."
            )
        prompt = self.prompts[role]
        splitter = self._whole if whole else self._splitter(_prompted(texts, prompt, _TEXTS_AT_ONCE))
        for block in _prompted(texts, prompt, _TEXTS_AT_ONCE_WHOLE if whole else _TEXTS_AT_ONCE):
            yield splitter.split(block, max_tokens=max_tokens).filled(self.pad_id)

    @functools.cached_property
    def _whole(self) -> Splitter:
        return self._model if isinstance(self._model, Splitter) else read_whole(self.folder / "tokenizer.json")

    def _splitter(self, blocks: Iterable[Sequence[str]]) -> Splitter:
        return self._model.narrow(blocks) if isinstance(self._model, Unigram) else self._model


def _prompted(texts: Sequence[str], prompt: str, number: int) -> Iterator[list[str]]:
    for start in range(0, len(texts), number):
        yield [prompt if _is_blank(text) else prompt + text for text in texts[start : start + number]]


def _is_blank(text: str) -> bool:
    """Say whether nothing of a text is seen; looks no further than the first character that is."""
    return all(
        unicodedata.category(one)[0] == "Z"
        or unicodedata.category(one) in ("Cc", "Cf")
        or one in _BLANKS
        or any(ord(one) in selectors for selectors in _VARIATION_SELECTORS)
        for one in text
    )
