"""Progress in the Prefect UI: an artifact for each piece of work that takes a while."""

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectHTTPStatusError

from tasks.engine.job import Draw, Progress

SECONDS = 5.0  # before there is one, and between two updates: each is a request


@contextlib.contextmanager
def with_artifact(draw: Progress, label: str, total: int, unit: str) -> Iterator[Draw]:
    """Draw progress, and show it in the Prefect UI as well; call it in a task run.

    Args:
        draw: what draws it.
        label: name of the step, such as `train_encoder-all`.
        total: how much there is to do.
        unit: of what.
    """
    shown = _Shown(label, total, unit)
    with draw(total, unit) as advance:

        def both(done: int, note: str = "") -> None:
            advance(done, note)
            shown.update(done, note)

        yield both
    shown.end()


class _Shown:
    def __init__(self, label: str, total: int, unit: str) -> None:
        self._key = "".join(letter if letter.isalnum() else "-" for letter in label.lower())
        self._total, self._unit = total, unit
        self._artifact: UUID | None = None
        self._next: float | None = time.monotonic() + SECONDS
        self._text = ""

    def update(self, done: int, note: str) -> None:
        if self._next is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS
        self._text = f"{done:,} of {self._total:,} {self._unit}" + (f": {note}" if note else "")
        self._send(100 * min(done / max(self._total, 1), 1.0))

    def end(self) -> None:
        if self._artifact is not None:
            self._send(100.0)

    def _send(self, percent: float) -> None:
        try:
            if self._artifact is None:
                made = create_progress_artifact(percent, key=self._key, description=self._text)
                self._artifact = cast("UUID", made)  # a coroutine only in an event loop, where no stage runs
            else:
                update_progress_artifact(self._artifact, percent, description=self._text)
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            self._next = None  # the work is worth more than the picture of it
            logging.getLogger("polyloom.run").warning("%s: its progress is no longer shown: %s", self._key, error)
