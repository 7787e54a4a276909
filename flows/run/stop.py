"""How a run ends: completed, failed, or stopped by a signal, which ends this process within seconds.

A signal's number comes to a thread of its own (`set_wakeup_fd`), whatever the main thread does, C code included. While
a run is on, that thread ends everything: it tells the Prefect API, ends the children, says one line and leaves by
`os._exit`, since no thread of Python can be interrupted in C code. What is committed counts, as after kill -9.
Elsewhere the main thread gets `Stopped`, so that it can clean up; what has not ended after the grace time is left too.
"""

import contextlib
import importlib
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal, NoReturn

from tasks.engine.children import end_children

GRACE_SECONDS = 4.0  # from the signal to the hard exit
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: the terminal was closed

UNDER_WAY: dict[str, str] = {}  # what is being built, and how far it is: `train_encoder-all` -> `23 of 42 steps`
AT_STOP: list[Callable[[], None]] = []  # what gives the terminal back


class Stopped(BaseException):
    """A signal asked this process to stop. Not an Exception: nothing but the command's end may catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(stopped_text())
        self.exit_status = 128 + number


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    how: Literal["completed", "failed", "stopped"]
    text: str = ""
    """The error's type and text, or where it was stopped."""


@dataclass
class _Listener:
    """The thread that hears signals; one per process."""

    depth: int = 0
    reader: int = -1
    runs: list[tuple[Any, Callable[[Ending], None]]] = field(default_factory=list)
    """Of each run that is on: the id of its flow run, and who hears how it ends."""
    said: bool = False
    stopping: bool = False


_HERE = _Listener()


@contextlib.contextmanager
def ending(flow_run: Any, tell: Callable[[Ending], None] = lambda _ending: None) -> Iterator[None]:
    """Do a run's work inside: this is the one place that knows how it ended.

    Args:
        flow_run: the id of its flow run; becomes Cancelled where a signal stops it. None: there is none.
        tell: called once, with how it ended. After a signal it is called in another thread, with the work still under
            way and the process about to end: it has to be quick.
    """
    run = (flow_run, tell)
    _HERE.runs.append(run)
    try:
        with listening():  # again: Prefect has put a handler of its own in place
            yield
    except BaseException as error:
        how: Literal["failed", "stopped"] = "failed" if isinstance(error, Exception) else "stopped"
        tell(Ending(how, f"{type(error).__name__}: {error}".rstrip(": ")))
        raise
    else:
        tell(Ending("completed"))
    finally:
        _HERE.runs.remove(run)


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Turn Ctrl-C and the like into a quick end while inside; signals are heard in the main thread's work alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if _HERE.reader < 0:
        _HERE.reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=_listen, daemon=True, name="signals").start()
    heard = [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _handle) for number in heard}  # `nohup` has one ignored
    _HERE.depth += 1
    try:
        yield
    finally:
        _HERE.depth -= 1
        for number, handler in before.items():
            signal.signal(number, handler)


def stopped_text() -> str:
    """Say where the work is."""
    places = [f"at {done} of {label}" if done else f"in {label}" for label, done in sorted(UNDER_WAY.items())]
    return " ".join(["stopped", *filter(None, [" and ".join(places)])]) + "; run the same command again to go on"


def leave(exit_status: int, text: str) -> NoReturn:
    """End this process now, with its children and one line on standard error."""
    end_children()
    if not _HERE.said:
        _HERE.said = True
        with contextlib.suppress(OSError):  # the terminal is gone
            for give_back in AT_STOP:
                give_back()
            sys.stdout.flush()
            os.write(2, f"polyloom: {text}\n".encode())
    os._exit(exit_status)


def _handle(number: int, _frame: FrameType | None) -> None:
    """Hold the main thread while a run is being ended, so that it does not tell another end; else raise."""
    if _HERE.runs or _HERE.stopping:
        threading.Event().wait(2 * GRACE_SECONDS)
    raise Stopped(number)


def _listen() -> None:
    while True:
        number = os.read(_HERE.reader, 1)[0]
        if number in SIGNALS and _HERE.depth:
            break
    _HERE.stopping = True
    text = stopped_text()
    threading.Thread(target=_end_runs, args=(128 + number, text), daemon=True).start()
    # until the next signal; where there is no run, the main thread has only to come out of what it loads or computes
    select.select([_HERE.reader], [], [], GRACE_SECONDS if _HERE.runs else 1.0)
    leave(128 + number, text)


def _end_runs(exit_status: int, text: str) -> None:
    if not _HERE.runs:
        return  # the main thread has `Stopped`
    logging.disable()  # what fails now fails because of the stop
    trouble = ""
    try:
        for flow_run, tell in reversed(_HERE.runs):
            tell(Ending("stopped", text))
            if flow_run is not None:
                _cancel(flow_run, text)
    except Exception as error:  # whatever it is: the process ends, and says it
        trouble = f" (not told to Prefect or to the store: {type(error).__name__})"
    leave(exit_status, text + trouble)


def _cancel(flow_run: Any, text: str) -> None:
    """Make a flow run Cancelled at the API, and its task runs that were under way."""
    prefect, filters = (importlib.import_module(name) for name in ("prefect", "prefect.client.schemas.filters"))
    cancelled = importlib.import_module("prefect.states").Cancelled(message=text)
    with prefect.get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run, cancelled, force=True)
        of_it = filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=[flow_run]))
        for task_run in client.read_task_runs(flow_run_filter=of_it):
            if task_run.state is None or not task_run.state.is_final():
                client.set_task_run_state(task_run.id, cancelled, force=True)
