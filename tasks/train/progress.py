"""Pass on what the training's process says: a bar, a line of figures now and then, warnings."""

import contextlib
import logging
from collections.abc import Callable, Generator
from typing import Any

from tasks.engine.job import Progress

_LOG_SECONDS = 15.0  # between two lines


def follow(
    events: Generator[dict[str, Any]], progress: Progress, log: logging.Logger, *, clock: Callable[[], float]
) -> None:
    """Follow a training to its end; where this is interrupted, the training ends too.

    Args:
        events: as `tasks.train.launch` says them.
        progress: draws the bar, with the figures of the last step as its note.
        log: hears warnings, and a line of figures now and then and at the last step.
        clock: seconds since some time.
    """
    last = clock()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(events))
        for event in events:
            if event["event"] == "begin":
                advance = stack.enter_context(progress(event["num_steps"], "steps"))
            elif event["event"] == "warning":
                log.warning("%s", event["text"])
            elif event["event"] == "step":
                if event["validation_ndcg"] is not None:
                    log.info("step %d: validation nDCG@10 %.4f", event["num_done"], event["validation_ndcg"])
                note = describe(event)
                advance(event["num_done"], note)
                if clock() - last >= _LOG_SECONDS or event["num_done"] == event["num_steps"]:
                    last = clock()
                    left = f"about {event['seconds_left']:.0f} s left"
                    log.info("step %d of %d: %s, %s", event["num_done"], event["num_steps"], note, left)


def describe(step: dict[str, Any]) -> str:
    """Write a step's figures for people."""
    return (
        f"loss {step['loss']:.4f}, {step['examples_per_second']:.1f} examples/s, "
        f"{step['tokens_per_second']:.0f} tokens/s, {step['padding_share']:.0%} padding, "
        f"{step['memory_bytes'] / 1e9:.2f} GB"
    )
