"""Series of points -> what a template draws as SVG: lines in a box of 320 by 180, and where the ticks stand."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flows.show.report.mining import EDGES

Points = Sequence[tuple[float, float]]
LEFT, TOP, WIDTH, HEIGHT = 44.0, 8.0, 262.0, 144.0  # as parts.html draws it
_LOGITS = {0.01: "1 %", 0.1: "10 %", 0.5: "50 %", 0.9: "90 %", 0.99: "99 %"}


def chart(
    series: Mapping[str, Points], x: Mapping[float, str] | None = None, y: Mapping[float, str] | None = None
) -> dict[str, Any]:
    """Place series in the box.

    Args:
        series: name -> points.
        x: ticks of the axis with their texts, the ends among them; None: round numbers around the points.
        y: the same of the other axis.
    """
    places = [point for points in series.values() for point in points]
    x, y = (given or ticks([place[axis] for place in places]) for axis, given in ((0, x), (1, y)))
    across, up = _scale(x, LEFT, WIDTH), _scale(y, TOP + HEIGHT, -HEIGHT)
    lines = {name: " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in points) for name, points in series.items()}
    return {
        "lines": lines,
        "x": [(round(across(value), 1), text) for value, text in x.items()],
        "y": [(round(up(value), 1), text) for value, text in y.items()],
    }


def ticks(values: Sequence[float]) -> dict[float, str]:
    """Return round numbers around some values, with their texts."""
    low, high = min(values), max(values)
    rough = ((high - low) or abs(high) or 1.0) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return {number * step: f"{number * step:.3g}" for number in range(first, max(last, first + 1) + 1)}


def distributions(shares: Mapping[str, Sequence[float]], cuts: Sequence[tuple[float, str]]) -> dict[str, Any]:
    """Draw histograms over the logits of probabilities, as steps, each scaled to its highest bin; cuts as lines."""
    series: dict[str, Points] = {}
    for name, heights in shares.items():
        top = max(heights) or 1.0
        edges = EDGES.tolist()
        steps = [(edge, h / top) for place, h in enumerate(heights) for edge in edges[place : place + 2]]
        series[name] = [(edges[0], 0.0), *steps, (edges[-1], 0.0)]
    for value, name in cuts:
        at = _logit(min(max(value, 0.0011), 0.9989))
        series[f"cut {name}"] = [(at, 0.0), (at, 1.0)]
    marks = {float(EDGES[0]): "0", **{_logit(value): text for value, text in _LOGITS.items()}, float(EDGES[-1]): "1"}
    return chart(series, x=marks, y={0.0: "", 1.0: ""})


def _logit(value: float) -> float:
    return math.log(value / (1 - value))


def _scale(marks: Mapping[float, str], start: float, length: float) -> Callable[[float], float]:
    low, high = min(marks), max(marks)
    return lambda value: start + length * (value - low) / (high - low)
