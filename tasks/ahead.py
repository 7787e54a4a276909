"""Making the next thing while this one is used: what feeds a GPU reads and prepares one ahead of it."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def made_ahead(items: Iterable[Item], *, threaded: bool = True) -> Iterator[Item]:
    """Yield the items in their order, each made by a thread while the one before is used.

    At most one item waits. An error in making one is raised where it is asked for, after those before it.

    Args:
        items: may be a generator; only that thread goes on with it.
        threaded: False makes each when it is asked for, as a plain loop: on a CPU a thread would only take turns.
    """
    if not threaded:
        yield from items
        return
    iterator = iter(items)
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        coming = thread.submit(next, iterator, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, iterator, end)
            yield item  # type: ignore[misc]  # not the end
