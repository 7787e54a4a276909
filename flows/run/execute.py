"""Run a pipeline's Promises as Prefect tasks: what is in the store is Cached, the rest is built."""

import functools
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.configs import ResourcesConfig
from flows.run.pipeline import Pipeline, StagedPromise, described
from flows.run.progress import SHOWN, at_work, log_progress, with_artifact
from flows.run.shares import surroundings
from flows.run.stop import UNDER_WAY, ending
from storage import DamagedDataset, DatasetRef, Manifest, StorageError
from storage.runs import RunDataset
from tasks.engine.build import build, commit_number, looking_at, state
from tasks.engine.job import Progress
from tasks.engine.step import Promise
from tasks.engine.told import called, label
from tasks.engine.turn import sweep
from tasks.faults import no_room

AT_A_TIME = 2  # steps: memory grows with it, and networks run one at a time in any case


@dataclass
class Execution:
    """One run of a pipeline: knows what is shared between its threads."""

    pipeline: Pipeline
    root: str
    resources: ResourcesConfig
    refresh: frozenset[str] = frozenset()
    publish: Callable[[str, list[RunDataset]], None] = lambda _stage, _results: None
    """Shows what a stage made, in its flow run."""

    def __post_init__(self) -> None:
        """Make the locks, and note what a refresh is to replace: what another run builds from now on is new enough."""
        self._one_at_a_time = {str(promise.ref(self.root)): threading.Lock() for promise in self.pipeline.promises}
        refs = [promise.ref(self.root) for promise in self.pipeline.promises]
        self._by_key = {str(ref): ref for ref in refs}
        self._alone = False  # Prefect's API has gone
        self._by_uri = {staged.promise.ref(self.root).uri: staged for staged in self.pipeline.staged}
        self._replaces = {
            str(staged.promise.ref(self.root)): commit_number(staged.promise, self.root)
            for staged in self.pipeline.staged
            if staged.named(self.refresh)
        }
        self.results: dict[str, RunDataset] = {}  # by the name of the dataset, as they come
        self.failed: set[str] = set()

    def run(self) -> None:
        """Run stage after stage; where a Promise fails, what does not need it still runs, in later stages too.

        In a stage languages run side by side, `AT_A_TIME` Promises at a time: that bounds the memory.

        Raises:
            Exception: that of the first Promise that failed.
        """
        # Prefect draws its graph by the identity of objects: what an arrow comes from has to outlive the run, or
        # another object takes its place in memory and an arrow appears between strangers.
        done: list[Any] = [None]
        first: Exception | None = None
        with ending(flow_run_id()):
            for stage, staged in self.pipeline.by_stage().items():
                failed, ready = len(self.failed), self._ready(staged)
                try:
                    done += [self._run_stage(stage, ready, done[-1])] if ready else []
                except Exception as error:
                    of_the_store = type(error) is StorageError or no_room(error, self.root)
                    if of_the_store or len(self.failed) == failed:  # of all steps, or of none
                        raise
                    first = first or error
            if first:
                raise first

    def _ready(self, staged: Sequence[StagedPromise]) -> list[StagedPromise]:
        """Leave out what needs a Promise that failed; inputs come first."""
        made, ready = set(self.results), []
        for one in staged:
            if {str(entry.ref(self.root)) for entry in one.promise.inputs.values()} <= made:
                made.add(str(one.promise.ref(self.root)))
                ready.append(one)
        return ready

    def _run_stage(self, stage: str, staged: Sequence[StagedPromise], after: Any) -> Any:
        """Make a stage's datasets in a flow run of its own, or say in one task run that all are in the store."""
        missing = self._missing(staged)

        @flow(
            name=stage,
            flow_run_name=f"{missing} of {len(staged)} datasets",
            persist_result=False,
            validate_parameters=False,
        )
        def make_stage(after: Any) -> list[str]:
            with ending(flow_run_id()):
                self._submit(staged)
                self.publish(stage, self._done(staged))
            return [stage]

        if missing == 0:
            return self._take_stage(stage, staged, after)
        if self._alone:
            return self._submit(staged)
        failed = len(self.failed)
        try:
            return make_stage(after)
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            if len(self.failed) > failed:
                raise
            self._alone = True
            logging.getLogger("polyloom.run").warning("Prefect does not answer, the run goes on without: %s", error)
            return self._submit([one for one in staged if str(one.promise.ref(self.root)) not in self.results])

    def _missing(self, staged: Sequence[StagedPromise]) -> int:
        with looking_at([one.promise for one in staged], self.root):
            return sum(not state(one.promise, self.root).cached or self._is_replaced(one.promise) for one in staged)

    def _is_replaced(self, promise: Promise) -> bool:
        key = str(promise.ref(self.root))
        return key in self._replaces and self._replaces[key] == commit_number(promise, self.root)

    def _take_stage(self, stage: str, staged: Sequence[StagedPromise], after: Any) -> Any:
        @task(name=stage, task_run_name=stage, cache_policy=NO_CACHE, persist_result=False)
        def take(after: Any) -> State[list[str]]:
            for one in staged:
                self.results[str(one.promise.ref(self.root))] = self._make(one)
            return Completed(name="Cached", message=f"{len(staged)} datasets are in the store", data=[stage])

        done = take(after)
        if not self._alone:
            self.publish(stage, self._done(staged))
        return done

    def _done(self, staged: Sequence[StagedPromise]) -> list[RunDataset]:
        return [self.results[str(one.promise.ref(self.root))] for one in staged]

    def _submit(self, staged: Sequence[StagedPromise]) -> None:
        futures: dict[str, Any] = {}
        with ThreadPoolTaskRunner[Any](max_workers=AT_A_TIME) as runner:
            for one in staged:
                # the arrows: from this stage's tasks by their futures
                names = [str(entry.ref(self.root)) for entry in one.promise.inputs.values()]
                inputs = [futures.get(name, name) for name in names]
                ref = self._by_key[str(one.promise.ref(self.root))]
                futures[str(ref)] = runner.submit(self._as_task(one), {"dataset": ref, "inputs": inputs})
            for future in futures.values():
                future.wait()
        wrong = {key: one for key, one in futures.items() if one.state.is_failed() or one.state.is_crashed()}
        self.failed |= set(wrong)
        for future in wrong.values():
            future.result()

    def _as_task(self, staged: StagedPromise) -> Any:
        promise = staged.promise

        # no tags: Prefect asks the API for a slot of each before a task begins, and a run has to do without the API
        @task(
            name=promise.step.name,
            task_run_name=label(promise),
            description=promise.step.description,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        def make_dataset(dataset: DatasetRef, inputs: list[DatasetRef | str]) -> State[DatasetRef] | DatasetRef:
            result = self._make(staged)
            self.results[str(dataset)] = result
            if result.status == "cached":
                return Completed(name="Cached", message=f"{dataset} is in the store", data=dataset)
            return dataset

        return make_dataset

    def _make(self, staged: StagedPromise) -> RunDataset:
        promise, log = staged.promise, logging.getLogger("polyloom.run")
        key = str(promise.ref(self.root))
        with self._one_at_a_time[key]:
            stored = state(promise, self.root)
            if stored.manifest and stored.manifest.number != self._replaces.get(key):
                sweep(promise.ref(self.root))
                return described(staged, stored.manifest, "cached")
            if stored.damaged:
                log.warning("%s makes %s again: %s", staged.stage, called(promise), stored.reason)
            with at_work(f"{staged.stage}, {called(promise)}"):
                manifest, reason = self._build(staged)
            if reason == "cached":
                log.info("%s has %s from another run.", staged.stage, called(promise))
                return described(staged, manifest, "cached")
            why = "it was damaged" if stored.damaged else reason
            made = called(promise) + ("" if reason == "not built" else f" again ({why})")
            rows = f"{manifest.rows:,} row{'s' * (manifest.rows != 1)}"
            log.info("%s made %s: %s in %.1f s.", staged.stage, made, rows, manifest.seconds)
            return described(staged, manifest, "built", reason)

    def _build(self, staged: StagedPromise) -> tuple[Manifest, str]:
        try:
            return self._build_in_turn(staged.promise)
        except DamagedDataset as damage:
            producer = self._by_uri.get(damage.uri)
            if producer is None or producer.promise is staged.promise:
                raise
            logging.getLogger("polyloom.run").warning("%s needs an input anew: %s", called(staged.promise), damage)
            self._make(producer)  # outside the share: the producer may need the same one
            return self._build_in_turn(staged.promise)

    def _build_in_turn(self, promise: Promise) -> tuple[Manifest, str]:
        """Build while holding the share of the resource that the step needs."""
        replaces = self._replaces.get(str(promise.ref(self.root)))
        with surroundings(promise, self.resources, _progress(promise)) as given:
            UNDER_WAY[label(promise)] = ""
            try:
                return build(promise, self.root, given, replaces=replaces)
            except Exception as error:
                if (refused := no_room(error, promise.ref(self.root).uri)) is not None:
                    raise refused from error
                raise
            finally:
                UNDER_WAY.pop(label(promise), None)  # another run in this process may have one of this name


def _progress(promise: Promise) -> Progress:
    draw = functools.partial(SHOWN[-1].draw, label(promise)) if SHOWN else log_progress
    return functools.partial(with_artifact, draw, label(promise))


def flow_run_id() -> UUID | None:
    """Return the id of the flow run that this is in."""
    context = FlowRunContext.get()
    return context.flow_run.id if context and context.flow_run else None
