"""All that reads what others have written, given files that went wrong: declared errors alone come out, in one line.

A short run by default, the same each time; `POLYLOOM_FUZZ_SECONDS=1200 pytest tests/test_fuzz.py` goes on for so long.
"""

import os
import resource
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
import polars as pl
import pytest
from support import raw_files
from support.datasets import FACTS, qrels
from support.mutations import files_below, mutated, one_line

import storage
from flows.ablation_variants import load_ablation
from flows.configs import load_config
from flows.settings_file import ConfigError
from storage import DatasetRef, Journal, StorageError, Writer, commit, inspect
from storage.digests import file_digest
from tasks.ingest.check import check_files
from tasks.ingest.config import IngestConfig
from tasks.ingest.recognise import recognise
from tasks.models.chat import Reply, Request
from tasks.models.chat.answer import Trouble, read_answer
from tasks.models.chat.memory import RememberingChat

SECONDS = float(os.environ.get("POLYLOOM_FUZZ_SECONDS", 0))
REPOSITORY = Path(__file__).parents[1]
ROWS = {
    "corpus": [{"doc_id": row["docid"], "title": row["title"], "text": row["text"]} for row in raw_files.DOCUMENTS],
    **{
        f"queries-{split}": [{"query_id": query_id, "text": text} for query_id, text in rows]
        for split, rows in raw_files.QUERIES.items()
    },
    **{
        f"qrels-{split}": [dict(zip(("query_id", "doc_id", "relevance"), row, strict=True)) for row in rows]
        for split, rows in raw_files.QRELS.items()
    },
}
Write = Callable[[Path], object]
"""Writes sound files into a folder."""
Read = Callable[[Path, Path], None]
"""Reads a folder in which one file is spoiled, and the spoiled one; raises what is wrong with the outcome."""


def parquet(folder: Path) -> Path:
    for name, rows in ROWS.items():
        pl.DataFrame(rows).write_parquet(folder / f"{name}.parquet", compression="snappy", row_group_size=2)
    return folder


def tsv(folder: Path) -> Path:
    for name, rows in ROWS.items():
        raw_files.write(folder / f"{name}.tsv", raw_files.tsv([list(rows[0]), *(row.values() for row in rows)]))
    return folder


TABLE = {"queries": "queries-{split}", "qrels": "qrels-{split}", "corpus": "corpus"}
LAYOUTS = {
    "miracl": (raw_files.miracl, {"layout": "miracl"}),
    "beir": (raw_files.beir, {"layout": "beir"}),
    "passages": (raw_files.passages, {"layout": "miracl", "passages": "{split}.jsonl.gz"}),
    "tsv": (tsv, {"layout": "table"} | {what: f"{name}.tsv" for what, name in TABLE.items()}),
    "parquet": (parquet, {"layout": "table"} | {what: f"{name}.parquet" for what, name in TABLE.items()}),
}


def read_layout(settings: dict[str, str]) -> Read:
    def read(folder: Path, spoiled: Path) -> None:
        config = IngestConfig.model_validate(settings | {"path": str(folder), "validation_share": 0})
        for problem in check_files(config, "fi", "title_and_text")["problems"]:
            check_text(problem)
        try:
            recognise(folder)
        except ValueError as error:
            check_text(str(error))

    return read


REF = DatasetRef(kind="qrels", partition="fi", fingerprint="f" * 32, root="")


def write_dataset(folder: Path) -> None:
    writer = Writer(REF.model_copy(update={"root": str(folder)}))
    writer.write(qrels("a", "b"))
    writer.write(qrels("c"))
    commit(writer, **FACTS)


def read_dataset(folder: Path, spoiled: Path) -> None:
    """What is read is what was written: the manifest's checksums see every changed byte of a part."""
    ref = REF.model_copy(update={"root": str(folder)})
    try:
        found = storage.read(ref)["doc_id"].to_list()
        storage.checkout(ref)
        list(inspect.datasets(str(folder)))
    except StorageError as error:
        check_text(str(error), form=False)
        return
    assert found == ["a", "b", "c"] or spoiled.name == "manifest.json", f"silently read {found}"


QUESTIONS = [Request("Judge.", f"question {number}", 1) for number in range(8)]


