"""Stored scores of a cross-encoder, by query and document: what distillation learns from."""

import math
from collections.abc import Iterable
from typing import Self

import pyarrow as pa

from tasks.train.plan import Sample


class TeacherScores:
    """A score per (language, query, document), on the scale of logits."""

    def __init__(self, scores: dict[tuple[str, str], dict[str, float]]) -> None:
        """Keep the scores.

        Args:
            scores: (language, query_id) -> doc_id -> score.
        """
        self._scores = scores

    @classmethod
    def from_tables(cls, tables: Iterable[pa.Table]) -> Self:
        """Read tables with the columns language, query_id, doc_id and score; rows without a score are passed over."""
        scores: dict[tuple[str, str], dict[str, float]] = {}
        for table in tables:
            columns = (table[name].to_pylist() for name in ("language", "query_id", "doc_id", "score"))
            for language, query_id, doc_id, score in zip(*columns, strict=True):
                if score is not None:
                    scores.setdefault((language, query_id), {})[doc_id] = float(score)
        return cls(scores)

    def scores_of(self, sample: Sample) -> list[float]:
        """Return the scores of a sample's documents, the positive first; NaN where none is stored."""
        known = self._scores.get(sample.query, {})
        return [known.get(doc_id, math.nan) for doc_id in (sample.positive, *sample.negatives)]
