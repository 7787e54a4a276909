"""The LLM judge's pairs, their references, its replies as a table of verdicts, and the grades that these vote for.

A sample's grade is its weaker mark: 0 (irrelevant) where it is wrong or supplies nothing, 2 (highly relevant) where it
is both right and complete, 1 (partly relevant) in between.
"""

from collections.abc import Sequence

import polars as pl

from tasks.denoise import pairs as pair_texts
from tasks.denoise.config import Vote
from tasks.denoise.pairs import PAIR
from tasks.denoise.rubric import SYSTEM, question, read_marks
from tasks.models.chat import Reply, Request

JUDGE = "llm"
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
    another = pl.when(pl.col("first") != pl.col("doc_id")).then("first").otherwise("second")
    return pairs.join(best, on="query_id", how="left", maintain_order="left").select(*PAIR, reference=another)


def named_documents(pairs: pl.DataFrame) -> pl.DataFrame:
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


def count_votes(verdicts: pl.DataFrame, *, vote: Vote) -> pl.DataFrame:
    """Let the samples of each pair vote on its grade.

    Args:
        verdicts: query_id, doc_id, reference, accuracy, completeness, status; one row per sample.
        vote: `majority`: the grade that most samples give, the higher one where two are given as often (a lost negative
            costs less than a false one); `highest`: the highest grade that any sample gives.

    Returns:
        query_id, doc_id, without_reference, raw (mean sum of both marks over the parsed samples, 0..4, float32), grade
        (0..2), sorted; raw and grade are null where no more than half of the samples were parsed.
    """
    parsed = pl.col("status") == PARSED
    grades = pl.col("grade").filter(parsed)
    most = grades.max() if vote == "highest" else grades.mode().max()
    counted = (
        verdicts.with_columns(grade=pl.min_horizontal("accuracy", "completeness"))
        .group_by(PAIR)
        .agg(
            without_reference=pl.col("reference").is_null().all(),
            raw=(pl.col("accuracy") + pl.col("completeness")).filter(parsed).mean().cast(pl.Float32),
            grade=most.cast(pl.Int32),
            has_majority=parsed.sum() * 2 > pl.len(),
        )
    )
    decided = [pl.when("has_majority").then(name).alias(name) for name in ("raw", "grade")]
    return counted.select(*PAIR, "without_reference", *decided).sort(PAIR)


def raw_scores(votes: pl.DataFrame) -> pl.DataFrame:
    """Return the votes as raw scores of the judge `llm`; pairs without a majority are left out."""
    return votes.drop_nulls("raw").select(*PAIR, pl.lit(JUDGE).alias("judge"), "raw", "without_reference")


def put_votes(scores: pl.DataFrame, votes: pl.DataFrame) -> pl.DataFrame:
    """Let the LLM's grades take the place of the others in the table of scores.

    Args:
        scores: query_id, doc_id, judge, raw, probability, grade.
        votes: query_id, doc_id, grade (null: the LLM was asked, and no majority of its replies could be read).

    Returns:
        The columns of `scores`, sorted by query_id and doc_id. A pair that the LLM judged has `judge` = llm and its
        grade, null included; raw and probability stay as they were, null where the pair had no other score.
    """
    voted = votes.select(*PAIR, vote="grade", is_voted=pl.lit(True))
    table = scores.join(voted, on=PAIR, how="full", coalesce=True)
    return table.select(
        *PAIR,
        judge=pl.when("is_voted").then(pl.lit(JUDGE)).otherwise("judge"),
        raw="raw",
        probability="probability",
        grade=pl.when("is_voted").then("vote").otherwise("grade"),
    ).sort(PAIR)
