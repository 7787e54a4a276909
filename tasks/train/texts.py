"""What a batch plan needs: its queries, its documents and its number of steps, counted part by part."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.train.plan import Key

COLUMNS = ("epoch", "step", "query_id", "positive", "negatives", "language")


@dataclass
class Needs:
    """What a plan needs."""

    queries: set[Key] = field(default_factory=set)
    documents: set[Key] = field(default_factory=set)
    num_steps: int = 0


def count_needs(tables: Iterable[pa.Table]) -> Needs:
    """Collect language and id of each query and document of a plan, and count its steps.

    Args:
        tables: rows of a batch_plan, ordered by epoch and step; a step may lie across two tables.
    """
    needs = Needs()
    last = (-1, -1)
    for table in tables:
        if not table.num_rows:
            continue
        epoch, step = table["epoch"].to_numpy(), table["step"].to_numpy()
        begins = int(np.count_nonzero((np.diff(epoch) != 0) | (np.diff(step) != 0)))
        needs.num_steps += begins + ((epoch[0], step[0]) != last)
        last = (epoch[-1], step[-1])
        for language in pc.unique(table["language"]).to_pylist():
            rows = table.filter(pc.equal(table["language"], language))
            needs.queries.update((language, name) for name in _unique(rows["query_id"]))
            needs.documents.update((language, name) for name in _unique(rows["positive"]))
            needs.documents.update((language, name) for name in _unique(pc.list_flatten(rows["negatives"])))
    return needs


def _unique(column: pa.ChunkedArray) -> list[str]:
    names: list[str] = pc.unique(column).to_pylist()
    return names
