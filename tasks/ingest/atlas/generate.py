"""Generate atlas: seed and sizes -> corpus, queries, qrels and planted false negatives of one language."""

import math
import random
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from babel.lists import format_list

from tasks.ingest.atlas.ask import Query, plan_queries
from tasks.ingest.atlas.facts import World, load_world
from tasks.ingest.atlas.plan import Document, Statement, plan_documents
from tasks.ingest.atlas.templates import SENTENCES
from tasks.ingest.atlas.templates.sentences import Sentences


@dataclass(frozen=True)
class Atlas:
    """The generated sample of one language."""

    corpus: pl.DataFrame
    """doc_id, title, text."""
    queries: pl.DataFrame
    """query_id, text, split (train | dev), origin (given), parent (null)."""
    qrels: pl.DataFrame
    """query_id, doc_id, relevance: what the annotators found, and near misses as 0."""
    truth: pl.DataFrame
    """query_id, doc_id, reason: every document that answers and is not in the qrels (planted false negatives)."""


@dataclass(frozen=True)
class Plan:
    """What atlas says and asks in every language, before any wording."""

    documents: tuple[Document, ...]
    queries: tuple[Query, ...]


def generate(
    language: str,
    *,
    seed: int,
    documents_per_language: int,
    queries_per_language: int,
    dev_share: float = 0.35,
    train_judged: float = 0.3,
    dev_judged: float = 0.7,
) -> Atlas:
    """Generate the sample in one language.

    The seed draws the same facts, questions and judgements in every language (`atlas-sw-q0012` asks what
    `atlas-fi-q0012` asks); wordings and the order of the documents are drawn per language.

    Args:
        language: ISO 639-1, one of the 16.
        seed: decides everything that is drawn.
        documents_per_language: size of the corpus.
        queries_per_language: number of queries, train and dev together.
        dev_share: share of the queries that are dev queries, 0..1.
        train_judged: share of a train query's answering documents that the qrels name, 0..1; one at least, never all.
        dev_judged: the same of a dev query.

    Returns:
        The frames of `Atlas`; corpus and queries in their own order, qrels and truth sorted by query_id and doc_id.

    Raises:
        ValueError: an unknown language; more documents than the facts can give, or more queries than the documents
            can answer.

    Source: facts of Unicode CLDR through Babel; sentences our own.
    """
    if language not in SENTENCES:
        raise ValueError(
            f"atlas: expected a language out of {', '.join(SENTENCES)}, got '{language}'. "
            "Choose one of these, or write its sentences in tasks/ingest/atlas/templates."
        )
    plan = draw_plan(
        seed=seed,
        documents_per_language=documents_per_language,
        queries_per_language=queries_per_language,
        dev_share=dev_share,
        train_judged=train_judged,
        dev_judged=dev_judged,
    )
    rng = random.Random(f"atlas/{seed}/{language}")
    writer = Writer(language, load_world(), SENTENCES[language], rng)
    return Atlas(
        corpus=_corpus(plan.documents, writer),
        queries=_queries(plan.queries, writer),
        qrels=_qrels(plan.queries, language),
        truth=_truth(plan, language),
    )


def draw_plan(
    *,
    seed: int,
    documents_per_language: int,
    queries_per_language: int,
    dev_share: float,
    train_judged: float,
    dev_judged: float,
) -> Plan:
    """Draw territories until their passages fill the corpus, then queries about them; see `generate`."""
    world, rng = load_world(), random.Random(f"atlas/{seed}")
    order = rng.sample(sorted(world.pairs["currency"]), len(world.pairs["currency"]))
    size, documents = math.ceil(documents_per_language / PER_TERRITORY), list[Document]()
    while len(documents) < documents_per_language:
        if size > len(order) and documents:
            raise ValueError(
                f"atlas: expected at most {len(documents)} documents_per_language, got {documents_per_language}. "
                "Ask for fewer: CLDR has no more facts to tell."
            )
        chosen, attempt = order[:size], random.Random(f"atlas/{seed}/{size}")
        documents = plan_documents(world, _split_sides(world, chosen, dev_share, attempt), attempt)
        size += 1 if size < len(order) else 1 + len(order)
    kept = sorted(rng.sample(range(len(documents)), documents_per_language))
    num_dev = round(dev_share * queries_per_language)
    queries = plan_queries(
        [documents[i] for i in kept],
        counts={"train": queries_per_language - num_dev, "dev": num_dev},
        judged={"train": train_judged, "dev": dev_judged},
        rng=rng,
    )
    return Plan(tuple(documents[i] for i in kept), tuple(queries))
