"""Read a batch plan: rows of a table -> training steps."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

Key = tuple[str, str]  # (language, id): ids repeat over languages

COLUMNS = ["epoch", "step", "slot", "query_id", "positive", "negatives", "language", "weight"]


@dataclass(frozen=True)
class Sample:
    """One query of a training step with its documents."""

    language: str
    query_id: str
    positive: str
    negatives: tuple[str, ...]
    weight: float

    @property
    def query(self) -> Key:
        """The query's key."""
        return self.language, self.query_id

    @property
    def documents(self) -> list[Key]:
        """The documents' keys, the positive first."""
        return [(self.language, doc_id) for doc_id in (self.positive, *self.negatives)]


@dataclass(frozen=True)
class PlanStep:
    """The samples of one optimizer step, numbered as in the plan."""

    epoch: int
    step: int
    samples: tuple[Sample, ...]

    @property
    def language(self) -> str:
        """The samples' language, or `mixed`."""
        languages = {sample.language for sample in self.samples}
        return languages.pop() if len(languages) == 1 else "mixed"


def iter_steps(tables: Iterable[pa.Table]) -> Iterator[PlanStep]:
    """Yield the steps of a plan that comes in parts; a step may lie across two of them.

    Args:
        tables: rows of a batch_plan, ordered by epoch, step and slot.

    Raises:
        ValueError: a row is out of order.
    """
    rows = (row for table in tables for row in table.select(COLUMNS).to_pylist())
    last = (-1, -1)
    for (epoch, step), group in itertools.groupby(rows, key=lambda row: (row["epoch"], row["step"])):
        if (epoch, step) <= last:
            raise ValueError(
                f"batch plan: expected rows ordered by epoch and step, got epoch {epoch} step {step} after epoch "
                f"{last[0]} step {last[1]}. Sort the plan by epoch, step, slot."
            )
        last = (epoch, step)
        yield PlanStep(epoch, step, tuple(map(_sample, group)))


def _sample(row: dict[str, object]) -> Sample:
    negatives = row["negatives"]
    if not isinstance(negatives, list):
        raise ValueError(
            f"batch plan: expected a list of negatives for query '{row['query_id']}', got {negatives!r}. Write an "
            "empty list where there are none."
        )
    return Sample(
        language=str(row["language"]),
        query_id=str(row["query_id"]),
        positive=str(row["positive"]),
        negatives=tuple(map(str, negatives)),
        weight=float(str(row["weight"])),
    )
