"""The cascade through the command line: who judged what, what a killed run asks again, what a threshold asks."""

import signal
import time
from collections import Counter

import polars as pl
import pytest
from support.llm_server import LlmServer

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(500)]


def test_cascade_killed_in_mid_run_asks_exactly_the_missing_and_thresholds_ask_nothing(built):
    loom, plain = built
    with LlmServer(fault=lambda user, before: "slow").serving() as server:
        server.slow_seconds = 0.02
        settings = ["denoise.judge=cascade", "denoise.band=[0.05,0.5]", "denoise.llm.num_samples=2"]
        settings += ["denoise.llm.chat.model=scripted", f"denoise.llm.chat.base_url={server.url}"]
        command = ["tiny.yaml", "--until", "hard_negatives", *[part for one in settings for part in ("--set", one)]]

        others = _kept_replies(loom)  # of other tests in this store
        process = loom.start("run", *command)
        while server.calls < 40 and process.poll() is None:
            time.sleep(0.002)
        assert process.poll() is None, process.communicate()[0]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        calls = -1
        while calls != server.calls:  # what the killed run had sent may still be on its way into the count
            calls = server.calls
            time.sleep(0.5)
        asked_before = Counter(server.asked)
        kept = _kept_replies(loom) - others
        server.slow_seconds = 0.0

        answer = loom.run(*command)
        asked_again = server.asked - asked_before
        assert set(asked_again.values()) == {1}
        assert len(server.asked) == kept + len(asked_again)  # every question is kept from before, or asked now
        built_now = {entry["kind"] for entry in answer["stages"] if entry["status"] == "built"}
        assert built_now == {"verdicts", "scores", "hard_negatives"}

        ledger = pl.read_parquet(_files(loom, answer, "hard_negatives"))
        by_llm = ledger.filter(pl.col("judge") == "llm")
        assert len(by_llm) * 2 == len(server.asked)
        assert by_llm["probability"].is_between(0.05, 0.5).all()
        assert by_llm["relevance"].null_count() == len(by_llm)
        kept_by_llm = by_llm.filter(pl.col("reason").is_in(["safe", "beyond_num_negatives"]))
        assert 0 < len(kept_by_llm) < len(by_llm)
        assert (kept_by_llm["grade"] == 0).all()
        unsure = ~ledger["probability"].is_between(0.05, 0.5) & ledger["relevance"].is_null()
        assert "llm" not in set(ledger.filter(unsure)["judge"])

        calls = server.calls
        loom.run(*command, "--set", "denoise.llm.vote=highest", "--set", "denoise.max_grade_kept=1")
        assert server.calls == calls
    assert len(ledger) == sum(e["rows"] for e in plain["stages"] if e["kind"] == "hard_negatives")


def _kept_replies(loom):
    return sum(len(path.read_text().splitlines()) for path in loom.folder.glob("data/journals/replies-*.jsonl"))


def _files(loom, answer, kind):
    entries = [entry for entry in answer["stages"] if entry["kind"] == kind]
    places = [loom.folder / "data" / kind / entry["partition"] / entry["fingerprint"] for entry in entries]
    return [file for place in places for file in sorted(place.glob("part-*.parquet"))]
