"""The sentences of atlas, one file per language."""

from tasks.ingest.atlas.templates import ar, bn, en, es, fa, fi, fr, hi, id, ja, ko, ru, sw, te, th, zh  # noqa: A004
from tasks.ingest.atlas.templates.sentences import Sentences

SENTENCES: dict[str, Sentences] = {
    "ar": ar.SENTENCES,
    "bn": bn.SENTENCES,
    "en": en.SENTENCES,
    "es": es.SENTENCES,
    "fa": fa.SENTENCES,
    "fi": fi.SENTENCES,
    "fr": fr.SENTENCES,
    "hi": hi.SENTENCES,
    "id": id.SENTENCES,
    "ja": ja.SENTENCES,
    "ko": ko.SENTENCES,
    "ru": ru.SENTENCES,
    "sw": sw.SENTENCES,
    "te": te.SENTENCES,
    "th": th.SENTENCES,
    "zh": zh.SENTENCES,
}
"""Language (ISO 639-1) -> its sentences."""
