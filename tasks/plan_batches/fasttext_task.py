"""Stage 3 of the method, as the paper has it: topics by fastText. The only module that imports the extra `fasttext`."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from storage import DatasetRef, read, scan
from tasks.engine.job import Job
from tasks.plan_batches import classes, topics
from tasks.plan_batches.config import FastTextModels

try:
    import fasttext
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "topics: expected the package fasttext-predict, as plan_batches.topics names a folder, got none. Install "
        "polyloom[fasttext], or set plan_batches.topics to a number of clusters."
    ) from error


def classify_topics(
    job: Job,
    *,
    corpus: dict[str, DatasetRef],
    queries: dict[str, DatasetRef],
    qrels: dict[str, DatasetRef],
    models: FastTextModels,
    digests: tuple[str, ...],
) -> None:
    """Find what each train query is about by two English classifiers of the document that answers it."""
    positives = {name: topics.first_positives(read(queries[name]), read(qrels[name])) for name in sorted(queries)}
    rows = pl.concat([rows.with_columns(language=pl.lit(name)) for name, rows in positives.items()])
    documents = topics.pick_documents({name: scan(ref) for name, ref in corpus.items()}, rows)
    rows = rows.join(documents, on=["language", "doc_id"], how="left", maintain_order="left")
    lines = [classes.fasttext_line(f"{title} {text}") for title, text in rows.select("title", "text").iter_rows()]
    dbpedia, yahoo = (classify(file, lines) for file in models.files)
    job.out.write(classes.class_topics(rows, dbpedia, yahoo))


def classify(model: Path, lines: Sequence[str]) -> list[dict[str, float]]:
    """Ask a classifier for the probability of each of its labels.

    Args:
        model: a fastText .bin file.
        lines: texts without line breaks.

    Returns:
        label -> probability, one per line.
    """
    classifier = fasttext.load_model(str(model))
    answers = (classifier.predict(line, k=-1) for line in lines)
    return [dict(zip(labels, map(float, shares), strict=True)) for labels, shares in answers]
