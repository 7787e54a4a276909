"""How fast a training goes, for the log."""

from collections.abc import Callable

from tasks.train.loop import Report


class Speed:
    """Turns reports into a line now and then."""

    def __init__(self, num_steps: int, *, clock: Callable[[], float], seconds: float) -> None:
        """Start the clock.

        Args:
            num_steps: of the whole training.
            clock: seconds since some time.
            seconds: between two lines, at least.
        """
        self._num_steps, self._clock, self._seconds = num_steps, clock, seconds
        self._begin()

    def line(self, report: Report) -> str | None:
        """Return step, loss and speed since the last line, or None where that was just now."""
        self._steps += 1
        self._queries += report.num_queries
        self._tokens += report.num_tokens
        self._slots += report.num_slots
        elapsed = self._clock() - self._started
        if elapsed < self._seconds:
            return None
        left = (self._num_steps - report.num_done) * elapsed / self._steps
        text = (
            f"step {report.num_done} of {self._num_steps}: loss {report.row.loss:.4f}, "
            f"{self._queries / elapsed:.1f} examples/s, {self._tokens / elapsed:.0f} tokens/s, "
            f"padding {1 - self._tokens / max(self._slots, 1):.1%}, memory {report.peak_bytes / 1e9:.1f} GB at most, "
            f"about {left:.0f} s left"
        )
        self._begin()
        return text

    def _begin(self) -> None:
        self._started = self._clock()
        self._steps = self._queries = self._tokens = self._slots = 0
