"""Settings of the evaluation."""

import re

from pydantic import Field, field_validator

from tasks.engine.step import Settings
from tasks.evaluate.measure import parse_measures


class EvaluateConfig(Settings):
    """How runs are made and measured."""

    depth: int = Field(default=100, ge=1, description="Documents per query in a run; at least the largest cut-off.")
    metrics: tuple[str, ...] = Field(
        default=("nDCG@10", "R@100"),
        min_length=1,
        description="Measures in any spelling that ir_measures knows; R@100 is Recall@100.",
    )

    ignore_own_document: bool | None = Field(
        default=None,
        description="Whether a document with the query's own id is left out, as a hit and as a candidate to mine from: "
        "where queries are documents, each finds itself first. Empty: with layout beir alone, which is BEIR's rule.",
    )

    @field_validator("metrics")
    @classmethod
    def _as_ir_measures_spells_them(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(str, parse_measures(metrics)))

    def largest_cutoff(self) -> tuple[int, str]:
        """Return the largest cut-off and its measure; (0, "") where none has one."""
        found = ((re.search(r"@(\d+)$", name), name) for name in self.metrics)
        return max(((int(cutoff[1]), name) for cutoff, name in found if cutoff), default=(0, ""))
