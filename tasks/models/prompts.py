"""The pooling and the prompts that an encoder was made for: its own files say, or it is of a known family.

Light on purpose, no torch: planning a run asks.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.models import layout
from tasks.models.layout import Pooling, Role, read_json, read_prompts
from tasks.models.locate import locate_model

_PROMPTS_FILE = "config_sentence_transformers.json"
_WEB_SEARCH = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"


@dataclass(frozen=True)
class MadeFor:
    """How a model wants its texts, and who says so."""

    pooling: Pooling
    query_prompt: str
    document_prompt: str
    pooling_by: str
    """`by its files`, `as …` a family, or empty: nobody says."""
    prompts_by: str


@dataclass(frozen=True)
class _Family:
    """Models whose names match, in lower case and with hyphens; Source: the model cards."""

    name: str
    pattern: str
    pooling: Pooling
    query_prompt: str = ""
    document_prompt: str = ""

    @property
    def says(self) -> str:
        """Who says so, for people."""
        return f"as {self.name}" if self.name else ""


_FAMILIES = (  # the first that matches
    _Family("E5 with instructions", r"e5-(small|base|large)-instruct", "mean", f"{_WEB_SEARCH} "),
    _Family("E5 with instructions", r"e5-mistral", "last", f"{_WEB_SEARCH} "),
    _Family("E5", r"e5-(small|base|large)", "mean", "query: ", "passage: "),
    _Family("BGE-M3", r"bge-m3", "cls"),
    _Family("BGE", r"bge-(small|base|large)-en", "cls", "Represent this sentence for searching relevant passages: "),
    _Family("BGE", r"bge-(small|base|large)-zh", "cls", "为这个句子生成表示以用于检索相关文章："),
    _Family("GTE-Qwen", r"gte-qwen\d?", "last", f"{_WEB_SEARCH} "),
    _Family("GTE", r"gte-(multilingual|modernbert|[a-z]+-zh|[a-z]+-en-v1\.5)", "cls"),
    _Family("GTE", r"gte-(tiny|small|base|large)", "mean"),
    _Family("Qwen3-Embedding", r"qwen3-embedding", "last", _WEB_SEARCH),
    _Family("EmbeddingGemma", r"embedding-?gemma", "mean", "task: search result | query: ", "title: none | text: "),
)


def made_for(source: str) -> MadeFor:
    """Say how a model wants its texts; mean pooling without prompts where nobody says.

    Args:
        source: as for `locate_model`.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: its files name a pooling, or further layers, that we do not compute.
    """
    place = locate_model(source)
    names = [name.lower().replace("_", "-") for name in _names(source, place)]
    family = next(
        (one for name in names for one in _FAMILIES if re.search(rf"(?<![a-z0-9]){one.pattern}(?![a-z0-9])", name)),
        _Family("", "", "mean"),
    )
    pooling, pooling_by = family.pooling, family.says
    if layout.pooling_file(place).is_file():
        pooling, pooling_by = layout.read_pooling(place), "by its files"
    prompts, prompts_by = _own_prompts(place), "by its files"
    if prompts is None:
        prompts, prompts_by = {"query": family.query_prompt, "document": family.document_prompt}, family.says
    return MadeFor(pooling, prompts["query"], prompts["document"], pooling_by, prompts_by)


def describe(source: str, *, pooling: Pooling, query_prompt: str, document_prompt: str) -> str:
    """Say in one line how a model's texts are prepared, and by whose word: settings, its files or its family."""
    own, unknown = made_for(source), "nothing is known of this model: set it if it wants another"
    pooled_by = own.pooling_by or unknown if pooling == own.pooling else "by the settings"
    as_made = (query_prompt, document_prompt) == (own.query_prompt, own.document_prompt)
    prompted_by = own.prompts_by or unknown.replace("another", "one") if as_made else "by the settings"
    prompts = f"{_quoted(query_prompt)} before queries, {_quoted(document_prompt)} before documents"
    if not query_prompt and not document_prompt:
        prompts = "no prompt"
    return f"{source}: {pooling} pooling ({pooled_by}); {prompts} ({prompted_by}){_left_undone(locate_model(source))}"


def _left_undone(folder: Path) -> str:
    """Say what a model's files state that is not followed: prompts of other names, vectors that are not normalised."""
    if not (folder / _PROMPTS_FILE).is_file():
        return ""
    config, notes = read_json(folder / _PROMPTS_FILE), ""
    others = sorted(name for name, text in (config.get("prompts") or {}).items() if text)
    if others and not any(read_prompts(folder).values()):
        notes = f"; its files have prompts for {', '.join(others)}: set those that are meant"
    compared = config.get("similarity_fn_name") or "cosine"
    if compared != "cosine" and "Normalize" not in layout.read_modules(folder):
        notes += f"; compared by cosine, though its files say {compared}"
    return notes


def _quoted(prompt: str) -> str:
    return json.dumps(prompt, ensure_ascii=False) if prompt else "nothing"


def _own_prompts(folder: Path) -> dict[Role, str] | None:
    """Read the prompts that a folder states; None where it states none.

    sentence-transformers 5 writes empty prompts whatever the model: only a file that it did not write means them.
    """
    if not (folder / _PROMPTS_FILE).is_file():
        return None
    config, prompts = read_json(folder / _PROMPTS_FILE), read_prompts(folder)
    meant = any(prompts.values()) or (
        "__version__" not in config and {"query", "document"} <= set(config.get("prompts") or {})
    )
    return prompts if meant else None


def _names(source: str, place: Path) -> Iterator[str]:
    """Yield what a model is called: by the setting, its folder, the hub's cache and its own configuration."""
    if Path(source).expanduser().is_dir():
        folder = place.resolve()  # however it is spelled
        yield folder.name
        if folder.parent.name == "snapshots":
            yield folder.parent.parent.name
    else:
        yield source
    if place.is_dir():
        yield read_json(place / "config.json").get("_name_or_path") or ""
