"""Which pairs an LLM judges, against which reference, and its replies as a table of verdicts."""

from collections.abc import Sequence

import polars as pl

from tasks.denoise import pairs as pair_texts
from tasks.denoise.pairs import PAIR
from tasks.denoise.rubric import SYSTEM, question, read_marks
from tasks.models.chat import Reply, Request

PARSED, UNPARSED = "parsed", "unparsed"


def uncertain_pairs(
    candidates: pl.DataFrame, scores: pl.DataFrame, qrels: pl.DataFrame, *, band: tuple[float, float]
) -> pl.DataFrame:
    """Choose the candidates of which the first judge of a cascade is not sure.

    Args:
        candidates: query_id, doc_id.
        scores: query_id, doc_id, probability.
        qrels: query_id, doc_id; what a person has judged needs no other judge.
        band: the lowest and the highest probability that is uncertain, both included.

    Returns:
        query_id, doc_id, each once, sorted.
    """
    uncertain = scores.filter(pl.col("probability").is_between(*band)).select(PAIR)
    return uncertain.join(candidates, on=PAIR, how="semi").join(qrels, on=PAIR, how="anti").unique().sort(PAIR)


def with_references(pairs: pl.DataFrame, qrels: pl.DataFrame) -> pl.DataFrame:
    """Give each pair a document that is known to be relevant to its query, and is not the pair's own.

    Args:
        pairs: query_id, doc_id.
        qrels: query_id, doc_id, relevance.

    Returns:
        query_id, doc_id, reference (a doc_id: of the highest relevance, ties by doc_id; null where there is none), in
        the order of `pairs`.
    """
    best = (
        qrels.filter(pl.col("relevance") > 0)
        .sort("query_id", "relevance", "doc_id", descending=[False, True, False])
        .group_by("query_id", maintain_order=True)
        .agg(best=pl.col("doc_id").head(2))  # the second stands in where the pair is the first itself
        .select("query_id", first=pl.col("best").list.get(0), second=pl.col("best").list.get(1, null_on_oob=True))
    )
    own = pl.when(pl.col("first") != pl.col("doc_id")).then("first").otherwise("second")
    return pairs.join(best, on="query_id", how="left", maintain_order="left").select(*PAIR, reference=own)


def documents_of(pairs: pl.DataFrame) -> pl.DataFrame:
    """Name the documents that pairs and their references consist of: doc_id."""
    references = pairs.select(doc_id="reference").drop_nulls()
    return pl.concat([pairs.select("doc_id"), references]).unique()


def with_texts(pairs: pl.DataFrame, queries: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    """Add the texts: query, document, and reference_text where there is a reference.

    Raises:
        ValueError: a query or document has no text.
    """
    table = pair_texts.with_texts(pairs, queries, documents)
    texts = documents.select(reference="doc_id", reference_text="text")
    return table.join(texts, on="reference", how="left", maintain_order="left")


def questions(pairs: pl.DataFrame, *, num_samples: int, seed: int, max_characters: int) -> list[Request]:
    """Ask about each pair `num_samples` times, each time with another seed.

    Args:
        pairs: query, document, reference_text (null: no reference).
        num_samples: questions per pair.
        seed: of the first sample; the others count on from it.
        max_characters: documents and references are cut to this.

    Returns:
        The questions, pair by pair, sample by sample.
    """
    texts = pairs.select("query", "document", "reference_text").iter_rows()
    asked = (question(*text, max_characters=max_characters) for text in texts)
    return [Request(SYSTEM, user, seed + sample) for user in asked for sample in range(num_samples)]


def verdict_table(pairs: pl.DataFrame, replies: Sequence[Reply], *, num_samples: int) -> pl.DataFrame:
    """Read the replies.

    Args:
        pairs: query_id, doc_id, reference.
        replies: one per question of `questions`, in that order.
        num_samples: questions per pair.

    Returns:
        One row per question: query_id, doc_id, sample (from 0), reference (a doc_id or null), accuracy and completeness
        (0..2; null where the reply is not what was asked for), status (parsed | unparsed), reply, prompt_tokens,
        completion_tokens.
    """
    marks = [read_marks(reply.text) for reply in replies]
    columns = {
        "sample": pl.Series([sample for _ in range(len(pairs)) for sample in range(num_samples)], dtype=pl.Int32),
        "accuracy": pl.Series([mark and mark[0] for mark in marks], dtype=pl.Int32),
        "completeness": pl.Series([mark and mark[1] for mark in marks], dtype=pl.Int32),
        "status": pl.Series([UNPARSED if mark is None else PARSED for mark in marks], dtype=pl.String),
        "reply": pl.Series([reply.text for reply in replies], dtype=pl.String),
        "prompt_tokens": pl.Series([reply.prompt_tokens for reply in replies], dtype=pl.Int32),
        "completion_tokens": pl.Series([reply.completion_tokens for reply in replies], dtype=pl.Int32),
    }
    rows = pairs.select(*PAIR, "reference")[[row for row in range(len(pairs)) for _ in range(num_samples)]]
    return rows.with_columns(**columns).select(*PAIR, "sample", "reference", pl.exclude(*PAIR, "sample", "reference"))
