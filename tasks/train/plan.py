"""Read a batch plan: rows of a table -> training steps, and which texts they name."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Key = tuple[str, str]  # (language, id): ids repeat over languages

COLUMNS = ("epoch", "step", "slot", "query_id", "positive", "negatives", "language", "weight", "not_negatives")
CONTENT_COLUMNS = ("epoch", "step", "query_id", "positive", "negatives", "language")


@dataclass(frozen=True)
class Sample:
    """One query of a training step with its documents."""

    language: str
    query_id: str
    positive: str
    negatives: tuple[str, ...]
    weight: float
    not_negatives: frozenset[str] = frozenset()
    """Documents that other queries of the step bring and that must not count as negatives for this one."""

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


@dataclass
class PlanContent:
    """How many steps a plan has, and which texts it names."""

    queries: set[Key] = field(default_factory=set)
    documents: set[Key] = field(default_factory=set)
    num_steps: int = 0


def iter_steps(tables: Iterable[pa.Table]) -> Iterator[PlanStep]:
    """Yield the steps of a plan that comes in parts; a step may lie across two of them.

    Args:
        tables: rows of a batch_plan, ordered by epoch, step and slot.

    Raises:
        ValueError: a row is out of order.
    """
    rows = (row for table in tables for row in table.select(list(COLUMNS)).to_pylist())
    last = (-1, -1)
    for (epoch, step), group in itertools.groupby(rows, key=lambda row: (row["epoch"], row["step"])):
        if (epoch, step) <= last:
            raise ValueError(
                f"batch plan: expected rows ordered by epoch and step, got epoch {epoch} step {step} after epoch "
                f"{last[0]} step {last[1]}. Sort the plan by epoch, step, slot."
            )
        last = (epoch, step)
        yield PlanStep(epoch, step, tuple(map(_sample, group)))


def plan_content(tables: Iterable[pa.Table]) -> PlanContent:
    """Count a plan's steps and collect the queries and documents that it names, a part at a time.

    Args:
        tables: rows of a batch_plan, ordered by epoch and step; a step may lie across two tables.
    """
    content = PlanContent()
    last = (-1, -1)
    for table in tables:
        if not table.num_rows:
            continue
        epoch, step = table["epoch"].to_numpy(), table["step"].to_numpy()
        begins = int(np.count_nonzero((np.diff(epoch) != 0) | (np.diff(step) != 0)))
        content.num_steps += begins + ((epoch[0], step[0]) != last)
        last = (epoch[-1], step[-1])
        for language in pc.unique(table["language"]).to_pylist():
            rows = table.filter(pc.equal(table["language"], language))
            negatives = pc.list_flatten(rows["negatives"])
            content.queries |= _keys(language, rows["query_id"])
            content.documents |= _keys(language, rows["positive"]) | _keys(language, negatives)
    return content


def _keys(language: str, ids: pa.ChunkedArray) -> set[Key]:
    return {(language, name) for name in pc.unique(ids).to_pylist()}


def _sample(row: dict[str, object]) -> Sample:
    return Sample(
        language=str(row["language"]),
        query_id=str(row["query_id"]),
        positive=str(row["positive"]),
        negatives=tuple(_list(row, "negatives")),
        weight=float(str(row["weight"])),
        not_negatives=frozenset(_list(row, "not_negatives")),
    )


def _list(row: dict[str, object], column: str) -> list[str]:
    names = row[column]
    if not isinstance(names, list):
        raise ValueError(
            f"batch plan: expected a list of {column} for query '{row['query_id']}', got {names!r}. Write an "
            "empty list where there are none."
        )
    return list(map(str, names))
