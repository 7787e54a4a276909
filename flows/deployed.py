"""The flows as deployments: each has a form of one screen, and says what went wrong in one line of the UI."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.ablation import ablation as run_ablation
from flows.bake_off import bake_off as run_bake_off
from flows.configs import StorageConfig
from flows.form_fields import (
    AblationFile,
    Change,
    Config,
    Stage,
    Strategy,
    read_ablation_form,
    read_form,
)
from flows.run.form import check_form
from flows.run.mendable import MENDABLE, say
from flows.run.pipeline import STAGES
from flows.run.run_name import run_name
from flows.show.artifacts import publish_waste
from flows.train_retriever import train_retriever
from storage import care

P = ParamSpec("P")
R = TypeVar("R")

QUICKSTART, ATLAS = "configs/quickstart.yaml", "benchmarks/ablation/atlas.yaml"


def _in_one_line(body: Callable[P, R]) -> Callable[P, R | State[R]]:
    """Make a flow's state say what can be mended, without the traceback, which the log of its task has."""

    @functools.wraps(body)
    def said(*args: P.args, **kwargs: P.kwargs) -> R | State[R]:
        try:
            return body(*args, **kwargs)
        except MENDABLE as error:
            return Failed(message=" ".join(say(error).split()))

    return said


@flow(name="train_retriever", flow_run_name=run_name, persist_result=False)
@_in_one_line
def pipeline(
    config: Config = QUICKSTART,
    path: str = "",
    changes: list[Change] = [],  # noqa: B006 - a form has no None, and nothing writes into it
    until: Stage = STAGES[-1],
    refresh: list[Stage] = [],  # noqa: B006
) -> State[str]:
    """Train one multilingual retriever and measure it; build what is missing, take the rest from the store.

    Args:
        config: A file of settings.
        path: Another file of settings, on the worker; in its place.
        changes: Settings that are different from the file.
        until: The last stage; what it needs and the store lacks is built first.
        refresh: Stages to build again, whatever is in the store.
    """
    return train_retriever.fn(read_form(config, path, changes), None if until == STAGES[-1] else until, refresh)


@flow(name="ablation", flow_run_name=run_name, persist_result=False)
@_in_one_line
def ablation(
    config: AblationFile = ATLAS,
    path: str = "",
    changes: list[Change] = [],  # noqa: B006
) -> State[None]:
    """Train and measure variants of one configuration, and compare them; what two of them share is built once.

    Args:
        config: A file of variants.
        path: Another file of variants, on the worker; in its place.
        changes: Settings of all variants that are different from the file.
    """
    variants, reference = read_ablation_form(config, path, changes)
    run_ablation.fn(variants, variants, reference)
    return Completed(message=f"{len(variants)} pipelines, compared in the artifact ablation")


@flow(name="bake_off", flow_run_name=run_name, persist_result=False)
@_in_one_line
def bake_off(
    config: Config = QUICKSTART,
    path: str = "",
    changes: list[Change] = [],  # noqa: B006
    strategies: list[Strategy] = [],  # noqa: B006
) -> State[str]:
    """Select hard negatives by each strategy over stored scores, and count what each keeps, drops and misses.

    Args:
        config: A file of settings, of a pipeline that has run until denoise.
        path: Another file of settings, on the worker; in its place.
        changes: Settings that are different from the file.
        strategies: Only these; none: all.
    """
    return run_bake_off.fn(read_form(config, path, changes), strategies)


@flow(name="gc", persist_result=False)
@_in_one_line
def gc(root: str = "data", keep: int = 3, delete: bool = False) -> State[None]:
    """List what no kept run of a store needs, from datasets to old copies, and delete it if asked.

    Args:
        root: The store, a folder or a URL.
        keep: Completed runs of each name that are kept.
        delete: Delete it; without it nothing is.
    """
    store = StorageConfig(root=root)
    check_form(store)
    waste = care.waste(store.location, keep)
    publish_waste(waste)
    for one in care.waste(store.location, keep) if delete else []:  # a run may have begun meanwhile
        care.remove(one)
    done = "deleted" if delete else "could go; nothing is deleted"
    return Completed(message=f"{len(waste):,} things {done}")
