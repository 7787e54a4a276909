"""A pipeline built in this process, without Prefect: Promises in order, and a count of the networks that ran."""

from collections.abc import Iterator
from contextlib import contextmanager

from support.loom import SURROUNDINGS
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from flows.run.pipeline import Pipeline
from tasks.engine.build import build, state
from tasks.engine.step import Promise
from tasks.engine.turn import sweep


def build_missing(pipeline: Pipeline, root: str) -> list[Promise]:
    """Build what is not in the store, and return it."""
    built = []
    for promise in pipeline.promises:
        if state(promise, root).cached:
            sweep(promise.ref(root))
        else:
            build(promise, root, SURROUNDINGS)
            built.append(promise)
    return built


@contextmanager
def counted_calls() -> Iterator[list[str]]:
    """Collect the class of every network that is called in this process, whoever calls it."""
    calls: list[str] = []

    def count(module: nn.Module, _inputs: object) -> None:
        calls.append(type(module).__name__)

    hook = register_module_forward_pre_hook(count)
    try:
        yield calls
    finally:
        hook.remove()
