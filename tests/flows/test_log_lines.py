"""What a run says in its log: which stage makes what, of which language and system, and how far it is."""

import io
import logging
import re
from pathlib import Path

import pytest
from rich.console import Console

from flows.configs import load_config
from flows.run import progress
from flows.run.progress import CELL, SHOWN, AsSentence, Bars, at_work, log_progress, shown
from flows.weave import weave
from tasks.engine.told import called, label

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
ENSEMBLE = "retrieve.ensemble=[{name: minilm, model: 'bundled:all-minilm-l6-v2'}]"


@pytest.fixture(scope="module")
def staged():
    """Weave the quickstart with a further encoder."""
    return weave(load_config(QUICKSTART, ("languages=[en, sw]", ENSEMBLE))).staged


def test_names_tell_language_system_and_split(staged):
    names = [(one.stage, called(one.promise)) for one in staged if one.promise.partition in ("sw", "all")]
    for name in (
        ("ingest", "queries of sw (validation)"),
        ("retrieve", "encoder (6 layers, multilingual-e5-small)"),
        ("retrieve", "candidates of sw (bm25)"),
        ("retrieve", "embeddings of sw (documents, multilingual-e5-small)"),
        ("retrieve", "embeddings of sw (queries, all-minilm-l6-v2)"),
        ("retrieve", "fused of sw (bm25 + untrained + minilm)"),
        ("denoise", "hard_negatives of sw (grade)"),
        ("train", "tokens of sw (documents)"),
        ("train", "training_log"),
        ("evaluate", "candidates of sw (bm25, dev)"),
        ("evaluate", "embeddings of sw (documents, trained)"),
        ("evaluate", "metrics (trained, dev)"),
    ):
        assert name in names


def test_no_two_datasets_of_a_run_have_one_name(staged):
    names = [(one.stage, called(one.promise)) for one in staged]
    assert len(names) == len(set(names))
    labels = [label(one.promise) for one in staged]
    assert len(labels) == len(set(labels))


def test_a_steps_own_line_says_what_it_makes_and_a_runs_line_is_left_alone():
    def line(name: str) -> str:
        record = logging.LogRecord(name, logging.INFO, "", 0, "step %d of 44", (3,), None)
        return AsSentence().format(record)

    assert line("polyloom.train_encoder") == "step 3 of 44"
    with at_work("train, training_log"):
        assert line("polyloom.train_encoder") == "train, training_log: step 3 of 44"
        assert line("polyloom.run") == "step 3 of 44"
        token = CELL.set("full, seed 13")
        assert line("polyloom.train_encoder") == "full, seed 13: train, training_log: step 3 of 44"
        CELL.reset(token)
    assert line("polyloom.train_encoder") == "step 3 of 44"


def test_progress_is_told_now_and_then_where_there_is_no_terminal(monkeypatch, caplog):
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    monkeypatch.setattr(progress.time, "monotonic", iter([10.0, 11.0, 12.0, 13.0]).__next__)
    caplog.set_level("INFO", "polyloom.run")
    with at_work("retrieve, candidates of sw (bm25)"), log_progress(2000, "queries") as draw:
        draw(0)
        draw(1000)
        draw(1500, "loss 2.3")  # what has a note logs its own lines
    assert caplog.messages == ["retrieve, candidates of sw (bm25): 1,000 of 2,000 queries, about 2 s left."]


@pytest.mark.parametrize("terminal", [False, True])
def test_bars_stand_on_a_terminal_alone(terminal):
    with shown(Bars(Console(file=io.StringIO(), force_terminal=terminal))):
        assert bool(SHOWN) is terminal
    assert not SHOWN


def test_bars_fit_80_columns_with_the_figures_of_a_training():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    bars = Bars(console)
    with (
        bars.draw("train_encoder-all", 57, "steps") as train,
        bars.draw("embed_documents-sw multilingual-e5-small", 300, "documents") as embed,
    ):
        with bars:
            train(20, "loss 2.3, 244.3 examples/s, 40226 tokens/s, 0% padding, 0.83 GB")
            embed(100)
        last = [line for line in console.file.getvalue().splitlines() if "/" in line][-2:]
    for line, words in zip(last, (["train_encoder-all", "20/57", "steps", "loss 2.3"], ["100/300"]), strict=True):
        assert [word for word in words if word not in line] == []
        assert len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).split("\r")[-1].rstrip()) <= 80
