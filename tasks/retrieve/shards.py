"""Cut a dataset's parts anew."""

from collections.abc import Callable, Iterable, Iterator

import polars as pl


def split_shards(parts: Iterable[pl.DataFrame], shard_size: int) -> Iterator[pl.DataFrame]:
    """Cut a dataset's parts anew, into shards of `shard_size` rows; the last may be shorter.

    At most one shard and one part are in memory.
    """
    waiting: list[pl.DataFrame] = []
    room = shard_size
    for part in parts:
        start = 0
        while start < part.height:
            taken = part.slice(start, room)
            waiting.append(taken)
            start, room = start + taken.height, room - taken.height
            if not room:
                yield pl.concat(waiting)
                waiting, room = [], shard_size
    if waiting:
        yield pl.concat(waiting)


def counted_beyond(before: int, advance: Callable[[int], None]) -> Callable[[int], None]:
    """Turn `advance` into a function that counts from 0 again, for the next of several passes."""
    return lambda done: advance(before + done)
