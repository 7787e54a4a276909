"""Processes that a step starts: Ctrl-C does not reach them past this one, and none outlives it."""

import contextlib
import os
import signal
import subprocess
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_STARTED: "weakref.WeakSet[subprocess.Popen[bytes]]" = weakref.WeakSet()
_GUARDS: "list[subprocess.Popen[bytes]]" = []


def start(command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    """Start a process in a group of its own; the terminal's signals are this process's to handle.

    Args:
        command: the program and its arguments.
        options: those of `subprocess.Popen`.
    """
    return end_with_this(subprocess.Popen(command, process_group=0, **options))


def end_with_this(child: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
    """Let `end_children` end a process that was started elsewhere, too."""
    _STARTED.add(child)
    return child


def die_with_this(child: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
    """Let a child that was started elsewhere be killed when this process is gone, by SIGKILL too.

    A shell waits for the end of a pipe that only this process holds open.
    """
    command = ["sh", "-c", 'read -r never; kill -9 "$1" 2>/dev/null', "guard", str(child.pid)]
    _GUARDS.append(start(command, stdin=subprocess.PIPE))
    return end_with_this(child)


def end_children() -> None:
    """Kill all that still run, with those in their own groups and what others started: Ray has workers of its own."""
    others = _descendants()
    for child in list(_STARTED):
        if child.poll() is None:
            child.kill()
            with contextlib.suppress(ProcessLookupError):  # it leads no group, or has just ended
                os.killpg(child.pid, signal.SIGKILL)
    for one in others:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _descendants() -> list[int]:
    """List the processes below this one; none where the system has no /proc."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            parent = int(place.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(place.parent.name))
    found = children.get(os.getpid(), [])
    for one in found:  # grows meanwhile
        found += children.get(one, [])
    return found
