"""TREC run files: read as trec_eval reads them, which pytrec_eval shows; what is wrong with a line is said."""

import gzip
import json
import logging
import random
from pathlib import Path

import ir_measures
import polars as pl
import pytest
from ir_measures import AP, RR, P, nDCG
from support.bad_inputs import write_good
from support.in_process import build_missing

import storage
from flows.configs import load_config
from flows.weave import weave
from tasks.evaluate.measure import measure_language
from tasks.evaluate.runs import write_trec
from tasks.ingest.run_task import rank_as_trec_eval, read_run

MEASURES = [nDCG @ 10, AP, RR, P @ 5, nDCG @ 3]
TIES = ("2", "2.0", "+2", "2.00000001", "0.5", ".5", "-1e-3", "1e3", "16777217", "16777216")  # floats of 32 bits


@pytest.mark.parametrize("seed", range(5))
def test_values_are_those_of_trec_eval_on_the_same_file(tmp_path, seed):
    draw = random.Random(seed)  # noqa: S311 - a test's own draws
    documents = [*(f"d{n}" for n in range(30)), "é", "Z", "a", "_", "文"]
    lines, judged = [], []
    for query in ("q1", "q2", "q10"):
        lines += [
            f"{query}\tQ0 {one}  {draw.randint(0, 9)} {draw.choice(TIES)} x\n" for one in draw.sample(documents, 25)
        ]
        judged += [(query, one, draw.randint(0, 2)) for one in draw.sample(documents, 12)]
    draw.shuffle(lines)
    (tmp_path / "a.run").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "b.run.gz").write_bytes(gzip.compress("".join(lines).encode()))
    theirs = {
        (str(one.measure), one.query_id): one.value
        for one in ir_measures.iter_calc(
            MEASURES,
            [ir_measures.Qrel(*row) for row in judged],
            ir_measures.read_trec_run(str(tmp_path / "a.run")),
        )
    }
    for name in ("a.run", "b.run.gz"):
        ranked = rank_as_trec_eval(read_run([str(tmp_path / name)]), system="x")
        qrels = pl.DataFrame(judged, schema=["query_id", "doc_id", "relevance"], orient="row")
        ours = measure_language(ranked, qrels, metrics=list(map(str, MEASURES)))
        assert {row[:2]: row[2] for row in ours.rows()} == theirs


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Three documents, the dev query q3, and a configuration that measures a run file."""
    monkeypatch.chdir(tmp_path)
    write_good()
    return tmp_path


def built(lines: str, *overrides: str) -> pl.DataFrame:
    Path("in/en.trec").write_text(lines)
    systems = "evaluate.systems=[{name: other, run: 'in/{language}.trec'}]"
    pipeline = weave(load_config(Path("mine.yaml"), (systems, *overrides)), "ingest_run")
    build_missing(pipeline, "store")
    return storage.read(pipeline.promises[-1].ref("store"))


def test_lines_in_quarantine_are_left_out_and_an_unknown_document_stays_a_miss(folder, caplog):
    lines = "q3 Q0 d9 1 9 x\nq3 Q0 d3 2 8 x\nq9 Q0 d1 1 1 x\nq3 Q0 d3 3 7 x\nq3 Q0 d1 4\n\nq3 Q0 d1 5 inf x\n"
    with caplog.at_level(logging.WARNING):
        found = built(lines, "ingest.on_bad_row=quarantine")
    assert found.select("query_id", "doc_id", "system", "rank", "score").rows() == [
        ("q3", "d9", "other", 1, 9.0),
        ("q3", "d3", "other", 2, 8.0),
    ]
    said = [record.getMessage() for record in caplog.records]
    for line in (1, 3, 4, 5, 7):
        assert any(f"other: 1 such lines, the first is in/en.trec, line {line}: expected " in one for one in said)


def test_ids_as_our_own_run_files_write_them_are_those_of_the_corpus(folder):
    written = {"New York": "New%20York", "50%20off": "50%2520off", "100%": "100%"}
    rows = [{"doc_id": one, "docid": one, "text": one} for one in written]
    with Path("in/docs.jsonl").open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    run = pl.DataFrame({"query_id": "q3", "doc_id": [*written], "system": "x", "rank": [1, 2, 3], "score": 1.0})
    write_trec(run.cast({"score": pl.Float32}), Path("in/ours.run"))
    ours = Path("in/ours.run").read_text()
    assert [line.split()[2] for line in ours.splitlines()] == [*written.values()]
    assert built(ours)["doc_id"].to_list() == [*written]
    assert built(f"q3 Q0 50%20off 1 1 x\n{ours.splitlines()[2]}\n")["doc_id"].to_list() == ["50%20off", "100%"]


def test_run_file_that_breaks_off_is_damaged(folder):
    with pytest.raises(ValueError, match=r"en.trec, line 2: expected a last line that is whole, got 4 columns"):
        built("q3 Q0 d1 1 2 x\nq3 Q0 d3 2", "ingest.on_bad_row=quarantine")


def test_query_without_a_line_counts_as_0_and_the_log_says_so(folder, caplog):
    with caplog.at_level(logging.WARNING):
        assert built("").is_empty()
    assert "other: of 1 dev queries 1 have no line and count as 0" in caplog.text


def test_own_document_is_no_hit_where_the_evaluation_ignores_it(folder):
    with Path("in/docs.jsonl").open("a") as file:
        file.write('{"doc_id": "q3", "docid": "q3", "text": "itself"}\n')
    lines = "q3 Q0 q3 1 9 x\nq3 Q0 d1 2 8 x\n"
    assert built(lines)["doc_id"].to_list() == ["q3", "d1"]
    assert built(lines, "evaluate.ignore_own_document=true")["doc_id", "rank"].rows() == [("d1", 1)]


def test_content_of_the_file_counts_and_its_name_does_not(folder):
    systems = "evaluate.systems=[{name: other, run: in/%s.trec}]"

    def fingerprint(name: str) -> str:
        return weave(load_config(Path("mine.yaml"), (systems % name,)), "ingest_run").promises[-1].fingerprint

    for name, score in {"a": 1, "b": 1, "c": 2}.items():
        Path(f"in/{name}.trec").write_text(f"q3 Q0 d1 1 {score} x\n")
    assert fingerprint("a") == fingerprint("b") != fingerprint("c")


def test_run_file_is_not_asked_for_before_the_evaluation(folder):
    config = load_config(Path("mine.yaml"), ("evaluate.systems=[{name: other, run: in/none.trec}]",))
    assert weave(config, "train").promises
    with pytest.raises(FileNotFoundError, match=r"^evaluate.systems: expected a run of 'en' at 'in/none.trec', got"):
        weave(config)
