"""After an upgrade: datasets whose code alone has moved are compared in part, and taken over if they are equal."""

import functools
from collections import Counter
from contextlib import AbstractContextManager
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from flows.cli.options import Config, Json, Set, out, write_json
from flows.configs import load_config
from flows.run.progress import Bars
from flows.run.record import recorded
from flows.run.shares import surroundings
from flows.run.stop import ending
from flows.show.console import plain_table
from flows.weave import weave
from tasks.engine import adopt as engine
from tasks.engine.build import Surroundings
from tasks.engine.step import Promise
from tasks.engine.told import label

AtMost = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="For comparing a dataset; a shard at least.")]
Trust = Annotated[list[str] | None, typer.Option(metavar="STEP", help="Take it over without comparing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Compare and take over; without it nothing is done.")]
_COLOURS = {"taken": "green", "differs": "red", "left": "yellow"}


def adopt(
    config: Config,
    yes: Yes = False,
    at_most: AtMost = 60.0,
    trust: Trust = None,
    set_: Set = None,
    json_: Json = None,
) -> None:
    """After an upgrade: compare a sample of what only code has moved under, and take over what is equal."""
    settings = load_config(config, tuple(set_ or ()))
    pipeline, root = weave(settings), settings.storage.location
    pipeline.check_names(trust or [])
    trusted = {staged.promise.step.name for staged in pipeline.staged if staged.named(trust or [])}
    findings = []
    # a record, so that `gc` keeps what is taken over until the next run, and what is being taken over now
    record = recorded(settings, pipeline, [], flow="adopt") if yes else ending(None)
    with settings.storage.private(), record, Bars(out) as bars:

        def around(promise: Promise) -> AbstractContextManager[Surroundings]:
            return surroundings(promise, settings.resources, functools.partial(bars.draw, label(promise)))

        using = around if yes else None
        for one in engine.adopt(pipeline.promises, root, at_most=at_most, trusted=trusted, surroundings=using):
            findings.append(one)
            if one.result == "differs":
                ref = one.promise.ref(root)
                out.print(f"{ref.kind}/{ref.partition}: {one.why}; it will be built again", highlight=False)
    rows = [
        {"dataset": one.promise.ref(root).uri, "step": one.promise.step.name, "result": one.result, "why": one.why}
        | {"adopted": adopted.model_dump() if (adopted := one.adopted()) else None}
        for one in findings
    ]
    write_json(json_, {"done": yes, "datasets": rows})
    if not findings:
        out.print("Everything is in the store.")
        return
    out.print(_table(findings, done=yes))
    count = Counter(one.result for one in findings)
    waiting = sum(one.why == engine.WAITS for one in findings)
    left = f"{count['left']} left to `polyloom run` ({waiting} wait for inputs)"
    out.print(f"{count['taken']} {'taken over' if yes else 'to take over'}, {count['differs']} differ, {left}.")
    if not yes:
        out.print("Nothing is done yet: --yes compares, and takes over what is equal.")


def _table(findings: list[engine.Finding], *, done: bool) -> Table:
    """Lay findings out in 80 columns: a line per step and result, without those that wait for others."""
    groups: dict[tuple[str, str, str], list[engine.Finding]] = {}
    for one in findings:
        if one.why != engine.WAITS:
            why = "differs" if one.result == "differs" else one.why if done or not one.sample else "to compare"
            groups.setdefault((one.promise.step.name, one.result, why), []).append(one)
    table = plain_table(None, ("step", "of", "result"), ("shards", "rows"))
    for (step, result, why), group in groups.items():
        of = sorted({one.promise.partition for one in group})
        parts = [one.earlier.parts[shard] for one in group if one.earlier for shard in one.sample]
        shards = sum(len(one.earlier.parts) for one in group if one.earlier)
        table.add_row(
            step,
            " ".join(of) if len(of) <= 3 else f"{len(of)} languages",
            f"[{_COLOURS[result]}]{escape(why)}[/]",
            f"{len(parts):,} of {shards:,}" if parts else "–",
            f"{sum(part.rows for part in parts):,}" if parts else "–",
        )
    return table
