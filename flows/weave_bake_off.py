"""The bake-off as promises: each strategy's ledger over the one score table of a pipeline, and their comparison."""

from collections.abc import Sequence
from typing import get_args

from flows.configs import PipelineConfig
from flows.pipeline import Pipeline, inputs_first
from flows.weave import weave
from tasks.bake_off.task import compare_strategies
from tasks.build import state
from tasks.denoise.config import SelectConfig, Strategy
from tasks.denoise.task import select_hard_negatives
from tasks.stage import Step

STAGE = "bake_off"
STRATEGIES: tuple[str, ...] = get_args(Strategy)


def weave_bake_off(config: PipelineConfig, strategies: Sequence[str]) -> Pipeline:
    """Promise the ledgers of several strategies, all else being the configuration's.

    They are the pipeline's own Steps with another `strategy`: what comes before them is what a run has built, and
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
    own = [planned.step for planned in woven.planned if planned.step.stage is select_hard_negatives]
    settings = config.denoise.select
    ledgers = {
        strategy: {step.partition: _under(step, settings.model_copy(update={"strategy": strategy})) for step in own}
        for strategy in strategies
    }
    truth = {
        planned.step.partition: planned.step for planned in woven.planned if planned.step.stage.produces == "truth"
    }
    comparison = compare_strategies(ledgers=ledgers, truth=truth, num_negatives=config.denoise.num_negatives)
    return woven.leading_to(STAGE, comparison)


def _under(ledger: Step, config: SelectConfig) -> Step:
    return ledger.stage(ledger.partition, **{**ledger.arguments, "config": config})


def check_scores(pipeline: Pipeline, root: str) -> None:
    """See that a bake-off runs no model: all that needs one is in the store, and what it was made from.

    Raises:
        FileNotFoundError: it is not; names the first dataset that is missing.
    """
    costly = [planned.step for planned in pipeline.planned if planned.step.stage.resource != "cpu"]
    for step in {step: None for one in costly for step in inputs_first(one)}:
        if not (found := state(step, root)).cached:
            raise FileNotFoundError(
                f"bake-off: expected stored scores, got none: {step.ref(root)} is {found.reason}. "
                "Build them with `polyloom run CONFIG.yaml --until denoise` and the same settings."
            )
