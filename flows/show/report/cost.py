"""What a run cost, by which settings, made from what; and how it differs from an earlier one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flows.run.record import differing
from flows.show.report.source import Stored
from storage.runs import Run

Row = dict[str, Any]
_DATA = ("corpus", "queries", "qrels")


def steps(stored: Sequence[Stored]) -> list[Row]:
    """Sum up by step: stage, step, kind, datasets, cached, rows, bytes, seconds (of building, whenever it was), memory
    (the most of a process so far), made_from (kinds of inputs, with their number)."""
    groups: dict[tuple[str, str], list[Stored]] = {}
    for one in stored:
        groups.setdefault((one.entry.stage, one.entry.step), []).append(one)
    return [
        {
            "stage": stage,
            "step": step,
            "kind": group[0].ref.kind,
            "datasets": len(group),
            "cached": sum(one.entry.status == "cached" for one in group),
            "rows": sum(one.manifest.rows for one in group),
            "bytes": sum(one.manifest.bytes for one in group),
            "seconds": sum(one.manifest.seconds for one in group),
            "memory": max(one.manifest.peak_memory_bytes for one in group),
            "made_from": sorted({entry.kind for one in group for entry in one.manifest.inputs}),
        }
        for (stage, step), group in groups.items()
    ]


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List nested settings by their dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def differences(run: Run, before: Run) -> Row:
    """Compare a run with an earlier one.

    Returns:
        settings (name, before, now), data (kind of input -> languages with other content), built (the other steps that
        made other content), metric (the first), metrics (language -> system -> its means before and now) and same (the
        systems whose means are all as before).
    """
    settings = sorted(differing(before.settings, run.settings).items())
    known = {(one.kind, one.partition, one.step, one.content) for one in before.datasets}
    other = [one for one in run.datasets if (one.kind, one.partition, one.step, one.content) not in known]
    data: dict[str, list[str]] = {}
    for one in other:
        if one.kind in _DATA and one.content:
            data.setdefault(one.kind, []).append(one.partition)
    metric = run.metrics[0]["metric"] if run.metrics else ""
    means = {(row["language"], row["system"]): row["value"] for row in before.metrics if row["metric"] == metric}
    metrics: dict[str, dict[str, tuple[float, float]]] = {}
    for row in run.metrics:
        if row["metric"] == metric and (value := means.get((row["language"], row["system"]))) is not None:
            metrics.setdefault(row["language"], {})[row["system"]] = (value, row["value"])
    systems = dict.fromkeys(system for values in metrics.values() for system in values)
    same = [name for name in systems if all(len({*of[name]}) == 1 for of in metrics.values() if name in of)]
    return {
        "settings": [(name, *values) for name, values in settings],
        "data": {kind: list(dict.fromkeys(languages)) for kind, languages in data.items()},
        "built": list(dict.fromkeys(one.step for one in other if one.kind not in _DATA and one.content)),
        "metric": metric,
        "metrics": dict(sorted(metrics.items(), key=lambda item: (item[0] == "all", item[0]))),
        "same": same,
    }
