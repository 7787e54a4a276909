"""Making the next thing while this one is used."""

import threading

import pytest

from tasks.ahead import made_ahead


@pytest.mark.parametrize("threaded", [False, True])
def test_items_come_in_order_and_an_error_after_those_before_it(threaded):
    def made():
        yield from range(3)
        raise OSError("no more")

    items, seen = made_ahead(made(), threaded=threaded), []
    with pytest.raises(OSError, match="no more"):
        seen.extend(item for item in items if seen.append(item))
    assert seen == [0, 1, 2]
    assert list(made_ahead([], threaded=threaded)) == []


def test_the_next_one_is_made_while_this_one_is_used_and_none_further():
    started = [threading.Event() for _ in range(4)]

    def made():
        for number, event in enumerate(started):
            event.set()
            yield number

    items = made_ahead(made())
    assert next(items) == 0
    assert started[1].wait(60)
    assert not started[2].is_set()
    assert next(items) == 1
    assert started[2].wait(60)
    assert not started[3].is_set()
    items.close()
    assert not started[3].is_set()


def test_without_a_thread_each_is_made_when_it_is_asked_for():
    made = []
    items = made_ahead((made.append(number) or number for number in range(3)), threaded=False)
    assert made == []
    assert (next(items), made) == (0, [0])
    assert threading.active_count() == len(threading.enumerate())
