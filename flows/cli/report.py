"""The command that writes a run's report again, or that of a configuration that no run has a record of."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Root, Set, out
from flows.configs import StorageConfig, load_config
from flows.run.record import new_run
from flows.weave import weave
from storage import find, inspect, runs
from tasks.engine.step import deferred

page = deferred("flows.show.report.page")  # loads polars and scipy


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="An id, a name, latest; or a CONFIG.yaml, for what is in the store.")
    ] = "latest",
    set_: Set = None,
    root: Root = "data",
) -> None:
    """Write one HTML page that shows what a run did: results, what was removed and why, training, examples, cost."""
    if run.endswith((".yaml", ".yml")):
        config = load_config(Path(run), tuple(set_ or ()))
        where, record = config.storage.location, new_run(config, weave(config))
        for one in record.datasets:
            if content := find(one.ref(where)):
                one.status, one.rows, one.content = "cached", content.rows, content.content
        measured = (one.ref(where) for one in record.of("metrics") if one.content)
        record.metrics = [row for ref in measured for row in inspect.metrics_means(ref)]
        record.state = "completed" if all(one.content for one in record.datasets) else "running"
        with config.storage.private():
            page.write_report(record, where)
    else:
        where = StorageConfig(root=root).location
        record = runs.find(where, run)
        with StorageConfig(root=root, umask=record.settings["storage"].get("umask")).private():
            page.write_report(record, where)
            runs.write(where, record)
    out.print(f"Report: {record.report}", highlight=False, soft_wrap=True, markup=False)
