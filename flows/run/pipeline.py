"""Pipeline: all Steps of a configuration, in an order in which they can run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tasks.engine.step import Promise

STAGES = ("ingest", "retrieve", "denoise", "supplement", "plan_batches", "train", "evaluate", "export")
Promises = dict[str, Promise]  # by language


@dataclass(frozen=True)
class Planned:
    """One Promise and the stage of the pipeline that wants it first."""

    stage: str
    promise: Promise

    def named(self, names: Iterable[str]) -> bool:
        """Say whether one of the names means it: a stage, a step (`fit_cross_encoder`) or a kind of dataset."""
        return not {self.stage, self.promise.step.name, self.promise.step.produces}.isdisjoint(names)


@dataclass(frozen=True)
class Pipeline:
    """Promises in order: every input comes before what is made from it."""

    planned: tuple[Planned, ...]
    metrics: tuple[Promise, ...] = ()

    @classmethod
    def weave(cls, stages: dict[str, Sequence[Promise]], metrics: Sequence[Promise]) -> "Pipeline":
        """Put the Steps of all stages in order, inputs first; each once, in the first stage that names it.

        Args:
            stages: stage name -> its Promises.
            metrics: the Promises whose datasets are the pipeline's results.
        """
        seen: dict[str, Planned] = {}
        for stage, promises in stages.items():
            for promise in promises:
                for needed in inputs_first(promise):
                    seen.setdefault(_identity(needed), Planned(stage, needed))
        return cls(tuple(seen.values()), tuple(metrics))

    def until(self, name: str | None) -> "Pipeline":
        """Keep what a stage (or step, or kind) needs, itself included.

        Raises:
            ValueError: nothing has this name.
        """
        if name is None:
            return self
        self.check_names([name])
        goals = [planned.promise for planned in self.planned if planned.named([name])]
        needed = {_identity(promise) for goal in goals for promise in inputs_first(goal)}
        kept = tuple(planned for planned in self.planned if _identity(planned.promise) in needed)
        return Pipeline(kept, tuple(promise for promise in self.metrics if _identity(promise) in needed))

    def leading_to(self, stage: str, goal: Promise) -> "Pipeline":
        """Keep what a further Promise needs, and put it at the end; what the pipeline lacks counts to the new stage."""
        known = {_identity(planned.promise): planned for planned in self.planned}
        needed = [known.get(_identity(promise), Planned(stage, promise)) for promise in inputs_first(goal)]
        return Pipeline(tuple(needed))

    def check_names(self, names: Iterable[str]) -> None:
        """See that every name means something.

        Raises:
            ValueError: one does not.
        """
        for name in names:
            if not any(planned.named([name]) for planned in self.planned):
                steps = sorted({planned.promise.step.name for planned in self.planned})
                raise ValueError(
                    f"stage: expected one of {', '.join(STAGES)} (or a step: {', '.join(steps)}), got '{name}'. "
                    "Name one of these."
                )


def _identity(promise: Promise) -> str:
    return f"{promise.step.produces}/{promise.partition}/{promise.fingerprint}"


def inputs_first(promise: Promise) -> Iterator[Promise]:
    """Walk a Promise's inputs before itself, each once."""
    seen: set[str] = set()

    def walk(one: Promise) -> Iterator[Promise]:
        if _identity(one) in seen:
            return
        seen.add(_identity(one))
        for entry in one.inputs.values():
            yield from walk(entry)
        yield one

    yield from walk(promise)
