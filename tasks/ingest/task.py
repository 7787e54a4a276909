"""Stage 1: raw files, or the generated sample atlas -> corpus, queries, qrels; truth; quarantine."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

from storage import DatasetRef, scan
from tasks.engine.job import Job
from tasks.ingest import corpus as documents
from tasks.ingest import qrels, read, rows
from tasks.ingest import queries as questions
from tasks.ingest.atlas import generate as atlas
from tasks.ingest.config import AtlasConfig, Source
from tasks.ingest.rows import BadRow, Document, Judgement, Query


def ingest_corpus(job: Job, *, source: Source) -> None:
    """Read the documents, each id once, and write them part by part."""
    answer = _answer(source)
    with job.bar(len(source.files), "files") as advance:
        for part in documents.corpus_parts(rows.good_rows(_documents(source, advance), answer)):
            job.out.write(part)
    _report(job, answer)


def ingest_queries(job: Job, *, source: Source, judgements: Source | None, validation_share: float, seed: int) -> None:
    """Read the queries and hold a share of train out as validation."""
    answer = _answer(source)
    good = list(rows.good_rows(_queries(source, judgements), answer))
    _report(job, answer)
    frame = questions.queries_frame(good)
    if frame.height < len(good):
        job.log.info("%d queries without a judgement in train or dev left out", len(good) - frame.height)
    job.out.write(questions.hold_out_validation(frame, share=validation_share, seed=seed))


def ingest_qrels(job: Job, *, source: Source, corpus: DatasetRef, queries: DatasetRef) -> None:
    """Read the judgements and see that their queries and documents are there."""
    answer = _answer(source)
    frame = qrels.qrels_frame(list(rows.good_rows(_judgements(source, corpus, queries), answer)))
    _report(job, answer)
    for split in qrels.count_by_split(scan(queries).collect(), frame).iter_rows(named=True):
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
    everything = chain(
        _documents(sources["corpus"], lambda _: None),
        _queries(sources["queries"], judgements),
        _judgements(sources["qrels"], corpus, queries),
    )
    for part in rows.quarantine_parts(everything):
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


def _atlas(language: str, config: AtlasConfig) -> atlas.Atlas:
    return atlas.generate(language, **config.model_dump())


def _documents(source: Source, advance: Callable[[int], None]) -> Iterator[Document | BadRow]:
    def announced() -> Iterator[read.File]:
        for file in _files(source):
            yield file
            advance(1)

    reread = partial(read.read_documents, _files(source), form=source.form, columns=source.columns)
    return documents.unique_documents(
        read.read_documents(announced(), form=source.form, columns=source.columns),
        reread=reread,
        repeats=source.form == "passages",
    )


def _queries(source: Source, judgements: Source | None) -> Iterator[Query | BadRow]:
    given = read.read_queries(_files(source), form=source.form, columns=source.columns)
    if judgements is not None:
        judged = read.read_judgements(_files(judgements), form=judgements.form, columns=judgements.columns)
        given = questions.with_splits(given, questions.splits_of_judgements(judged))
    return questions.unique_queries(given)


def _judgements(source: Source, corpus: DatasetRef, queries: DatasetRef) -> Iterator[Judgement | BadRow]:
    given = read.read_judgements(_files(source), form=source.form, columns=source.columns)
    unique = list(qrels.unique_judgements(given))
    return qrels.known_judgements(
        unique,
        splits=dict(scan(queries).select("query_id", "split").collect().iter_rows()),
        unknown_doc_ids=qrels.unknown_documents(unique, scan(corpus)),
    )


def _files(source: Source) -> list[read.File]:
    return [(file.path, file.format, file.split) for file in source.files]


def _answer(source: Source) -> Callable[[BadRow], None]:
    return rows.Tally() if source.on_bad_row == "quarantine" else rows.refuse


def _report(job: Job, answer: Callable[[BadRow], None]) -> None:
    if isinstance(answer, rows.Tally) and answer.counts:
        job.log.warning("%d rows quarantined: %s", answer.counts.total(), answer)
