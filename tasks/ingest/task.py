"""Stage 1: raw files -> corpus, queries, qrels; quarantine."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain

import polars as pl

from storage import DatasetRef, scan
from tasks.engine.job import Job
from tasks.ingest import corpus as documents
from tasks.ingest import qrels as judgements
from tasks.ingest import queries as questions
from tasks.ingest import read, rows
from tasks.ingest.config import Source
from tasks.ingest.rows import BadRow, Document, Judgement, Query


def ingest_corpus(job: Job, *, source: Source) -> None:
    """Read the documents, each id once, and write them part by part."""
    answer = _answer(source)
    with job.bar(len(source.files), "files") as advance:
        for part in documents.corpus_parts(rows.good_rows(documents_of(source, advance), answer)):
            job.out.write(part)
    _report(job, answer)


def ingest_queries(
    job: Job,
    *,
    language: str,
    queries: dict[str, Source],
    qrels: dict[str, Source],
    split: str,
    validation_share: float = 0.0,
    seed: int = 0,
    relevant_from: int = 1,
) -> None:
    """Read the queries of one split; a share of the train queries is held out as validation.

    Args:
        job: the build's.
        language: of all of them.
        queries: the files of train, where there are some; with `split` dev, those of dev as well.
        qrels: the same of judgements, where they tell the split, or which train queries belong together.
        split: train, validation or dev.
        validation_share: of the train queries.
        seed: of the hold-out.
        relevant_from: queries that share a document of this relevance are held out together.
    """
    part = _part(split)
    answer = _answer(queries[part])
    good = list(rows.good_rows(queries_of(queries, qrels, part), answer))
    if split != "validation":  # train says it all
        _report(job, answer)
    frame = questions.queries_frame(good)
    if frame.height < len(good):
        job.log.info("%d queries without a judgement in train or dev left out", len(good) - frame.height)
    if validation_share:
        given = (row for row in _read_judgements(qrels[part]) if isinstance(row, Judgement))
        judged = judgements.qrels_frame([row for row in given if row.relevance >= relevant_from])
        hold_out = partial(questions.hold_out_validation, language=language, share=validation_share, seed=seed)
        frame = hold_out(frame, judged, say=job.log.warning)
    job.out.write(frame.filter(pl.col("split") == split))


def ingest_qrels(
    job: Job, *, source: Source, corpus: DatasetRef, queries: dict[str, DatasetRef], split: str, relevant_from: int = 1
) -> None:
    """Read the judgements of one split, and see that their queries and documents are there.

    `queries` are those of train and validation; with `split` dev, those of dev as well.
    """
    answer = _answer(source)
    good = list(rows.good_rows(judgements_of(source, scan(corpus), _scanned(queries), relevant_from), answer))
    if split != "validation":
        _report(job, answer)
    asked = scan(queries[split]).collect()
    frame = judgements.qrels_frame(good).join(asked, on="query_id", how="semi", maintain_order="left")
    if split == "dev":
        judgements.check_measurable(frame, source.files[0].path)
    for counts in judgements.count_by_split(asked, frame).iter_rows(named=True):
        job.log.info("%s: %s", corpus.partition, judgements.COUNTED.format(**counts))
    job.out.write(frame)


def quarantine_rows(
    job: Job,
    *,
    texts: Source | None,
    queries: dict[str, Source],
    naming: dict[str, Source],
    qrels: Source,
    corpus: DatasetRef,
    known: dict[str, DatasetRef],
    part: str,
) -> None:
    """List the rows that corpus, queries and qrels left out, each with its reason: of train, or of dev.

    `queries`, `naming` and `known` are what `ingest_queries` and `ingest_qrels` take.
    """
    everything = chain(
        documents_of(texts, lambda _: None) if texts else (),
        queries_of(queries, naming, part),
        judgements_of(qrels, scan(corpus), _scanned(known)),
    )
    for rows_of_part in rows.quarantine_parts(everything):
        job.out.write(rows_of_part)


def documents_of(source: Source, advance: Callable[[int], None]) -> Iterator[Document | BadRow]:
    """Yield the documents of a corpus, each id once; `advance` is told of each file."""

    def announced() -> Iterator[read.File]:
        for file in _files(source):
            yield file
            advance(1)

    read_all = partial(read.read_documents, form=source.form, columns=source.columns)
    return documents.unique_documents(
        read_all(announced()),
        reread=partial(read_all, _files(source)),
        repeats=source.form == "passages",
        where=source.files[0].path,
    )


def _part(split: str) -> str:
    """Whose files hold a split."""
    return "dev" if split == "dev" else "train"


def queries_of(queries: dict[str, Source], qrels: dict[str, Source], part: str) -> Iterator[Query | BadRow]:
    """Yield the queries of train or dev. Train comes first: what dev repeats of it is a bad row of dev alone."""
    source, train = queries[part], queries.get("train")
    shared = part == "dev" and train is not None and source.files == train.files
    given = _read_queries(source)
    if shared:  # train tells of the file's bad rows
        given = (row for row in given if isinstance(row, Query))
    if not all(file.split for file in source.files):
        named = chain.from_iterable(_read_judgements(one) for one in qrels.values())
        given = questions.with_splits(given, questions.splits_of_judgements(named))
    others = ("train",) if part == "dev" else ("dev", "")
    mine = (row for row in given if isinstance(row, BadRow) or row.split not in others)
    earlier = _read_queries(train) if part == "dev" and train and not shared else ()
    yield from questions.unique_queries(mine, (row for row in earlier if isinstance(row, Query)))


def judgements_of(
    source: Source, corpus: pl.LazyFrame, queries: Mapping[str, pl.LazyFrame], relevant_from: int = 1
) -> Iterator[Judgement | BadRow]:
    """Yield the judgements of train or, with its queries, of dev; a file of both says nothing of the other part.

    Args:
        source: the files.
        corpus: doc_id.
        queries: query_id, by split: train and validation; dev as well.
        relevant_from: a lower relevance of a train query becomes 0.
    """
    ids = {split: frame.select("query_id").collect()["query_id"] for split, frame in queries.items()}
    splits = {query_id: split for split, own in ids.items() for query_id in own}
    part = "dev" if "dev" in queries else "train"
    shared = not all(file.split for file in source.files)

    def mine(row: Judgement | BadRow) -> bool:
        if isinstance(row, BadRow):
            return not shared or part == "train" or "train" not in queries
        return not shared or _part(splits.get(row.query_id, "dev")) == part

    unique = list(judgements.unique_judgements(filter(mine, _read_judgements(source))))
    unknown = judgements.unknown_documents(unique, corpus)
    yield from judgements.known_judgements(unique, splits=splits, unknown_doc_ids=unknown, relevant_from=relevant_from)


def _scanned(queries: Mapping[str, DatasetRef]) -> dict[str, pl.LazyFrame]:
    return {split: scan(ref) for split, ref in queries.items()}


def _read_queries(source: Source) -> Iterator[Query | BadRow]:
    return read.read_queries(_files(source), form=source.form, columns=source.columns)


def _read_judgements(source: Source) -> Iterator[Judgement | BadRow]:
    return read.read_judgements(_files(source), form=source.form, columns=source.columns)


def _files(source: Source) -> list[read.File]:
    return [(file.path, file.format, file.split) for file in source.files]


def _answer(source: Source) -> Callable[[BadRow], None]:
    return rows.Tally() if source.on_bad_row == "quarantine" else rows.refuse


def _report(job: Job, answer: Callable[[BadRow], None]) -> None:
    if isinstance(answer, rows.Tally) and answer.counts:
        job.log.warning("%d rows quarantined: %s", answer.counts.total(), answer)
