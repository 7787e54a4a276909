"""A model card: what a model was made from and how well it does, for people and for a model hub."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SYSTEMS = ("bm25", "untrained", "trained")


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What the card says."""

    name: str
    base_model: str | None
    """The hub's name of it; None: there is none, or nobody knows it."""
    num_layers: int
    hidden_size: int
    num_parameters: int
    pooling: str
    prompts: Mapping[str, str]
    max_tokens: int
    data: Sequence[Mapping[str, Any]]
    """A row per language: language, documents, train_queries, judgements, source."""
    num_steps: int
    settings: Mapping[str, Mapping[str, Any]]
    """Stage -> setting -> value."""
    metrics: Sequence[Mapping[str, Any]]
    """system, language (`all`: the mean), metric, value, num_queries."""
    ignores_own_document: bool
    """Whether a document with the query's own id was no hit."""
    lineage: Sequence[tuple[int, str]]
    """Depth and text of each dataset that the model was made from."""
    versions: Mapping[str, str]


def write_card(facts: CardFacts) -> str:
    """Return the text of the README.md that goes with a model. Same facts, same text."""
    sections = [
        _front_matter(facts),
        f"# {facts.name}\n\n{_summary(facts)}",
        f"## Use\n\n{_use(facts)}",
        f"## Results\n\n{_results(facts.metrics, facts.ignores_own_document)}",
        f"## Data\n\n{_data(facts.data)}",
        f"## Settings\n\n{_settings(facts)}",
        f"## Lineage\n\nEach dataset by kind, partition and fingerprint, below the one that was made from it:\n\n"
        f"{_lineage(facts.lineage)}",
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(facts: CardFacts) -> str:
    lines = ["---", "language:", *(f"- {row['language']}" for row in facts.data)]
    lines += ["library_name: sentence-transformers", "pipeline_tag: sentence-similarity"]
    if facts.base_model:
        lines.append(f"base_model: {facts.base_model}")
    return "\n".join([*lines, "tags:", "- sentence-transformers", "- dense-retrieval", "- polyloom", "---"])


def _summary(facts: CardFacts) -> str:
    base = facts.base_model or "a model from a local folder"
    return (
        f"A dense retriever for {', '.join(str(row['language']) for row in facts.data)}, trained on top of {base} "
        f"({facts.num_layers} layers, {facts.num_parameters:,} parameters) in {facts.num_steps} steps by Polyloom: "
        "denoised hard negatives, batches of one language and many topics. Texts become unit vectors of "
        f"{facts.hidden_size} numbers ({facts.pooling} pooling, inputs of up to {facts.max_tokens} tokens); their "
        "inner product ranks documents."
    )


def _use(facts: CardFacts) -> str:
    query, document = (json.dumps(facts.prompts[role], ensure_ascii=False) for role in ("query", "document"))
    code = (
        "```python\nfrom sentence_transformers import SentenceTransformer\n\n"
        'model = SentenceTransformer("path/to/this/folder")\n'
        'queries = model.encode(["a question"], prompt_name="query")\n'
        'documents = model.encode(["a passage", "another one"], prompt_name="document")\n'
        "scores = queries @ documents.T\n```\n\n"
        f"With `transformers.AutoModel`: put {query} before queries and {document} before documents, pool the token "
        f"vectors by {facts.pooling} over the attention mask, and normalise."
    )
    train = facts.settings.get("train", {})
    if sizes := train.get("matryoshka_dimensions"):
        code += (
            f"\n\nTrained for shorter vectors too: `SentenceTransformer(…, truncate_dim={sizes[0]})`; the sizes are "
            f"{', '.join(map(str, sizes))}."
        )
    if rank := train.get("lora_rank"):
        code += f"\n\nTrained by low-rank adapters of rank {rank}, which are merged into the weights."
    return code


def _results(metrics: Sequence[Mapping[str, Any]], ignores_own_document: bool) -> str:
    value = {(row["language"], row["metric"], row["system"]): row["value"] for row in metrics}
    queries = {row["language"]: row["num_queries"] for row in metrics}
    systems = [name for name in _SYSTEMS if any(row["system"] == name for row in metrics)]
    columns = [(name, system) for name in dict.fromkeys(row["metric"] for row in metrics) for system in systems]
    rows = []
    for language in [*sorted(set(queries) - {"all"}), "all"]:
        cells = [value.get((language, *column)) for column in columns]
        shown = ["–" if cell is None else f"{cell:.4f}" for cell in cells]
        rows.append(["mean" if language == "all" else language, str(queries[language]), *shown])
    own = " A document with the query's own id is no hit." if ignores_own_document else ""
    table = _table(["language", "queries", *(f"{name} {system}" for name, system in columns)], rows)
    return (
        "On dev queries, over the whole corpus of a language. *untrained* is the model that training began with, "
        f"*bm25* Lucene's.{own}\n\n{table}"
    )


def _data(data: Sequence[Mapping[str, Any]]) -> str:
    columns = ["language", "documents", "train queries", "judgements", "source"]
    rows = [
        [row["language"], *(f"{row[name]:,}" for name in ("documents", "train_queries", "judgements")), row["source"]]
        for row in data
    ]
    return _table(columns, rows)


def _settings(facts: CardFacts) -> str:
    rows = [
        [f"{stage}.{name}", f"`{json.dumps(value, ensure_ascii=False)}`"]
        for stage, settings in facts.settings.items()
        for name, value in sorted(settings.items())
    ]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(facts.versions.items()))
    return f"{_table(['setting', 'value'], rows)}\n\nMade with {versions}."


def _lineage(lineage: Sequence[tuple[int, str]]) -> str:
    return "\n".join(f"{'  ' * depth}- {text}" for depth, text in lineage)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])
