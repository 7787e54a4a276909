"""The command that writes a run's report again."""

from typing import Annotated

import typer

from flows.cli.options import Root, out
from flows.configs import StorageConfig
from storage import runs
from tasks.engine.step import deferred

page = deferred("flows.show.report.page")  # loads polars and scipy


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="An id, latest, or the name of a pipeline.")] = "latest",
    root: Root = "data",
) -> None:
    """Write one HTML page that shows what a run did: results, what was removed and why, training, examples, cost."""
    where = StorageConfig(root=root).location
    record = runs.find(where, run)
    with StorageConfig(root=root, umask=record.settings["storage"].get("umask")).private():
        page.write_report(record, where)
        if record.state != "running":  # such a run writes its record itself, at its end
            runs.write(where, record)
    out.print(f"Report: {record.report}", highlight=False, soft_wrap=True, markup=False)
