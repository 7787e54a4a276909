"""Settings of ingest: where the raw files are and how to read them."""

import re
from typing import Literal, get_args

from pydantic import Field, model_validator

from tasks.engine.step import Settings
from tasks.ingest.atlas.config import AtlasConfig

LANGUAGES = ("ar", "bn", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "zh")
Layout = Literal["atlas", "miracl", "beir", "table"]
What = Literal["corpus", "queries", "qrels"]
Form = Literal["table", "topics", "trec", "passages"]
FileFormat = Literal["jsonl", "tsv", "parquet"]
OnBadRow = Literal["error", "quarantine"]

# What a layout's publisher calls the files, below `ingest.path`.
PATTERNS: dict[str, dict[str, str]] = {
    "miracl": {
        "corpus": "miracl-corpus-v1.0-{language}/docs-*.jsonl.gz",
        "queries": "miracl-v1.0-{language}/topics/topics.miracl-v1.0-{language}-{split}.tsv",
        "qrels": "miracl-v1.0-{language}/qrels/qrels.miracl-v1.0-{language}-{split}.tsv",
    },
    "beir": {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels/{split}.tsv"},
}
HUB_PREFIX = "hf://datasets/"
# Where they are if `ingest.path` is empty.
HUB = {
    "corpus": "hf://datasets/miracl/miracl-corpus/",
    "queries": "hf://datasets/miracl/miracl/",
    "qrels": "hf://datasets/miracl/miracl/",
}
FORMS: dict[str, dict[str, Form]] = {
    "miracl": {"corpus": "table", "queries": "topics", "qrels": "trec"},
    "beir": {"corpus": "table", "queries": "table", "qrels": "table"},
    "table": {"corpus": "table", "queries": "table", "qrels": "table"},
}
COLUMNS_OF: dict[str, tuple[str, ...]] = {
    "corpus": ("doc_id", "title", "text"),
    "queries": ("query_id", "query"),
    "qrels": ("query_id", "doc_id", "relevance"),
}
LAYOUT_COLUMNS: dict[str, dict[str, dict[str, str]]] = {
    "miracl": {"corpus": {"doc_id": "docid", "title": "title", "text": "text"}},
    "beir": {
        "corpus": {"doc_id": "_id", "title": "title", "text": "text"},
        "queries": {"query_id": "_id", "query": "text"},
        "qrels": {"query_id": "query-id", "doc_id": "corpus-id", "relevance": "score"},
    },
}


class Columns(Settings):
    """What a table's own columns are called (layout `table` only)."""

    doc_id: str = Field(default="doc_id", description="Column of the document id, in the corpus and the qrels.")
    title: str = Field(default="title", description="Column of the title; it may be missing.")
    text: str = Field(default="text", description="Column of the document's text.")
    query_id: str = Field(default="query_id", description="Column of the query id, in the queries and the qrels.")
    query: str = Field(default="text", description="Column of the query's text.")
    relevance: str = Field(default="relevance", description="Column of the relevance; 0 = judged not relevant.")


class IngestConfig(Settings):
    """Where corpus, queries and qrels come from.

    Patterns may hold `{language}`, `{split}`, `*` and `${VARIABLE}` of the environment; they are looked up below
    `path` unless they are absolute or URLs. Any fsspec URL will do, and `hf://datasets/owner/name@revision/…` for a
    dataset on the Hugging Face hub.
    """

    layout: Layout = Field(
        default="atlas", description="atlas (the generated sample), miracl, beir, or table (columns named below)."
    )
    path: str = Field(
        default="", description="Folder or URL that the patterns start from. Empty with layout miracl: the hub."
    )
    corpus: str = Field(default="", description="Pattern of the corpus files. Empty: the layout's own names.")
    queries: str = Field(default="", description="Pattern of the query files. Empty: the layout's own names.")
    qrels: str = Field(default="", description="Pattern of the qrels files. Empty: the layout's own names.")
    passages: str = Field(
        default="",
        description="Pattern of MIRACL train JSONL files, in which a query carries its judged passages; they stand "
        "in for corpus, queries and qrels, each where its own pattern is empty.",
    )
    columns: Columns = Field(default=Columns(), description="Column names of layout table.")
    train_split: str = Field(default="train", description="What {split} is called for train. Empty: there is none.")
    dev_split: str = Field(default="dev", description="What {split} is called for dev. Empty: there is none.")
    allow_missing_train: bool = Field(
        default=False, description="Accept a language without train files: it is then only evaluated."
    )
    validation_share: float = Field(
        default=0.1, ge=0.0, lt=1.0, description="Share of the train queries that is held out as validation."
    )
    seed: int = Field(default=0, description="Decides which train queries are held out.")
    on_bad_row: OnBadRow = Field(
        default="error",
        description="error: stop at the first row that cannot be used. quarantine: leave such rows out and list "
        "them with their reasons in the quarantine dataset.",
    )
    atlas: AtlasConfig = Field(default=AtlasConfig(), description="Size and seed of the generated sample.")

    @model_validator(mode="after")
    def _patterns_are_whole(self) -> "IngestConfig":
        for name in ("path", "corpus", "queries", "qrels", "passages"):
            unknown = set(re.findall(r"(?<!\$)\{(\w*)\}", getattr(self, name))) - {"language", "split"}
            if unknown:
                raise ValueError(
                    f"ingest.{name}: expected the placeholders {{language}} and {{split}}, "
                    f"got {sorted(unknown)}. Environment variables are written ${{NAME}}."
                )
        missing = [what for what in get_args(What) if self.layout == "table" and not self.pattern(what)]
        if missing:
            raise ValueError(
                f"ingest.layout: expected patterns of corpus, queries and qrels for layout 'table', got none of "
                f"{missing}. Set ingest.{missing[0]}, or ingest.passages."
            )
        if self.layout in ("beir", "table") and not self.split_by_queries and not self.split_by_qrels:
            raise ValueError(
                "ingest.queries: expected {split} in the pattern of queries or of qrels, got it in neither. "
                "Keep the judgements of train and dev in files of their own."
            )
        return self

    def pattern(self, what: What) -> str:
        """Return the pattern of the files that hold corpus, queries or qrels, below `path`; "" for none."""
        own: str = getattr(self, what)
        return own or self.passages or PATTERNS.get(self.layout, {}).get(what, "")

    def form(self, what: What) -> Form:
        """Return the form of those files, as `tasks.ingest.read` knows it."""
        if not getattr(self, what) and self.passages:
            return "passages"
        return FORMS[self.layout][what]

    def column_names(self, what: What) -> dict[str, str]:
        """Return the files' own names of the columns that are read."""
        named = LAYOUT_COLUMNS.get(self.layout, {}).get(what)
        return named or {name: getattr(self.columns, name) for name in COLUMNS_OF[what]}

    @property
    def split_by_queries(self) -> bool:
        """Whether a query's file tells its split."""
        return "{split}" in self.pattern("queries")

    @property
    def split_by_qrels(self) -> bool:
        """Whether a judgement's file tells the split."""
        return "{split}" in self.pattern("qrels")


class InputFile(Settings):
    """One input file. What counts is its content; the path does not enter fingerprints."""

    path: str = Field(exclude=True, description="Local path or fsspec URL.")
    digest: str = Field(description="Digest of the bytes.")
    split: str = Field(default="", description="train or dev, where the file tells.")
    format: FileFormat = Field(description="How a table is written.")


class Source(Settings):
    """The files of one language's corpus, queries or qrels, and how to read them."""

    form: Form = Field(description="Kind of file, as `tasks.ingest.read` knows it.")
    columns: dict[str, str] = Field(description="The files' own names of the columns that are read.")
    on_bad_row: OnBadRow = Field(description="error or quarantine.")
    files: tuple[InputFile, ...] = Field(description="In the order in which they are read.")


def check_language(language: str) -> str:
    """Return the language if it is one of LANGUAGES.

    Raises:
        ValueError: it is not; languages are ISO 639-1.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language: expected one of {', '.join(LANGUAGES)}, got '{language}'. Use the ISO 639-1 code.")
    return language
