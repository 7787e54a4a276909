"""What a training says, and how it is passed on."""

import contextlib
import json
import logging
import os

import pytest

from tasks.train.events import LogRow, Meter, Report, emit, shorten
from tasks.train.process import describe, follow


def report(done, *, queries=8, tokens=300, slots=400):
    return Report(done, LogRow(done - 1, 0, 0.5, 1e-4, 1.0, "sw"), queries, tokens, slots, 7)


class Clock:
    """Seconds, advanced by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_emits_one_line_of_json():
    reader, writer = os.pipe()
    emit(writer, "warning", text="zwei\nZeilen, ü")
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as lines:
        assert [json.loads(line) for line in lines] == [{"event": "warning", "text": "zwei\nZeilen, ü"}]


def test_shortens_long_messages_in_the_middle():
    assert shorten("short") == "short"
    cut = shorten("a" * 5000 + "end")
    assert len(cut) < 3100
    assert cut.startswith("aaa")
    assert cut.endswith("end")


def test_meter_gives_speed_padding_and_time_left():
    clock = Clock()
    meter = Meter(10, clock=clock)
    clock.now += 2
    first = meter.figures(report(1))
    assert (first["num_done"], first["num_steps"], first["loss"], first["language"]) == (1, 10, 0.5, "sw")
    assert first["examples_per_second"] == pytest.approx(4)
    assert first["tokens_per_second"] == pytest.approx(150)
    assert first["padding_share"] == pytest.approx(0.25)
    assert first["seconds_left"] == pytest.approx(18)
    assert first["memory_bytes"] == 7


def test_meter_is_the_mean_over_the_last_steps(monkeypatch):
    monkeypatch.setattr("tasks.train.events._WINDOW", 3)
    clock = Clock()
    meter = Meter(100, clock=clock)
    for done, seconds in enumerate([50, 1, 1, 1, 1], start=1):
        clock.now += seconds
        figures = meter.figures(report(done))
    assert figures["examples_per_second"] == pytest.approx(8)
    assert figures["seconds_left"] == pytest.approx(95)


def step(done, **rest):
    figures = {
        "examples_per_second": 4.0,
        "tokens_per_second": 150.0,
        "padding_share": 0.25,
        "memory_bytes": 2_000_000_000,
    }
    row = {"event": "step", "num_done": done, "num_steps": 3, "loss": 0.5, "seconds_left": 7.0, "validation_ndcg": None}
    return row | figures | rest


def followed(events, caplog, clock):
    seen = []

    @contextlib.contextmanager
    def bar(total, unit):
        seen.append((total, unit))
        yield lambda number, note="": seen.append((number, note))

    with caplog.at_level(logging.INFO):
        follow((event for event in events), bar, logging.getLogger("test"), clock=clock)
    return seen


def test_follow_draws_every_step_and_logs_now_and_then(caplog):
    clock = Clock()

    def events():
        yield {"event": "begin", "num_steps": 3}
        yield {"event": "warning", "text": "checkpoint passed over"}
        yield step(1)
        clock.now += 20
        yield step(2, validation_ndcg=0.25)
        yield step(3)
        yield {"event": "end"}

    seen = followed(events(), caplog, clock)
    note = "loss 0.5000, 4.0 examples/s, 150 tokens/s, 25% padding, 2.00 GB"
    assert seen == [(3, "steps"), (1, note), (1, note), (1, note)]
    assert [record.getMessage() for record in caplog.records] == [
        "checkpoint passed over",
        "step 2: validation nDCG@10 0.2500",
        f"step 2 of 3: {note}, about 7 s left",
        f"step 3 of 3: {note}, about 7 s left",
    ]
    assert describe(step(1)) == note


def test_follow_of_a_resumed_training_tells_what_was_done_before(caplog):
    seen = followed([{"event": "begin", "num_steps": 3}, step(2), step(3)], caplog, Clock())
    assert [number for number, _ in seen] == [3, 2, 1]


def test_follow_needs_no_steps(caplog):
    assert followed([{"event": "end"}], caplog, Clock()) == []


def test_follow_ends_the_training_when_it_is_interrupted():
    ended = []

    def events():
        try:
            yield {"event": "begin", "num_steps": 3}
            yield step(1)
        finally:
            ended.append(True)

    @contextlib.contextmanager
    def broken(total, unit):
        raise KeyboardInterrupt("drawing")
        yield

    with pytest.raises(KeyboardInterrupt, match="drawing"):
        follow(events(), broken, logging.getLogger("test"), clock=Clock())
    assert ended == [True]
