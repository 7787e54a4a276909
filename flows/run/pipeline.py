"""Pipeline: all promises of a configuration, in an order in which they can run, and what became of each."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage import Manifest
from storage.runs import Outcome, RunDataset
from tasks.engine.build import looking_at, state
from tasks.engine.code import definition
from tasks.engine.step import Promise, Step
from tasks.engine.turn import sweep

STAGES = ("ingest", "retrieve", "denoise", "supplement", "plan_batches", "train", "evaluate", "export")
Promises = dict[str, Promise]  # by language


def each(step: Step, shared: Mapping[str, Any] | None = None, **by_language: Promises) -> Promises:
    """Promise what a step makes of every language.

    Args:
        step: makes something of one language; is told which, if its body has an argument `language`.
        shared: arguments that are the same for all languages.
        by_language: the others; the first says which languages there are.
    """
    is_told = any(one.arg == "language" for one in definition(step.path).args.kwonlyargs)
    return {
        language: step(
            language,
            **({"language": language} if is_told else {}),
            **{name: promises[language] for name, promises in by_language.items()},
            **(shared or {}),
        )
        for language in next(iter(by_language.values()))
    }


@dataclass(frozen=True)
class StagedPromise:
    """One Promise and the stage of the pipeline that wants it first."""

    stage: str
    promise: Promise

    def named(self, names: Iterable[str]) -> bool:
        """Say whether one of the names means it: a stage, a step (`fit_judge`) or a kind of dataset."""
        return not {self.stage, self.promise.step.name, self.promise.step.produces}.isdisjoint(names)


@dataclass(frozen=True)
class Pipeline:
    """Promises in order: every input comes before what is made from it."""

    staged: tuple[StagedPromise, ...]
    metrics: tuple[Promise, ...] = ()

    @property
    def promises(self) -> tuple[Promise, ...]:
        """The promises alone, in order."""
        return tuple(staged.promise for staged in self.staged)

    def by_stage(self) -> dict[str, list[StagedPromise]]:
        """Return the promises of each stage, stages in order: none needs a later one."""
        names = sorted(dict.fromkeys(one.stage for one in self.staged), key=lambda name: (*STAGES, name).index(name))
        return {name: [one for one in self.staged if one.stage == name] for name in names}

    @classmethod
    def weave(cls, stages: Mapping[str, Sequence[Promise]], metrics: Sequence[Promise]) -> "Pipeline":
        """Put the promises of all stages in order, inputs first; each once, in the first stage that names it.

        Args:
            stages: stage name -> its Promises.
            metrics: the Promises whose datasets are the pipeline's results.
        """
        by_identity: dict[str, StagedPromise] = {}
        for stage, promises in stages.items():
            for promise in promises:
                for needed in inputs_first(promise):
                    by_identity.setdefault(_identity(needed), StagedPromise(stage, needed))
        return cls(tuple(by_identity.values()), tuple(metrics))

    def until(self, name: str | None) -> "Pipeline":
        """Keep what a stage (or step, or kind) needs, itself included.

        Raises:
            ValueError: nothing has this name.
        """
        if name is None:
            return self
        self.check_names([name])
        goals = [staged.promise for staged in self.staged if staged.named([name])]
        needed = {_identity(promise) for goal in goals for promise in inputs_first(goal)}
        kept = tuple(staged for staged in self.staged if _identity(staged.promise) in needed)
        return Pipeline(kept, tuple(promise for promise in self.metrics if _identity(promise) in needed))

    def leading_to(self, stage: str, goal: Promise) -> "Pipeline":
        """Keep what a further Promise needs, and put it at the end; what the pipeline lacks counts to the new stage."""
        known = {_identity(staged.promise): staged for staged in self.staged}
        needed = [known.get(_identity(promise), StagedPromise(stage, promise)) for promise in inputs_first(goal)]
        return Pipeline(tuple(needed))

    def has(self, name: str) -> bool:
        """Say whether a name means something here: a stage, a step or a kind of dataset."""
        return any(staged.named([name]) for staged in self.staged)

    def check_names(self, names: Iterable[str]) -> None:
        """See that every name means something.

        Raises:
            ValueError: one does not.
        """
        for name in names:
            if not self.has(name):
                steps = sorted({promise.step.name for promise in self.promises})
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


def described(
    staged: StagedPromise, manifest: Manifest | None = None, status: Outcome = "not run", reason: str = ""
) -> RunDataset:
    """Describe what became of a Promise, with its dataset's manifest if that is in the store."""
    promise = staged.promise
    one = RunDataset(
        stage=staged.stage,
        step=promise.step.name,
        kind=promise.step.produces,
        partition=promise.partition,
        fingerprint=promise.fingerprint,
    )
    if manifest is None:
        return one
    one.status, one.reason, one.content, one.rows = status, reason or status, manifest.content, manifest.rows
    one.seconds = manifest.seconds if status == "built" else 0.0
    return one


def all_stored(pipeline: Pipeline, root: str) -> list[RunDataset] | None:
    """Say what a run would say if everything is in the store, else None."""
    found = []
    with looking_at(pipeline.promises, root):
        for staged in pipeline.staged:
            stored = state(staged.promise, root)
            if stored.manifest is None:
                return None
            sweep(staged.promise.ref(root))
            found.append(described(staged, stored.manifest, "cached"))
    return found


def count_built(datasets: Collection[RunDataset]) -> str:
    """Sum up what became of a run's datasets."""
    built = sum(one.status == "built" for one in datasets)
    return f"{built} of {len(datasets)} datasets built, {len(datasets) - built} were in the store"
