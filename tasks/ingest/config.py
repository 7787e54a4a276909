"""Settings of ingest: where the raw files are and how to read them."""

import re
from typing import Literal, NamedTuple, get_args

from pydantic import Field, model_validator

from tasks.engine.step import Settings

Layout = Literal["atlas", "miracl", "beir", "table"]
What = Literal["corpus", "queries", "qrels"]
FileSplit = Literal["train", "dev"]
Form = Literal["table", "topics", "trec", "passages"]
FileFormat = Literal["jsonl", "tsv", "parquet"]
WRITTEN_AS: dict[Form, FileFormat] = {"topics": "tsv", "trec": "tsv", "passages": "jsonl"}
"""How files of a form are written; a table's names tell."""
OnBadRow = Literal["error", "quarantine"]
Column = Literal["doc_id", "title", "text", "query_id", "query", "relevance"]

DEV_SHARE = 0.35
"""Share of atlas's queries, and about that of its territories, that are dev."""

HUB_PREFIX = "hf://datasets/"


class Published(NamedTuple):
    """How a layout's publisher writes corpus, queries or qrels."""

    form: Form
    columns: dict[Column, str]
    """The files' own names of the columns that are read."""
    pattern: str = ""
    """What the files are called, below `ingest.path`."""
    hub: str = ""
    """Where they are if `ingest.path` is empty."""


LAYOUTS: dict[str, dict[What, Published]] = {
    "miracl": {
        "corpus": Published(
            "table",
            {"doc_id": "docid", "title": "title", "text": "text"},
            "miracl-corpus-v1.0-{language}/docs-*.jsonl.gz",
            f"{HUB_PREFIX}miracl/miracl-corpus/",
        ),
        "queries": Published(
            "topics",
            {},
            "miracl-v1.0-{language}/topics/topics.miracl-v1.0-{language}-{split}.tsv",
            f"{HUB_PREFIX}miracl/miracl/",
        ),
        "qrels": Published(
            "trec",
            {},
            "miracl-v1.0-{language}/qrels/qrels.miracl-v1.0-{language}-{split}.tsv",
            f"{HUB_PREFIX}miracl/miracl/",
        ),
    },
    "beir": {
        "corpus": Published("table", {"doc_id": "_id", "title": "title", "text": "text"}, "corpus.jsonl"),
        "queries": Published("table", {"query_id": "_id", "query": "text"}, "queries.jsonl"),
        "qrels": Published(
            "table", {"query_id": "query-id", "doc_id": "corpus-id", "relevance": "score"}, "qrels/{split}.tsv"
        ),
    },
    "table": {  # what `ingest.columns` does not name
        "corpus": Published("table", {"doc_id": "doc_id", "title": "title", "text": "text"}),
        "queries": Published("table", {"query_id": "query_id", "query": "text"}),
        "qrels": Published("table", {"query_id": "query_id", "doc_id": "doc_id", "relevance": "relevance"}),
    },
}


class AtlasConfig(Settings):
    """How much of atlas, the generated sample, there is."""

    seed: int = Field(default=0, description="Decides which facts, wordings and judgements are drawn.")
    documents_per_language: int = Field(default=400, ge=10, description="Documents in each corpus.")
    queries_per_language: int = Field(default=100, ge=4, description="Queries of each language, train and dev.")


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
    columns: dict[Column, str] = Field(
        default={},
        description="Layout table: what the files call doc_id, title (may be missing), text, query_id, query and "
        "relevance (0 and below = judged not relevant). A column that is not named here is called so, the query text.",
    )
    train_split: str = Field(default="train", description="What {split} is called for train. Empty: there is none.")
    dev_split: str = Field(default="dev", description="What {split} is called for dev. Empty: there is none.")
    allow_missing_train: bool = Field(
        default=False, description="Accept a language without train files: it is then only evaluated."
    )
    relevant_from: int = Field(
        default=1, ge=1, description="Lowest relevance that counts as relevant in training; nDCG uses every grade."
    )
    validation_share: float = Field(
        default=0.1,
        ge=0.0,
        lt=1.0,
        description="Share of the train queries that is held out as validation; those that share an answer together.",
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
        if self.train_split and self.train_split == self.dev_split:
            raise ValueError(
                f"ingest.train_split: expected another name than ingest.dev_split, got '{self.dev_split}' for both. "
                "Name two splits: what is measured must not be trained on."
            )
        if self.layout == "atlas":
            return self
        missing = [what for what in get_args(What) if not self.pattern(what)]
        if missing:
            raise ValueError(
                f"ingest.layout: expected patterns of corpus, queries and qrels for layout '{self.layout}', got none "
                f"of {missing}. Set ingest.{missing[0]}, or ingest.passages."
            )
        if not self.split_by_queries and "{split}" not in self.pattern("qrels"):
            raise ValueError(
                "ingest.queries: expected {split} in the pattern of queries or of qrels, got it in neither. "
                "Keep the judgements of train and dev in files of their own."
            )
        return self

    def pattern(self, what: What) -> str:
        """Return the pattern of the files that hold corpus, queries or qrels, below `path`; "" for none."""
        given: str = getattr(self, what)
        return given or self.passages or LAYOUTS[self.layout][what].pattern

    def form(self, what: What) -> Form:
        """Return the form of those files, as `tasks.ingest.read` knows it."""
        if not getattr(self, what) and self.passages:
            return "passages"
        return LAYOUTS[self.layout][what].form

    def column_names(self, what: What) -> dict[str, str]:
        """Return the files' own names of the columns that are read."""
        published = LAYOUTS[self.layout][what].columns
        chosen = self.columns if self.layout == "table" else {}
        return {name: chosen.get(name, usual) for name, usual in published.items()}

    @property
    def split_by_queries(self) -> bool:
        """Whether a query's file tells its split."""
        return "{split}" in self.pattern("queries")


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
