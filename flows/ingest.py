"""Promise what ingest makes of each language: files or atlas -> corpus, queries, qrels, truth and quarantine."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from flows.run.pipeline import Promises
from tasks.engine.step import Promise
from tasks.ingest.config import IngestConfig, What
from tasks.ingest.files import find_source
from tasks.languages import check_language
from tasks.steps import (
    generate_corpus,
    generate_qrels,
    generate_queries,
    generate_truth,
    ingest_corpus,
    ingest_qrels,
    ingest_queries,
    quarantine_rows,
)


@dataclass(frozen=True)
class Ingested:
    """The datasets that ingest makes of one language."""

    corpus: Promise
    queries: Promise
    qrels: Promise
    truth: Promise | None = None
    """Only atlas knows which of its documents are relevant but not judged."""
    quarantine: Promise | None = None
    """Only where bad rows are left out."""


@dataclass(frozen=True)
class Texts:
    """The datasets that ingest makes, by language."""

    corpus: Promises
    queries: Promises
    qrels: Promises
    aside: list[Promise]
    """What no other stage reads: the truth of atlas, rows in quarantine."""


def ingest_languages(config: IngestConfig, languages: Sequence[str]) -> Texts:
    """Promise the datasets of all languages; `Raises` as `ingest`."""
    ingested = {language: ingest(config, language) for language in languages}
    return Texts(
        corpus={language: made.corpus for language, made in ingested.items()},
        queries={language: made.queries for language, made in ingested.items()},
        qrels={language: made.qrels for language, made in ingested.items()},
        aside=[promise for made in ingested.values() for promise in (made.truth, made.quarantine) if promise],
    )


def ingest(config: IngestConfig, language: str) -> Ingested:
    """Promise the datasets of one language; runs nothing but reads new input files once, for their digests.

    Args:
        config: the settings of ingest.
        language: ISO 639-1.

    Raises:
        ValueError: unknown language, or an environment variable of a path is not set.
        FileNotFoundError: an input file is missing.
    """
    if config.layout == "atlas":
        return _generated(config, check_language(language))
    sources = {what: find_source(config, language, what) for what in get_args(What)}
    judgements = None if config.split_by_queries else sources["qrels"]
    corpus = ingest_corpus(language, source=sources["corpus"])
    queries = ingest_queries(
        language,
        source=sources["queries"],
        judgements=judgements,
        validation_share=config.validation_share,
        seed=config.seed,
    )
    qrels = ingest_qrels(language, source=sources["qrels"], corpus=corpus, queries=queries)
    quarantine = None
    if config.on_bad_row == "quarantine":
        quarantine = quarantine_rows(language, sources=sources, judgements=judgements, corpus=corpus, queries=queries)
    return Ingested(corpus, queries, qrels, quarantine=quarantine)


def _generated(config: IngestConfig, language: str) -> Ingested:
    # Babel brings the facts, so its version is an input like a file's digest.
    facts = {"language": language, "config": config.atlas, "babel": importlib.metadata.version("babel")}
    return Ingested(
        corpus=generate_corpus(language, **facts),
        queries=generate_queries(language, **facts, validation_share=config.validation_share, seed=config.seed),
        qrels=generate_qrels(language, **facts),
        truth=generate_truth(language, **facts),
    )
