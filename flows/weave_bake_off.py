"""The bake-off as promises: each strategy's ledger over the one score table of a pipeline, and their comparison."""

from collections.abc import Sequence
from typing import get_args

from flows.configs import PipelineConfig
from flows.run.pipeline import Pipeline, inputs_first
from flows.weave import weave
from tasks.denoise.config import SelectConfig, Strategy
from tasks.engine.build import state
from tasks.engine.step import Promise
from tasks.steps import compare_strategies, select_hard_negatives

STAGE = "bake_off"
STRATEGIES: tuple[str, ...] = get_args(Strategy)


def weave_bake_off(config: PipelineConfig, strategies: Sequence[str]) -> Pipeline:
    """Promise the ledgers of several strategies, all else being the configuration's.

    They are the pipeline's promises with another `strategy`: what comes before them is what a run has built, and
    the configured strategy's ledger is the run's.

    Args:
        config: of a pipeline.
        strategies: of `denoise.strategy`, in the order of the tables.

    Raises:
        ValueError: there is no such strategy; and as `weave`.
        FileNotFoundError: as `weave`.
    """
    if unknown := set(strategies) - set(STRATEGIES):
        raise ValueError(
            f"bake-off: expected strategies of {', '.join(STRATEGIES)}, got '{min(unknown)}'. Name one of these."
        )
    woven = weave(config)
    first_ledgers = [promise for promise in woven.promises if promise.step is select_hard_negatives]
    settings = config.denoise.select
    ledgers = {
        strategy: {
            promise.partition: _under(promise, settings.model_copy(update={"strategy": strategy}))
            for promise in first_ledgers
        }
        for strategy in strategies
    }
    truth = {promise.partition: promise for promise in woven.promises if promise.step.produces == "truth"}
    comparison = compare_strategies(ledgers=ledgers, truth=truth, num_negatives=config.denoise.num_negatives)
    return woven.leading_to(STAGE, comparison)


def _under(ledger: Promise, config: SelectConfig) -> Promise:
    return ledger.step(ledger.partition, **{**ledger.arguments, "config": config})


def check_scores(pipeline: Pipeline, root: str) -> None:
    """See that a bake-off runs no model: all that needs one is in the store, and what it was made from.

    Raises:
        FileNotFoundError: it is not; names the first dataset that is missing.
    """
    costly = [promise for promise in pipeline.promises if promise.step.resource != "cpu"]
    for promise in {promise: None for one in costly for promise in inputs_first(one)}:
        if not (stored := state(promise, root)).cached:
            raise FileNotFoundError(
                f"bake-off: expected stored scores, got none: {promise.ref(root)} is {stored.reason}. "
                "Build them with `polyloom run CONFIG.yaml --until denoise` and the same settings."
            )
