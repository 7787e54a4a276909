"""Generate atlas: seed and sizes -> corpus, queries, qrels and planted false negatives of one language."""

import bisect
import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tasks.ingest.atlas.ask import Query, answers_with, plan_queries
from tasks.ingest.atlas.facts import World, load_world
from tasks.ingest.atlas.plan import Document, plan_documents
from tasks.ingest.atlas.write import Writer
from tasks.ingest.config import DEV_SHARE

JUDGED = {"train": 0.3, "dev": 0.7}
"""Share of a query's answering documents that its judgements name: one at least, never all."""


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


def generate(language: str, *, seed: int, documents_per_language: int, queries_per_language: int) -> Atlas:
    """Generate the sample in one language.

    The seed draws the same facts, questions and judgements in every language (`atlas-sw-q0012` asks what
    `atlas-fi-q0012` asks); wordings and the order of the documents are drawn per language.

    Args:
        language: ISO 639-1, one of the 16.
        seed: decides everything that is drawn.
        documents_per_language: size of the corpus.
        queries_per_language: number of queries, train and dev together.

    Returns:
        The frames of `Atlas`; corpus and queries in their own order, qrels and truth sorted by query_id and doc_id.

    Raises:
        ValueError: an unknown language; more documents than the facts can give, or more queries than the documents
            can answer.

    Source: facts of Unicode CLDR through Babel; sentences our own.
    """
    rng = random.Random(f"atlas/{seed}/{language}")
    writer = Writer(language, load_world(), rng)
    plan = draw_plan(seed, documents_per_language, queries_per_language)
    return Atlas(
        corpus=_corpus(plan.documents, writer, language, rng),
        queries=_queries(plan.queries, writer, language),
        qrels=_qrels(plan.queries, language),
        truth=_truth(plan, language),
    )


@functools.lru_cache(maxsize=2)  # every language asks for the same plan
def draw_plan(seed: int, documents_per_language: int, queries_per_language: int) -> Plan:
    """Draw territories until their passages fill the corpus, then queries about them; see `generate`."""
    rng = random.Random(f"atlas/{seed}")
    documents = _enough_documents(seed, documents_per_language)
    kept = [documents[place] for place in sorted(rng.sample(range(len(documents)), documents_per_language))]
    num_dev = round(DEV_SHARE * queries_per_language)
    counts = {"train": queries_per_language - num_dev, "dev": num_dev}
    return Plan(tuple(kept), tuple(plan_queries(kept, counts=counts, judged=JUDGED, rng=rng)))


def _enough_documents(seed: int, num_documents: int) -> list[Document]:
    """The passages about as few territories as give `num_documents` of them, or a few more."""
    world = load_world()
    codes = sorted(world.pairs["currency"])
    order = random.Random(f"atlas/{seed}/territories").sample(codes, len(codes))

    def plan(size: int) -> list[Document]:
        rng = random.Random(f"atlas/{seed}/documents")
        return plan_documents(world, _split_sides(world, order[:size], rng), rng)

    sizes = range(1, len(order))
    documents = plan(1 + bisect.bisect_left(sizes, num_documents, key=lambda size: len(plan(size))))
    if len(documents) < num_documents:
        raise ValueError(
            f"atlas: expected at most {len(documents)} documents_per_language, got {num_documents}. "
            "Ask for fewer: CLDR has no more facts to tell."
        )
    return documents


def _split_sides(world: World, territories: Sequence[str], rng: random.Random) -> dict[str, str]:
    """Territory -> side, about DEV_SHARE of them dev; territories that share a currency stay together."""
    groups: list[set[str]] = []
    for territory in territories:
        money = set(world.pairs["currency"][territory])
        sharing = [group for group in groups if any(money & set(world.pairs["currency"][t]) for t in group)]
        groups = [group for group in groups if group not in sharing] + [{territory}.union(*sharing)]
    rng.shuffle(groups)
    target, dev = round(DEV_SHARE * len(territories)), set[str]()
    for group in groups:
        if len(dev) + len(group) <= target:
            dev |= group
    return {territory: "dev" if territory in dev else "train" for territory in sorted(territories)}


def _corpus(documents: Sequence[Document], writer: Writer, language: str, rng: random.Random) -> pl.DataFrame:
    rows = [(f"{language}-{d.key}", writer.title(d), writer.text(d)) for d in documents]
    rng.shuffle(rows)
    return pl.DataFrame(rows, schema={"doc_id": pl.Utf8, "title": pl.Utf8, "text": pl.Utf8}, orient="row")


def _queries(queries: Sequence[Query], writer: Writer, language: str) -> pl.DataFrame:
    rows = [(_query_id(language, query), writer.question(query), query.split, "given", None) for query in queries]
    names = ("query_id", "text", "split", "origin", "parent")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Utf8), orient="row")


def _qrels(queries: Sequence[Query], language: str) -> pl.DataFrame:
    rows = [
        (_query_id(language, query), f"{language}-{key}", relevance)
        for query in queries
        for relevance, keys in ((1, query.relevant), (0, query.near_misses))
        for key in keys
    ]
    schema = {"query_id": pl.Utf8, "doc_id": pl.Utf8, "relevance": pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("query_id", "doc_id")


def _truth(plan: Plan, language: str) -> pl.DataFrame:
    by_key = {document.key: document for document in plan.documents}
    rows = [
        (_query_id(language, query), f"{language}-{key}", _reason(by_key[key], query))
        for query in plan.queries
        for key in query.missed
    ]
    names = ("query_id", "doc_id", "reason")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Utf8), orient="row").sort("query_id", "doc_id")


def _reason(document: Document, query: Query) -> str:
    facts = sorted(fact for fact in document.facts if answers_with(fact, query.kind, query.subject))
    return "states " + ", ".join(" ".join(fact) for fact in facts)


def _query_id(language: str, query: Query) -> str:
    return f"atlas-{language}-q{query.number:04d}"
