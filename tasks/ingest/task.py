"""Stage 1: raw files, or the generated sample atlas -> corpus, queries, qrels; truth; quarantine."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

import tasks.ingest.atlas.generate as atlas
from storage import DatasetRef, scan
from tasks.engine.job import Job
from tasks.ingest import corpus as documents
from tasks.ingest import counts, duplicates, qrels, quarantine, read, rows
from tasks.ingest import queries as questions
from tasks.ingest.atlas.config import AtlasConfig
from tasks.ingest.atlas.generate import Atlas
from tasks.ingest.config import Source
from tasks.ingest.read import File
from tasks.ingest.rows import BadRow, Document, Judgement, Query


def ingest_corpus(job: Job, *, source: Source) -> None:
    """Read the documents, each id once, and write them part by part."""
    answer = _answer(source)
    with job.progress(len(source.files), "files") as advance:
        found = rows.good_rows(_documents(source, advance), answer)
        for part in documents.corpus_parts(found):
            job.out.write(part)
    _report(job, answer)


def ingest_queries(job: Job, *, source: Source, judgements: Source | None, validation_share: float, seed: int) -> None:
    """Read the queries and hold a share of train out as validation."""
    answer = _answer(source)
    found = list(rows.good_rows(_queries(source, judgements), answer))
    _report(job, answer)
    frame = questions.queries_frame(found)
    if frame.height < len(found):
        job.log.info("%d queries without a judgement in train or dev left out", len(found) - frame.height)
    job.out.write(questions.hold_out_validation(frame, share=validation_share, seed=seed))


def ingest_qrels(job: Job, *, source: Source, corpus: DatasetRef, queries: DatasetRef) -> None:
    """Read the judgements and see that their queries and documents are there."""
    answer = _answer(source)
    frame = qrels.qrels_frame(list(rows.good_rows(_judgements(source, corpus, queries), answer)))
    _report(job, answer)
    for split in counts.count_by_split(scan(queries).collect(), frame).iter_rows(named=True):
        job.log.info("%s", ", ".join(f"{name} {value}" for name, value in split.items()))
    job.out.write(frame)


def quarantine_rows(
    job: Job,
    *,
    sources: dict[str, Source],
    judgements: Source | None,
    corpus: DatasetRef,
    queries: DatasetRef,
) -> None:
    """List the rows that corpus, queries and qrels left out, each with its reason."""
    found = quarantine.bad_rows(
        chain(
            _documents(sources["corpus"], lambda _: None),
            _queries(sources["queries"], judgements),
            _judgements(sources["qrels"], corpus, queries),
        )
    )
    for part in quarantine.quarantine_parts(found):
        job.out.write(part)


def generate_corpus(job: Job, *, language: str, config: AtlasConfig, babel: str) -> None:
    """Generate the documents of atlas."""
    job.out.write(_atlas(language, config).corpus)


def generate_queries(
    job: Job, *, language: str, config: AtlasConfig, babel: str, validation_share: float, seed: int
) -> None:
    """Generate the queries of atlas and hold a share of train out as validation."""
    generated = _atlas(language, config).queries
    job.out.write(questions.hold_out_validation(generated, share=validation_share, seed=seed))


def generate_qrels(job: Job, *, language: str, config: AtlasConfig, babel: str) -> None:
    """Generate the judgements of atlas, which leave many a relevant document out."""
    job.out.write(_atlas(language, config).qrels)


def generate_truth(job: Job, *, language: str, config: AtlasConfig, babel: str) -> None:
    """List the relevant documents that the judgements of atlas leave out."""
    job.out.write(_atlas(language, config).truth)


def _atlas(language: str, config: AtlasConfig) -> "Atlas":
    return atlas.generate(language, **config.model_dump())


def _documents(source: Source, advance: Callable[[int], None]) -> "Iterator[Document | BadRow]":
    def announced() -> "Iterator[File]":
        for file in _files(source):
            yield file
            advance(1)

    reread = partial(read.read_documents, _files(source), form=source.form, columns=source.columns)
    return duplicates.unique_documents(
        read.read_documents(announced(), form=source.form, columns=source.columns),
        reread=reread,
        repeats=source.form == "passages",
    )


def _queries(source: Source, judgements: Source | None) -> "Iterator[Query | BadRow]":
    found = read.read_queries(_files(source), form=source.form, columns=source.columns)
    if judgements is not None:
        judged = read.read_judgements(_files(judgements), form=judgements.form, columns=judgements.columns)
        found = questions.with_splits(found, questions.splits_of_judgements(judged))
    return questions.unique_queries(found)


def _judgements(source: Source, corpus: DatasetRef, queries: DatasetRef) -> "Iterator[Judgement | BadRow]":
    found = list(
        qrels.unique_judgements(read.read_judgements(_files(source), form=source.form, columns=source.columns))
    )
    known = scan(queries).select("query_id", "split").collect()
    return qrels.known_judgements(
        found,
        splits=dict(zip(known["query_id"], known["split"], strict=True)),
        unknown_doc_ids=qrels.unknown_documents(found, scan(corpus)),
    )


def _files(source: Source) -> "list[File]":
    return [(file.path, file.format, file.split) for file in source.files]


def _answer(source: Source) -> "Callable[[BadRow], None]":
    return rows.Tally() if source.on_bad_row == "quarantine" else rows.refuse


def _report(job: Job, answer: "Callable[[BadRow], None]") -> None:
    if isinstance(answer, rows.Tally) and answer.counts:
        job.log.warning("%d rows quarantined: %s", answer.counts.total(), answer)
