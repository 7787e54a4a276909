"""The part of the pipeline that finds candidates: every system that ranks the corpora, and their fusion."""

from collections.abc import Mapping
from typing import Any

from flows.configs import PipelineConfig
from flows.pipeline import Steps
from tasks.encoder.config import EncoderConfig
from tasks.encoder.task import prepare_encoder
from tasks.models.digest import model_digest
from tasks.retrieve.config import EnsembleEncoder
from tasks.retrieve.task import (
    embed_documents,
    embed_queries,
    fuse_candidates,
    fuse_vectors,
    retrieve_bm25,
    search_dense,
)
from tasks.stage import Step

MINED = ("train",)
MEASURED = ("dev",)


def rank_by_terms(
    config: PipelineConfig, corpus: Steps, queries: Steps, splits: tuple[str, ...] = (*MINED, *MEASURED)
) -> Steps:
    """Promise BM25's candidates."""
    settings = config.retrieve
    return {
        language: retrieve_bm25(
            language,
            corpus=corpus[language],
            queries=queries[language],
            splits=splits,
            analyzer=settings.bm25.analyzer(language),
            search=settings.search,
            config=settings.bm25,
        )
        for language in corpus
    }


def embed_corpora(config: PipelineConfig, encoder: Step, corpus: Steps, member: EnsembleEncoder | None = None) -> Steps:
    """Promise the corpora's vectors, of the base encoder or of a member of the ensemble."""
    settings = config.retrieve.embed
    return {
        language: embed_documents(
            language,
            corpus=documents,
            encoder=encoder,
            max_tokens=member.max_document_tokens if member else settings.max_document_tokens,
            text=settings.text,
            shard_size=settings.shard_size,
            **_dtype(member),
        )
        for language, documents in corpus.items()
    }


def rank_by_vectors(
    config: PipelineConfig,
    encoder: Step,
    embeddings: Steps,
    queries: Steps,
    system: str,
    splits: tuple[str, ...],
    member: EnsembleEncoder | None = None,
) -> Steps:
    """Promise the candidates of an encoder."""
    settings = config.retrieve
    return {
        language: search_dense(
            language,
            documents=documents,
            queries=embed_queries(
                language,
                queries=queries[language],
                encoder=encoder,
                splits=splits,
                max_tokens=member.max_query_tokens if member else settings.embed.max_query_tokens,
                **_dtype(member),
            ),
            system=system,
            search=settings.search,
            **settings.search.dense_arguments(),
        )
        for language, documents in embeddings.items()
    }


def rank_by_ensemble(
    config: PipelineConfig, corpus: Steps, queries: Steps, splits: tuple[str, ...] = MINED
) -> dict[str, Steps]:
    """Promise the candidates of each further encoder, by its name."""
    ranked = {}
    for member in config.retrieve.ensemble:
        names = ("model", "num_layers", "pooling", "query_prompt", "document_prompt")
        encoder = prepare_encoder(
            config=EncoderConfig(**{name: getattr(member, name) for name in names}), digest=model_digest(member.model)
        )
        embeddings = embed_corpora(config, encoder, corpus, member)
        ranked[member.name] = rank_by_vectors(config, encoder, embeddings, queries, member.name, splits, member)
    return ranked


def fuse(config: PipelineConfig, queries: Steps, ranked: Mapping[str, Steps], splits: tuple[str, ...] = MINED) -> Steps:
    """Promise the fused candidates.

    Args:
        config: the settings.
        queries: by language.
        ranked: by system: its candidates by language. What was found by vectors names them among its inputs.
        splits: whose queries count.
    """
    settings = config.retrieve.fuse
    fused = {}
    for language, asked in queries.items():
        found = {system: steps[language] for system, steps in ranked.items()}
        arguments: dict[str, Any] = {
            "candidates": list(found.values()),
            "queries": asked,
            "splits": splits,
            "config": settings,
        }
        if settings.method == "concat":
            dense = {system: step.inputs for system, step in found.items() if "documents" in step.inputs}
            documents = {system: inputs["documents"] for system, inputs in dense.items()}
            vectors = {system: inputs["queries"] for system, inputs in dense.items()}
            fused[language] = fuse_vectors(language, documents=documents, vectors=vectors, **arguments)
        else:
            fused[language] = fuse_candidates(language, **arguments)
    return fused


def _dtype(member: EnsembleEncoder | None) -> dict[str, str]:
    return {"dtype": member.dtype} if member else {}
