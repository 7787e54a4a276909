"""The tokenizer of an encoder's folder without its network: what the stage that tokenizes loads."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from tasks.models.layout import Role, read_json, read_max_tokens, read_prompts

_TEXTS_AT_ONCE = 2048  # for the tokenizer, whose intermediate results are many times the ids


class TextTokenizer:
    """Tokenizer and prompts of an encoder; gives the ids that `Encoder.tokenize` gives."""

    def __init__(self, folder: Path) -> None:
        """Read tokenizer, prompts and limits from a folder as `write_encoder` made it."""
        self._folder = folder
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        pad_token = read_json(folder / "tokenizer_config.json")["pad_token"]
        pad_id = self._tokenizer.token_to_id(pad_token)
        if pad_id is None:
            raise ValueError(
                f"{folder}: expected the padding token {pad_token!r} in tokenizer.json, got none. "
                "Make the folder with write_encoder."
            )
        self._pad_id: int = pad_id
        self._prompts = read_prompts(folder)
        self._max_tokens = read_max_tokens(folder)

    def __call__(self, texts: Sequence[str], *, role: Role, max_tokens: int) -> Iterator[list[int]]:
        """Yield each text's token ids: the role's prompt before it, special tokens included, cut at the end.

        Args:
            texts: any strings; one that the tokenizer reduces to nothing still has a token.
            role: whose prompt is put before the texts.
            max_tokens: longest result, special tokens included.

        Raises:
            ValueError: `max_tokens` is beyond what the network takes.
        """
        if not 1 <= max_tokens <= self._max_tokens:
            raise ValueError(
                f"train.max_{role}_tokens: expected 1..{self._max_tokens} for this encoder, got {max_tokens}. "
                "Lower the setting."
            )
        self._tokenizer.enable_truncation(max_tokens)
        prompt = self._prompts[role]
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            prompted = [prompt + text for text in texts[start : start + _TEXTS_AT_ONCE]]
            for encoding in self._tokenizer.encode_batch_fast(prompted):
                yield encoding.ids or [self._pad_id]
