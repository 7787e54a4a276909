"""The flow: the ledgers of all strategies over one stored score table, compared. Runs no model."""

from prefect import State, flow
from prefect.states import Completed

from flows.configs import PipelineConfig
from flows.run.execute import Execution
from flows.run.form import check_files, check_form
from flows.run.pipeline import count_built
from flows.run.record import recorded
from flows.show import artifacts
from flows.weave_bake_off import STRATEGIES, check_scores, weave_bake_off


@flow(name="bake_off", persist_result=False, validate_parameters=True)
def bake_off(config: PipelineConfig, strategies: list[str] | None = None) -> State[str]:
    """Select hard negatives by each strategy, and count what each keeps, drops and misses.

    Args:
        config: all settings of the pipeline whose scores are there already.
        strategies: of denoise.strategy; empty: all.

    Returns:
        The final state; its result is the run's id.
    """
    check_form(config)
    root = config.storage.location
    pipeline = weave_bake_off(config, strategies or STRATEGIES)
    check_scores(pipeline, root)
    check_files(pipeline.promises)
    execution = Execution(pipeline, root, config.resources)
    with (
        config.storage.private(),
        recorded(config, pipeline, execution.results.values(), failed=execution.failed, flow="bake_off") as run,
    ):
        execution.run()
        artifacts.publish_bake_off(pipeline, root)
    return Completed(message=count_built(run.datasets), data=run.id)
