"""Input files -> what is in them and what is wrong with them, before anything is built: no model, no store."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import polars as pl

from tasks.groups import separable_size
from tasks.ingest.config import FileSplit, IngestConfig, Source, What
from tasks.ingest.corpus import corpus_parts
from tasks.ingest.files import find_run, find_source
from tasks.ingest.qrels import check_measurable, count_by_split, qrels_frame
from tasks.ingest.queries import hold_out_validation, queries_frame
from tasks.ingest.rows import BadRow, Document, Judgement, Query
from tasks.ingest.run_task import find_flaws, read_run, with_ids_as_known
from tasks.ingest.task import documents_of, judgements_of, queries_of
from tasks.languages import is_unspaced, script_letters
from tasks.models.texts import document_text, same_text

Row = TypeVar("Row", Document, Query, Judgement)

_CORPUS = {"doc_id": pl.String, "key": pl.UInt64, "length": pl.UInt32, "is_foreign": pl.Boolean}


class _Damage(str):
    """What is wrong with a whole file."""


def characters_per_token(language: str) -> float:
    """Return about how many characters a multilingual tokenizer's token has: fewer where words have no spaces."""
    return 1.5 if is_unspaced(language) else 4.0


def check_files(config: IngestConfig, language: str, text: str, runs: Iterable[str] = ()) -> dict[str, Any]:
    """Read the input files of one language.

    Args:
        config: any layout but atlas, which has no files.
        language: BCP 47.
        text: what of a document is read, see `document_text`.
        runs: patterns of TREC run files of the dev queries.

    Returns:
        num_documents; num_copies, those with the text of an earlier one; num_foreign, those whose letters are all of
        another script than the language's; longest_document and longest_query, in
        characters; `splits`: the rows of `count_by_split` with num_copies and, of dev, num_in_train (its queries whose
        text is a train or validation query's); num_to_train_on, the train queries with a relevant document; the
        max_batch_size that separates their positives; `problems`: an error text per file or row that cannot
        be used.
    """
    problems: list[str] = []
    source = _find(config, language, "corpus", ("train", "dev"), problems)
    corpus = _read_corpus(source, text, script_letters(language), problems)
    is_whole = not any(isinstance(problem, _Damage) for problem in problems)
    asked, judged = _read_asked(config, language, corpus, problems, is_whole)
    if config.validation_share:
        share, seed = config.validation_share, config.seed
        asked = hold_out_validation(asked, judged, language=language, share=share, seed=seed, say=lambda line: None)
    asked = asked.with_columns(same=same_text("text"))
    dev = pl.col("split") == "dev"
    for pattern in runs:
        problems += _run_problems(pattern, language, asked.filter(dev)["query_id"], corpus["doc_id"])
    repeated = asked.filter(dev).join(asked.filter(~dev), on="same", how="semi").height
    copies = asked.group_by("split").agg(num_copies=pl.len() - pl.col("same").n_unique())
    splits = count_by_split(asked, judged).join(copies, on="split", maintain_order="left")
    to_train_on = asked.filter(split="train")
    relevant = judged.filter(pl.col("relevance") > 0).join(to_train_on, on="query_id", how="semi")
    return {
        "language": language,
        "num_documents": corpus.height,
        "num_copies": corpus.height - corpus["key"].n_unique(),
        "num_foreign": int(corpus["is_foreign"].sum()),
        "longest_document": corpus["length"].max() or 0,
        "longest_query": asked["text"].str.len_chars().max() or 0,
        "splits": splits.with_columns(num_in_train=pl.when(dev).then(pl.lit(repeated))).to_dicts(),
        "num_to_train_on": relevant["query_id"].n_unique(),
        "max_batch_size": max_batch_size(to_train_on, judged, corpus),
        "problems": list(dict.fromkeys(problems)),  # a file that holds all splits is read twice
    }


