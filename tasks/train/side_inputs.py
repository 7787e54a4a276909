"""What some trainings want besides plan and texts: a pool to validate on, and a teacher's scores."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from tasks.train.folders import iter_tables, partition
from tasks.train.plan import Key
from tasks.train.teacher import TeacherScores
from tasks.train.tokens import open_tokens
from tasks.train.validation import ValidationPool


def read_pool(tokens: Iterable[Path], qrels: Iterable[Path]) -> ValidationPool:
    """Read held-out queries, the documents among which theirs are to be found, and what is relevant.

    Args:
        tokens: `tokens` datasets of held-out queries and of the pool's documents; all of their texts are taken.
        qrels: `qrels` datasets of the same languages; judgements of other queries are passed over.

    Raises:
        FileNotFoundError: a folder is no whole dataset.
    """
    folders = list(tokens)
    queries = open_tokens(folders, role="query", wanted=None)
    documents = open_tokens(folders, role="document", wanted=None)
    judged: dict[Key, dict[str, int]] = {key: {} for key in queries.keys()}  # noqa: SIM118 - a table, not a dict
    for folder in qrels:
        language = partition(folder)
        for table in iter_tables(folder, ["query_id", "doc_id", "relevance"]):
            for query_id, doc_id, relevance in zip(*(column.to_pylist() for column in table.columns), strict=True):
                if (language, query_id) in judged:
                    judged[language, query_id][doc_id] = relevance
    return ValidationPool(queries, documents, judged)


def read_scores(folders: Iterable[Path]) -> TeacherScores:
    """Read the raw scores of `scores` datasets, a language each.

    Raises:
        FileNotFoundError: a folder is no whole dataset.
        ValueError: more than one judge gave scores: theirs are not on one scale.
    """
    return TeacherScores.from_tables(_scores(folders))


def _scores(folders: Iterable[Path]) -> Iterator[pa.Table]:
    judges: set[str] = set()
    for folder in folders:
        language = partition(folder)
        for table in iter_tables(folder, ["query_id", "doc_id", "judge", "raw"]):
            judges.update(table["judge"].unique().to_pylist())
            if len(judges) > 1:
                raise ValueError(
                    f"train: expected scores of one judge to learn from, got {', '.join(sorted(judges))}. Set "
                    "train.distillation_weight to 0, or let one cross-encoder judge."
                )
            languages = pa.array([language] * table.num_rows, pa.string())
            yield pa.table(
                {
                    "language": languages,
                    "query_id": table["query_id"],
                    "doc_id": table["doc_id"],
                    "score": table["raw"],
                }
            )
