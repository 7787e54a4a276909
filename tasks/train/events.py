"""What a training says while it runs, one JSON object a line: for the process that started it, or a person."""

import json
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MEMORY_ADVICE = (
    "Set train.gradient_cache to on, lower train.chunk_tokens or text.max_document_tokens, set "
    "train.gradient_checkpointing, or train on a machine with more memory."
)
_WINDOW = 50  # steps that a speed is the mean of
_LONGEST = 3000  # characters of a message: a line has to reach a pipe in one piece, whoever else writes there


@dataclass(frozen=True)
class LogRow:
    """What is kept of a step."""

    step: int
    epoch: int
    loss: float
    learning_rate: float
    gradient_norm: float
    """Before it was shortened; infinite where float16 overflowed and the step was left out."""
    language: str
    temperature: float | None = None
    validation_ndcg: float | None = None
    """Pool nDCG@10 after the step; see `pool_ndcg`."""


@dataclass(frozen=True)
class Report:
    """What a caller hears after a step: how far it is, the log row, and how much was computed."""

    num_done: int
    row: LogRow
    num_queries: int
    num_tokens: int
    """Tokens of the step's texts, each text once."""
    num_slots: int
    """The same with padding: what went through the network, not counting a second time for the gradient cache."""
    peak_bytes: int
    """The most memory so far."""


def emit(descriptor: int, event: str, **values: Any) -> None:
    """Write one line to a file descriptor."""
    os.write(descriptor, (json.dumps({"event": event, **values}, ensure_ascii=False) + "\n").encode())


def shorten(text: str) -> str:
    """Cut a message in the middle where it is too long for a line."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} … {text[-half:]}"


class Meter:
    """Turns reports of steps into figures: loss, speed, padding, memory and the time that is left."""

    def __init__(self, num_steps: int, *, clock: Callable[[], float]) -> None:
        """Start the clock.

        Args:
            num_steps: of the whole training.
            clock: seconds since some time.
        """
        self._num_steps, self._clock = num_steps, clock
        self._last: deque[tuple[float, Report]] = deque(maxlen=_WINDOW)
        self._begin = clock()

    def figures(self, report: Report) -> dict[str, Any]:
        """Return what there is to say after a step; speeds are means over the last steps."""
        now = self._clock()
        start = self._last[0][0] if len(self._last) == _WINDOW else self._begin
        if len(self._last) == _WINDOW:
            self._last.popleft()
        self._last.append((now, report))
        seconds = max(now - start, 1e-9)
        recent = [one for _, one in self._last]
        return {
            "num_done": report.num_done,
            "num_steps": self._num_steps,
            "loss": report.row.loss,
            "learning_rate": report.row.learning_rate,
            "gradient_norm": report.row.gradient_norm,
            "language": report.row.language,
            "validation_ndcg": report.row.validation_ndcg,
            "examples_per_second": sum(one.num_queries for one in recent) / seconds,
            "tokens_per_second": sum(one.num_tokens for one in recent) / seconds,
            "padding_share": 1 - sum(one.num_tokens for one in recent) / max(sum(one.num_slots for one in recent), 1),
            "memory_bytes": report.peak_bytes,
            "seconds_left": (self._num_steps - report.num_done) * seconds / len(recent),
        }
