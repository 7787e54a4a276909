"""Outcome: what became of one Promise, as `run --json` and the tables show it."""

from dataclasses import dataclass
from typing import Any, Literal

from flows.run.pipeline import Pipeline, Planned
from storage import Manifest
from tasks.engine.build import state, sweep


@dataclass(frozen=True)
class Outcome:
    """One line of the table of stages."""

    stage: str
    step: str
    kind: str
    partition: str
    fingerprint: str
    content: str
    status: Literal["built", "cached"]
    rows: int
    seconds: float
    """What this run spent; 0 where the dataset was there."""
    reason: str

    @classmethod
    def of(
        cls, planned: Planned, manifest: Manifest, status: Literal["built", "cached"], reason: str = ""
    ) -> "Outcome":
        """Describe a Promise whose dataset is in the store."""
        return cls(
            stage=planned.stage,
            step=planned.promise.step.name,
            kind=manifest.kind,
            partition=manifest.partition,
            fingerprint=manifest.fingerprint,
            content=manifest.content,
            status=status,
            rows=manifest.rows,
            seconds=manifest.seconds if status == "built" else 0.0,
            reason=reason or status,
        )

    @classmethod
    def of_stored(cls, pipeline: Pipeline, root: str) -> "list[Outcome] | None":
        """Say what a run would say if everything is in the store, else None."""
        outcomes = []
        for planned in pipeline.planned:
            found = state(planned.promise, root)
            if found.manifest is None:
                return None
            sweep(planned.promise, root)
            outcomes.append(cls.of(planned, found.manifest, "cached"))
        return outcomes

    def as_json(self) -> dict[str, Any]:
        """Return the entry of `stages` in `run --json`."""
        return self.__dict__.copy()
