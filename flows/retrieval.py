"""The part of the pipeline that finds candidates: every system that ranks the corpora, and their fusion."""

from collections.abc import Mapping
from typing import Any

from flows.configs import PipelineConfig
from flows.run.pipeline import Promises, each
from tasks.engine.step import Promise
from tasks.ingest.files import find_run
from tasks.models.locate import model_digest, network_size
from tasks.retrieve.analyzers import analyzer_of
from tasks.retrieve.config import EnsembleEncoder, FuseConfig
from tasks.steps import (
    embed_documents,
    embed_queries,
    fuse_candidates,
    fuse_vectors,
    ingest_run,
    prepare_encoder,
    retrieve_bm25,
    search_dense,
)


def check_encoders(config: PipelineConfig) -> None:
    """See that the encoders have the layers and sizes that the settings ask of them, and take texts as long.

    Raises:
        ValueError: one has fewer.
        FileNotFoundError: there is no such model.
    """
    members = {f"retrieve.ensemble.{place}": one for place, one in enumerate(config.retrieve.ensemble)}
    members |= {f"evaluate.systems.{n}": one.encoder() for n, one in enumerate(config.evaluate.systems) if one.model}
    for name, encoder in {"encoder": config.encoder, **members}.items():
        num_layers, size, num_tokens = network_size(encoder.model)
        limits = encoder if isinstance(encoder, EnsembleEncoder) else config.text
        for limit in ("max_query_tokens", "max_document_tokens"):
            if num_tokens and getattr(limits, limit) > num_tokens:
                raise ValueError(
                    f"{'text' if name == 'encoder' else name}.{limit}: expected at most {num_tokens}, the longest text "
                    f"that {encoder.model} takes, got {getattr(limits, limit)}. Lower it."
                )
        if encoder.num_layers and num_layers and encoder.num_layers > num_layers:
            raise ValueError(
                f"{name}.num_layers: expected at most {num_layers}, the layers of {encoder.model}, got "
                f"{encoder.num_layers}. Lower it, or leave it out for all of them."
            )
        largest = max(config.train.matryoshka_dimensions, default=0)
        if name == "encoder" and size and largest > size:
            raise ValueError(
                f"train.matryoshka_dimensions: expected at most {size}, the size of {encoder.model}, got {largest}. "
                "Name smaller sizes."
            )


def rank_by_terms(config: PipelineConfig, corpus: Promises, queries: Promises) -> Promises:
    """Promise BM25's candidates."""
    settings = config.retrieve
    return {
        language: retrieve_bm25(
            language,
            corpus=corpus[language],
            queries=queries[language],
            analyzer=analyzer_of(language),
            text=config.text.document,
            search=settings.search,
            config=settings.bm25,
            **config.own_document_arguments(),
        )
        for language in corpus
    }


def embed_corpora(
    config: PipelineConfig, encoder: Promise, corpus: Promises, member: EnsembleEncoder | None = None
) -> Promises:
    """Promise the corpora's vectors, of the base encoder or of a member of the ensemble."""
    shared = {
        "encoder": encoder,
        "max_tokens": (member or config.text).max_document_tokens,
        "text": config.text.document,
        "shard_size": config.retrieve.shard_size,
        "dtype": (member or config.encoder).dtype,
    }
    return each(embed_documents, shared, corpus=corpus)


def rank_by_vectors(
    config: PipelineConfig,
    encoder: Promise,
    embeddings: Promises,
    queries: Promises,
    system: str,
    member: EnsembleEncoder | None = None,
) -> Promises:
    """Promise the candidates of an encoder."""
    encoded = {
        "encoder": encoder,
        "max_tokens": (member or config.text).max_query_tokens,
        "dtype": (member or config.encoder).dtype,
    }
    search = config.retrieve.search
    shared = {"system": system, "search": search, **search.dense_arguments(), **config.own_document_arguments()}
    return each(search_dense, shared, documents=embeddings, queries=each(embed_queries, encoded, queries=queries))


def rank_by_member(config: PipelineConfig, member: EnsembleEncoder, corpus: Promises, queries: Promises) -> Promises:
    """Promise the candidates of a further encoder."""
    encoder = prepare_encoder(config=member.resolved(), digest=model_digest(member.model))
    embeddings = embed_corpora(config, encoder, corpus, member)
    return rank_by_vectors(config, encoder, embeddings, queries, member.name, member)


def rank_by_ensemble(config: PipelineConfig, corpus: Promises, queries: Promises) -> dict[str, Promises]:
    """Promise the candidates of each further encoder, by its name."""
    return {one.name: rank_by_member(config, one, corpus, queries) for one in config.retrieve.ensemble}


def rank_by_systems(
    config: PipelineConfig, corpus: Promises, queries: Promises, ranked: Mapping[str, Promises]
) -> dict[str, Promises]:
    """Promise the candidates of `evaluate.systems`, by name; `ranked` are those of the pipeline's own.

    Raises:
        ValueError: one fuses a system that this pipeline does not have.
        FileNotFoundError: a run file or a model is not there.
    """
    found: dict[str, Promises] = {}
    for system in config.evaluate.systems:
        known = {**ranked, **found}
        if system.model:
            found[system.name] = rank_by_member(config, system.encoder(), corpus, queries)
        elif system.run:
            found[system.name] = {
                language: ingest_run(
                    language,
                    source=find_run(system.run, language, config.ingest.on_bad_row),
                    corpus=documents,
                    queries=queries[language],
                    system=system.name,
                    **config.own_document_arguments(),
                )
                for language, documents in corpus.items()
            }
        elif missing := {*system.fuse} - {*known}:
            raise ValueError(
                f"evaluate.systems: expected '{system.name}' to fuse systems of {', '.join(known)}, got "
                f"{', '.join(missing)}: no language has train queries. Leave it out."
            )
        else:
            fused = {name: known[name] for name in system.fuse}
            found[system.name] = fuse(config, queries, fused, system.fusion(config.evaluate.depth))
    return found


def fuse(
    config: PipelineConfig, queries: Promises, ranked: Mapping[str, Promises], settings: FuseConfig | None = None
) -> Promises:
    """Promise the fused candidates.

    Args:
        config: the settings.
        queries: by language.
        ranked: by system: its candidates of these queries by language. What was found by vectors names them among its
            inputs.
        settings: how; None: as for mining.
    """
    settings = settings or config.retrieve.fuse
    fused = {}
    for language, asked in queries.items():
        found = {system: promises[language] for system, promises in ranked.items()}
        arguments: dict[str, Any] = {"candidates": list(found.values()), "config": settings}
        if settings.method == "concat":
            dense = {system: promise.inputs for system, promise in found.items() if "documents" in promise.inputs}
            documents = {system: inputs["documents"] for system, inputs in dense.items()}
            vectors = {system: inputs["queries"] for system, inputs in dense.items()}
            arguments |= {"documents": documents, "vectors": vectors, **config.own_document_arguments()}
            fused[language] = fuse_vectors(language, queries=asked, **arguments)
        else:
            fused[language] = fuse_candidates(language, **arguments)
    return fused