class Scripted:
    """Answers at once."""

    def complete(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        return ((place, Reply("fine", 5, 1)) for place, _ in enumerate(requests))


def ask(path: Path) -> list[Reply]:
    with Journal(path) as journal:
        chat = RememberingChat(Scripted, journal, identity="m", temperature=0, max_tokens=5)
        replies = dict(chat.complete(QUESTIONS))
    return [replies[place] for place in range(len(QUESTIONS))]


def read_journal(folder: Path, spoiled: Path) -> None:
    for _ in range(2):  # what was asked again is remembered, whatever stands before it
        for reply in ask(spoiled):
            kinds = (type(reply.text), type(reply.prompt_tokens), type(reply.completion_tokens))
            assert kinds == (str, int, int), reply
    with Journal(spoiled) as journal:
        chat = RememberingChat(Scripted, journal, identity="m", temperature=0, max_tokens=5)
        assert all(map(chat.knows, QUESTIONS))


def write_digests(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        for number in range(4):
            file_digest(raw_files.write(folder / f"{number}.txt", str(number)))
            (folder / f"{number}.txt").unlink()


def read_digests(folder: Path, spoiled: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        for _ in range(2):
            digest = file_digest(raw_files.write(folder / "new.txt", "new"))
            assert digest == "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"


def write_settings(folder: Path) -> None:
    for name in ("configs/quickstart.yaml", "configs/miracl-llm.yaml", "benchmarks/ablation/grid.yaml"):
        shutil.copyfile(REPOSITORY / name, folder / Path(name).name)


def read_settings(folder: Path, spoiled: Path) -> None:
    load = load_ablation if spoiled.name == "grid.yaml" else load_config
    try:
        load(spoiled)
    except ConfigError as error:
        for line in str(error).split("\n  "):
            check_text(line, form=False)


ANSWER = {
    "id": "1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": 'Ääni {"accuracy": 2}', "refusal": None}}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 10},
}


def write_answers(folder: Path) -> None:
    (folder / "answer.json").write_bytes(orjson.dumps(ANSWER))
    (folder / "error.json").write_bytes(orjson.dumps({"error": {"code": "content_filter", "message": "no"}}))


def read_answers(folder: Path, spoiled: Path) -> None:
    content = spoiled.read_bytes()
    headers = {"retry-after": content[-9:].decode("latin-1")}
    for status in (200, 400, 429):
        found = read_answer(status, headers, content, now=datetime(2026, 1, 1, tzinfo=UTC), prompt_tokens=5)
        if isinstance(found, Trouble):
            assert found.reason.isprintable(), found.reason
            assert found.wait_seconds >= 0
        else:
            orjson.dumps(found.text)  # as the journal does
            assert 0 <= found.prompt_tokens < 2**31
            assert 0 <= found.completion_tokens < 2**31


TARGETS: dict[str, tuple[Write, Read]] = {
    **{name: (write, read_layout(settings)) for name, (write, settings) in LAYOUTS.items()},
    "dataset": (write_dataset, read_dataset),
    "journal": (lambda folder: ask(folder / "replies.jsonl"), read_journal),
    "digests": (write_digests, read_digests),
    "settings": (write_settings, read_settings),
    "answers": (write_answers, read_answers),
}
CASES = 60  # of each target in the short run


def check_text(text: str, *, form: bool = True) -> None:
    assert (wrong := one_line(text, form=form)) is None, wrong


def spoil(folder: Path, sound: Path, seed: int) -> Path:
    """Copy the sound files, one of them spoiled; return that one."""
    paths = files_below(sound)
    contents = [path.read_bytes() for path in paths]
    target = seed % len(paths)
    for place, (path, content) in enumerate(zip(paths, contents, strict=True)):
        copy = folder / path.relative_to(sound)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(mutated(content, contents, seed) if place == target else content)
    return folder / paths[target].relative_to(sound)


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("target", TARGETS)
def test_spoiled_files_raise_declared_errors_alone(target, tmp_path, capsys):
    write, read = TARGETS[target]
    (sound := tmp_path / "sound").mkdir()
    write(sound)
    began, cases, slowest, found = time.monotonic(), 0, 0.0, {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while cases < CASES or time.monotonic() - began < SECONDS / len(TARGETS):
        folder, started = tmp_path / str(cases), time.process_time()  # not what others take of the machine
        spoiled = spoil(folder, sound, cases)
        try:
            read(folder, spoiled)
        except Exception as error:  # whatever it is, it is one of the findings
            place = traceback.extract_tb(error.__traceback__)[-1]
            found.setdefault((place.filename, place.lineno, type(error).__name__), f"seed {cases}: {error}"[:500])
        slowest = max(slowest, time.process_time() - started)
        shutil.rmtree(folder)
        cases += 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    if SECONDS:
        with capsys.disabled():
            seconds = time.monotonic() - began
            print(f"\n{target}: {cases:,} cases in {seconds:.0f} s, slowest {slowest:.2f} s, memory +{grown} MB")  # noqa: T201
    assert not found, "\n".join(f"{where}: {text}" for where, text in found.items())
    assert slowest < 20
    assert grown < 1500
