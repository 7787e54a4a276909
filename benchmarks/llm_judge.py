"""Kill the LLM judge in mid-run, twice, at a server with faults; count what is asked again. Then change each decision.

    python benchmarks/llm_judge.py [--queries 40] [--candidates 20] [--samples 3] [--concurrency 16] [--json FILE]

The server is the tests' own: real HTTP on this machine, answers that the question decides, 20 ms each. Of the first
tries 5 % get 429, 2 % get 500, 2 % are cut off, 1 % are no JSON; 1 % of the questions are refused and 1 % answered in
prose. The judge runs in a process of its own, killed with SIGKILL after a third and after two thirds of the calls.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import polars as pl
from support import judge_data
from support.judge_data import make, settings
from support.llm_server import LlmServer, marks

import storage
from tasks.denoise.config import DenoiseConfig, Strategy
from tasks.engine.step import Promise
from tasks.steps import apply_verdicts, select_hard_negatives

BAND = (0.0, 0.95)
DECISIONS: list[dict[str, Any]] = [
    *({"strategy": name} for name in get_args(Strategy)),
    *({"max_grade_kept": grade} for grade in (1, 2)),
    {"max_probability": 0.5},
    {"strategy": "shifted", "shift": 3},
    {"strategy": "threshold", "max_score": 0.3},
    {"strategy": "margin", "margin": 0.3},
    {"strategy": "percent", "percent": 70.0},
    {"strategy": "margin", "score": "raw"},
    {"num_negatives": 5},
    {"vote": "highest"},
]


def answer(system: str, user: str, seed: int) -> str:
    time.sleep(0.02)
    return "Somewhat relevant, I think." if _share(user, "prose") < 0.01 else marks(system, user, seed)


def fault(user: str, before: int) -> str | None:
    if _share(user, "refused") < 0.01:
        return "refused"
    if before:
        return None
    place = _share(user, "fault")
    limits = {"too_many": 0.05, "broken": 0.07, "cut": 0.09, "not_json": 0.10}
    return next((name for name, limit in limits.items() if place < limit), None)


def _share(user: str, salt: str) -> float:
    return int(storage.fingerprint([user, salt])[:8], 16) / 2**32


def task(arguments: argparse.Namespace, url: str) -> Promise:
    """Promise the verdicts of a task of this size."""
    judge_data.QUERIES = tuple(f"q{number:04}" for number in range(arguments.queries))
    judge_data.CANDIDATES = tuple(f"d{number:03}" for number in range(arguments.candidates))
    judge_data.PROBABILITY = {"p": 0.99} | {
        doc_id: number / arguments.candidates for number, doc_id in enumerate(judge_data.CANDIDATES)
    }
    judge_data.JUDGED = [(query_id, "p", 1) for query_id in judge_data.QUERIES]
    return judge_data.verdicts(_llm(arguments, url), BAND)


def _llm(arguments: argparse.Namespace, url: str, **given: Any) -> Any:
    chat = {"max_concurrency": arguments.concurrency}
    return settings(url, num_samples=arguments.samples, chat=chat, **given)


def run_killed(arguments: argparse.Namespace, server: LlmServer, root: Path, calls: int | None) -> dict[str, Any]:
    """Run the judge in its own process until the server has answered so many calls more, or to the end."""
    before, started = Counter(server.asked), time.monotonic()
    sizes = [f"--{name}={getattr(arguments, name)}" for name in ("queries", "candidates", "samples", "concurrency")]
    process = subprocess.Popen([sys.executable, __file__, *sizes, f"--child={server.url}", f"--root={root}"])
    target = None if calls is None else server.calls + calls
    while process.poll() is None:
        if target is not None and server.calls >= target:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.001)
    new = server.asked - before
    kept = (root / "journals" / "replies-sw.jsonl").read_bytes().count(b"\n")
    return {
        "exit": process.returncode,
        "calls": server.calls - sum(before.values()),
        "questions": len(new),
        "of which asked before": sum(1 for question in new if before[question]),
        "replies kept": kept,
        "seconds": round(time.monotonic() - started, 1),
    }


def decide(arguments: argparse.Namespace, server: LlmServer, root: str) -> int:
    """Make a ledger for each decision; return the calls that this took."""
    before = server.calls
    for changed in DECISIONS:
        given = dict(changed)
        llm = _llm(arguments, server.url, vote=given.pop("vote", "majority"))
        judged = {"scores": judge_data.write_scores("sw"), "verdicts": judge_data.verdicts(llm, BAND)}
        inputs = {"fused": judge_data.write_fused("sw"), "qrels": judge_data.write_qrels("sw")}
        inputs |= {"corpus": judge_data.write_corpus("sw"), "text": "text"}
        config = DenoiseConfig(**given).select
        scores = apply_verdicts("sw", vote=llm.vote, **judged)
        ledger = select_hard_negatives(
            "sw", scores=scores, queries=judge_data.write_queries("sw"), config=config, **inputs
        )
        kept = make(ledger, root).filter(pl.col("decision") == "kept")
        sys.stdout.write(f"{changed}: {len(kept)} kept\n")
    return server.calls - before


def main() -> None:
    """Run everything; print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("queries", 40), ("candidates", 20), ("samples", 3), ("concurrency", 16)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name in ("json", "child", "root"):
        parser.add_argument(f"--{name}")
    arguments = parser.parse_args()
    if arguments.child:
        make(task(arguments, arguments.child), arguments.root)
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        LlmServer(answer, fault).serving() as server,
        LlmServer(answer, fault).serving() as other,
    ):
        root = Path(folder, "killed")
        total = len(make(task(arguments, other.url), str(Path(folder, "whole"))))
        third = other.calls // 3
        runs = [run_killed(arguments, server, root, calls) for calls in (third, third, None)]
        contents = [
            storage.load(task(arguments, server.url).ref(str(place))).content for place in (root, Path(folder, "whole"))
        ]
        table = storage.read(task(arguments, server.url).ref(str(root)))
        found = {
            "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
            "questions": total,
            "unparsed": len(table.filter(pl.col("status") == "unparsed")),
            "calls undisturbed": other.calls,
            "calls of all runs": server.calls,
            "runs": runs,
            "equal content": contents[0] == contents[1],
            "decisions changed": len(DECISIONS),
            "calls for them": decide(arguments, server, str(root)),
        }
    text = json.dumps(found, indent=2)
    sys.stdout.write(f"{text}\n")
    if arguments.json:
        Path(arguments.json).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
