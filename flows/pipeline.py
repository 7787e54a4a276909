"""Pipeline: all Steps of a configuration, in an order in which they can run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tasks.stage import Step

STAGES = ("ingest", "retrieve", "denoise", "supplement", "plan_batches", "train", "evaluate", "export")
Steps = dict[str, Step]  # by language


@dataclass(frozen=True)
class Planned:
    """One Step and the stage of the pipeline that wants it first."""

    stage: str
    step: Step

    def named(self, names: Iterable[str]) -> bool:
        """Say whether one of the names means this Step: a stage, a step (`fit_cross_encoder`) or a kind of dataset."""
        return not {self.stage, self.step.stage.name, self.step.stage.produces}.isdisjoint(names)


@dataclass(frozen=True)
class Pipeline:
    """Steps in order: every input comes before what is made from it."""

    planned: tuple[Planned, ...]
    metrics: tuple[Step, ...] = ()

    @classmethod
    def weave(cls, stages: dict[str, Sequence[Step]], metrics: Sequence[Step]) -> "Pipeline":
        """Put the Steps of all stages in order, inputs first; each once, in the first stage that names it.

        Args:
            stages: stage name -> its Steps.
            metrics: the Steps whose datasets are the pipeline's results.
        """
        seen: dict[str, Planned] = {}
        for stage, steps in stages.items():
            for step in steps:
                for needed in inputs_first(step):
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
        goals = [planned.step for planned in self.planned if planned.named([name])]
        needed = {_identity(step) for goal in goals for step in inputs_first(goal)}
        kept = tuple(planned for planned in self.planned if _identity(planned.step) in needed)
        return Pipeline(kept, tuple(step for step in self.metrics if _identity(step) in needed))

    def leading_to(self, stage: str, goal: Step) -> "Pipeline":
        """Keep what a further Step needs, and put it at the end; what the pipeline lacks counts to the new stage."""
        known = {_identity(planned.step): planned for planned in self.planned}
        needed = [known.get(_identity(step), Planned(stage, step)) for step in inputs_first(goal)]
        return Pipeline(tuple(needed))

    def check_names(self, names: Iterable[str]) -> None:
        """See that every name means something.

        Raises:
            ValueError: one does not.
        """
        for name in names:
            if not any(planned.named([name]) for planned in self.planned):
                steps = sorted({planned.step.stage.name for planned in self.planned})
                raise ValueError(
                    f"stage: expected one of {', '.join(STAGES)} (or a step: {', '.join(steps)}), got '{name}'. "
                    "Name one of these."
                )


def _identity(step: Step) -> str:
    return f"{step.stage.produces}/{step.partition}/{step.fingerprint}"


def inputs_first(step: Step) -> Iterator[Step]:
    """Walk a Step's inputs before itself, each once."""
    seen: set[str] = set()

    def walk(one: Step) -> Iterator[Step]:
        if _identity(one) in seen:
            return
        seen.add(_identity(one))
        for entry in one.inputs.values():
            yield from walk(entry)
        yield one

    yield from walk(step)
