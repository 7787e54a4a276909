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
        ValueError: several judges scored a query: theirs are not on one scale.
    """
    return TeacherScores.from_tables(_scores(folders))


def _scores(folders: Iterable[Path]) -> Iterator[pa.Table]:
    judge_of: dict[Key, str] = {}
    for folder in folders:
        language = partition(folder)
        for table in iter_tables(folder, ["query_id", "doc_id", "judge", "raw"]):
            pairs = table.group_by(["query_id", "judge"]).aggregate([])
            for query_id, judge in zip(pairs["query_id"].to_pylist(), pairs["judge"].to_pylist(), strict=True):
                other = judge_of.setdefault((language, query_id), judge)
                if other != judge:
                    raise ValueError(
                        f"train: expected scores of one judge per query to learn from, got {other} and {judge} for "
                        f"'{query_id}'. Set train.distillation_weight to 0, or let one cross-encoder judge."
                    )
            columns = {"query_id": table["query_id"], "doc_id": table["doc_id"], "score": table["raw"]}
            yield pa.table({"language": pa.array([language] * table.num_rows, pa.string()), **columns})
