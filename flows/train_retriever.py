"""The flow: the whole pipeline, run by Prefect, with its results as artifacts."""

import functools

from prefect import State, flow
from prefect.states import Completed

from flows.configs import PipelineConfig
from flows.run import gate, notify
from flows.run.execute import Execution
from flows.run.form import check_files, check_form
from flows.run.pipeline import count_built
from flows.run.record import recorded
from flows.run.run_name import run_name
from flows.show import artifacts
from flows.show.results import result_notes
from flows.weave import weave


@flow(name="train_retriever", flow_run_name=run_name, persist_result=False, validate_parameters=True)
def train_retriever(config: PipelineConfig, until: str | None = None, refresh: list[str] | None = None) -> State[str]:
    """Train one multilingual retriever and measure it; build what is missing, take the rest from the store.

    Args:
        config: all settings.
        until: stop after this stage (ingest, retrieve, denoise, supplement, plan_batches, train, evaluate, export)
            or step.
        refresh: stages or steps to build again, whatever is in the store.

    Returns:
        The final state: its message sums the run up, its result is the run's id.
    """
    check_form(config)
    config.resources.check_device()
    pipeline = weave(config, until)
    pipeline.check_names(refresh or [])
    check_files(pipeline.promises)
    block = notify.load_block(config.export.notify)
    execution = Execution(pipeline, config.storage.location, config.resources, frozenset(refresh or []))
    record = recorded(
        config,
        pipeline,
        execution.results.values(),
        failed=execution.failed,
        until=until,
        refresh=refresh,
        at_end=artifacts.publish_report,
    )
    with config.storage.private(), record as run:
        execution.publish = functools.partial(artifacts.publish_stage, run=run, pipeline=pipeline, config=config)
        execution.run()
        verdict = gate.settle(pipeline, config, run.id)
        run.notes = [*result_notes(pipeline, config), *([verdict.text] if verdict else [])]
        notify.tell(block, config.name, verdict)
    return Completed(message="; ".join([count_built(run.datasets), *([verdict.text] if verdict else [])]), data=run.id)
