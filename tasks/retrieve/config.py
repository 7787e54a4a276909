"""Settings of encoders and retrieval. What is left out of fingerprints reaches a step as an argument of its own."""

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.engine.step import Settings
from tasks.models.layout import Dtype, Pooling
from tasks.models.prompts import made_for

BASE_SYSTEMS = ("bm25", "untrained")  # mined with in every pipeline
RESERVED = (*BASE_SYSTEMS, "trained")

QUERIES_AT_ONCE = 16_384  # queries per part of vectors and of dense candidates: bounds the memory of any number of them

EXACT = "Flat"
_INDEX = re.compile(r"IVF[1-9]\d*,(Flat|SQ[468]|SQfp16|PQ[1-9]\d*)")
_PARAMETERS = re.compile(r"nprobe=[1-9]\d*(,max_codes=\d+)?")


class EncoderConfig(Settings):
    """The encoder that finds candidates, and from which training starts."""

    model: str = Field(
        default="bundled:multilingual-e5-small",
        description="`bundled:multilingual-e5-small`, `bundled:all-minilm-l6-v2`, a folder, or a hub id with an "
        "optional @revision.",
        exclude=True,  # the digest of its bytes is in the fingerprint instead
    )
    num_layers: int | None = Field(
        default=None, ge=1, description="Keep only the first layers: faster, and a weaker start. Empty: all of them."
    )
    pooling: Pooling | None = Field(
        default=None, description="How token states become one vector. Empty: as the model was made for."
    )
    query_prompt: str | None = Field(
        default=None, description='Put before every query. Empty: as the model was made for; "": nothing.'
    )
    document_prompt: str | None = Field(
        default=None, description='Put before every document. Empty: as the model was made for; "": nothing.'
    )
    dtype: Dtype = Field(
        default="float32",
        description="In which it embeds, to mine, to judge and to evaluate; half of it halves a large model's memory "
        "and, on a GPU, much of the time.",
        exclude=True,  # reaches what embeds, which alone it concerns, as an argument of its own
    )

    def resolved(self) -> Self:
        """Fill in what is left to the model: pooling and prompts as its files say, or as its family wants them.

        Raises:
            FileNotFoundError, ValueError: as `made_for`.
        """
        own = made_for(self.model)
        names = ("pooling", "query_prompt", "document_prompt")
        return self.model_copy(update={name: getattr(own, name) for name in names if getattr(self, name) is None})

    def text_settings(self) -> dict[str, Any]:
        """Return pooling and prompts by name; resolve the settings first."""
        return {name: getattr(self, name) for name in ("pooling", "query_prompt", "document_prompt")}


class EnsembleEncoder(EncoderConfig):
    """A further encoder to mine with: a retriever of another strength finds other hard negatives. It is not trained."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Its name as a system: in candidates, weights and ledger.",
        exclude=True,  # this and the last two concern its vectors, not the encoder
    )
    model: str = Field(description="As the base encoder's.", exclude=True)
    max_query_tokens: int = Field(
        default=64, ge=4, description="Queries are cut here, special tokens included.", exclude=True
    )
    max_document_tokens: int = Field(default=256, ge=4, description="Documents are cut here.", exclude=True)


class Bm25Config(Settings):
    """BM25 by Anserini (Lucene)."""

    k1: float = Field(default=0.9, ge=0.0, description="How slowly a repeated term stops counting.")
    b: float = Field(default=0.4, ge=0.0, le=1.0, description="How much a long document is held back.")


class SearchConfig(Settings):
    """How deep the retrievers rank, and how vectors are searched."""

    depth: int = Field(default=100, ge=1, description="Documents per query.")
    index: str = Field(
        default=EXACT,
        description="Dense search: `Flat`, exact; or approximate, by a string for faiss's index_factory such as "
        "`IVF4096,PQ64` or `IVF1024,SQ8`. Its recall is measured. Corpora too small to train it are searched exactly.",
        exclude=True,  # reaches search_dense, which alone it concerns, as an argument of its own
    )
    parameters: str = Field(
        default="nprobe=64", description="faiss's search parameters of such an index: lists per query.", exclude=True
    )

    @model_validator(mode="after")
    def _as_faiss_writes_it(self) -> Self:
        if self.index != EXACT and not _INDEX.fullmatch(self.index):
            raise ValueError(
                f"retrieve.search.index: expected {EXACT} or IVF<lists>,<Flat, SQ4, SQ6, SQ8, SQfp16 or PQ<bytes>>, "
                f"got '{self.index}'. Write it as faiss does, e.g. IVF4096,PQ64."
            )
        if not _PARAMETERS.fullmatch(self.parameters):
            raise ValueError(
                f"retrieve.search.parameters: expected nprobe=<lists> and, if at all, max_codes=<documents>, got "
                f"'{self.parameters}'. Write it as faiss does, e.g. nprobe=64."
            )
        return self

    def dense_arguments(self) -> dict[str, Any]:
        """Return what `search_dense` takes besides; nothing for an exact search."""
        return {} if self.index == EXACT else {"index": self.index, "parameters": self.parameters}


class Fusion(Settings):
    """Several rankings into one."""

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


class FuseConfig(Fusion):
    """Several rankings into one, for mining."""

    top_k: int = Field(default=40, ge=1, description="Candidates kept per query.")


class RetrieveConfig(Settings):
    """How candidates are found: by terms, by the vectors of one or more encoders, and by all together."""

    bm25: Bm25Config = Bm25Config()
    shard_size: int = Field(
        default=50_000, ge=1, description="Documents per part: what a killed run loses at most, and a search holds."
    )
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
