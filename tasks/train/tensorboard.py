"""A training's figures as TensorBoard events, written by the process that follows it; needs the extra `tensorboard`."""

import contextlib
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

_TAGS = {"learning_rate": "learning rate", "gradient_norm": "gradient norm", "validation_ndcg": "validation nDCG@10"}


def write_live(events: Generator[dict[str, Any]], folder: Path) -> Generator[dict[str, Any]]:
    """Pass a training's events on, and write the figures of each step into a folder as they come.

    A training that goes on from a checkpoint writes beside what is there, and takes the place of the steps that it
    takes again.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(events))
        writer = None
        for event in events:
            if event["event"] == "step":
                writer = writer or stack.enter_context(_writer(folder, event["num_done"]))
                _write(writer, event, event["num_done"])
                writer.flush()
            yield event


def write_log(rows: Iterable[dict[str, Any]], folder: Path) -> None:
    """Write a finished training's log, in its order."""
    with _writer(folder, 1) as writer:
        for number, row in enumerate(rows, start=1):
            _write(writer, row, number)


def _writer(folder: Path, first: int) -> SummaryWriter:
    return SummaryWriter(str(folder), purge_step=first)


def _write(writer: SummaryWriter, figures: dict[str, Any], number: int) -> None:
    values = {f"loss/{figures['language']}": figures["loss"], "loss/all": figures["loss"]}
    for tag, value in {**values, **{tag: figures[name] for name, tag in _TAGS.items()}}.items():
        if value is not None:
            writer.add_scalar(tag, value, number)