def max_batch_size(queries: pl.DataFrame, judged: pl.DataFrame, corpus: pl.DataFrame) -> int:
    """Return the largest batch that separates all positives, going by the judgements alone.

    Args:
        queries: query_id, text of those to train on; with the same text, they share what is relevant.
        judged: query_id, doc_id, relevance.
        corpus: doc_id, key, as `hash_texts` returns them.
    """
    asked = queries.select(query="query_id", same=same_text("text"))
    relevant = judged.filter(pl.col("relevance") > 0).select("doc_id", query="query_id")
    own = relevant.join(asked, on="query").join(corpus.select("doc_id", document="key"), on="doc_id")
    shared = own.select("query", "same").unique().join(own.select("same", "document").unique(), on="same")
    return separable_size(own.select("query", "document"), shared.select("query", "document"))


def hash_texts(documents: pl.LazyFrame, text: str) -> pl.LazyFrame:
    """Return doc_id, key (a hash of what makes texts equal) and length (characters) of doc_id, title and text."""
    key, length = same_text("text").hash().alias("key"), pl.col("text").str.len_chars().alias("length")
    return documents.select("doc_id", document_text(text)).select("doc_id", key, length)


def _find(
    config: IngestConfig, language: str, what: What, splits: tuple[FileSplit, ...], problems: list[str]
) -> Source | None:
    """Find files, or none: what an empty split, or a language without train, has is no problem."""
    try:
        source = find_source(config, language, what, splits)
    except (FileNotFoundError, ValueError) as error:
        problems.append(_Damage(error))
        return None
    return source if source.files else None


def _usable(rows: Iterable[Row | BadRow], problems: list[str]) -> Iterator[Row]:
    """Yield the rows that can be used up to where a file is damaged, and note what is wrong."""
    try:
        for row in rows:
            if isinstance(row, BadRow):
                problems.append(row.message.partition(", or set ingest.on_bad_row")[0] + ".")
            else:
                yield row
    except (FileNotFoundError, ValueError) as error:
        problems.append(_Damage(error))


def _read_corpus(source: Source | None, text: str, letters: str, problems: list[str]) -> pl.DataFrame:
    """Read a corpus: doc_id, key (a hash of what makes texts equal), length (characters), is_foreign (no `letters`)."""
    shown = document_text(text)
    is_foreign = shown.str.contains(r"\pL") & ~shown.str.contains(letters)
    rows = _usable(documents_of(source, lambda _: None), problems) if source else ()
    parts = (
        hash_texts(part.lazy(), text).collect().hstack(part.select(is_foreign=is_foreign))
        for part in corpus_parts(rows)
    )
    return pl.concat([pl.DataFrame(schema=_CORPUS), *parts])


def _read_asked(
    config: IngestConfig, language: str, corpus: pl.DataFrame, problems: list[str], is_whole: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read queries and judgements of train and dev, as ingest does: train first.

    What judgements name and a damaged corpus lacks is no problem of theirs.
    """
    queries: dict[str, Source] = {}
    qrels: dict[str, Source] = {}
    asked: dict[str, pl.DataFrame] = {}
    judged = []
    parts: tuple[FileSplit, ...] = ("train", "dev")
    for part in parts:
        asking, judging = (_find(config, language, what, (part,), problems) for what in ("queries", "qrels"))
        if not asking or not judging:
            continue
        queries[part], qrels[part] = asking, judging
        rows = queries_of(queries, {} if config.split_by_queries else qrels, part)
        asked[part] = queries_frame(list(_usable(rows, problems)))
        known = {split: frame.lazy() for split, frame in asked.items()}
        given = judgements_of(judging, corpus.lazy(), known, config.relevant_from if part == "train" else 1)
        told = (row for row in given if is_whole or getattr(row, "reason", "") != "unknown document")
        judged.append(qrels_frame(list(_usable(told, problems))))
        if part == "dev" and not problems:
            try:
                check_measurable(judged[-1].join(asked[part], on="query_id", how="semi"), judging.files[0].path)
            except ValueError as error:
                problems.append(str(error))
    return pl.concat([queries_frame([]), *asked.values()]), pl.concat([qrels_frame([]), *judged])


def _run_problems(pattern: str, language: str, query_ids: pl.Series, doc_ids: pl.Series) -> list[str]:
    try:
        lines = read_run([file.path for file in find_run(pattern, language, "error").files])
    except (FileNotFoundError, ValueError) as error:
        return [str(error)]
    return find_flaws(with_ids_as_known(lines, query_ids, doc_ids), query_ids, doc_ids)["told"].to_list()
