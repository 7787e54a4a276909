"""What a plan says of bytes, memory and time, from settings, input files and earlier builds."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from support.datasets import FACTS

import storage
from flows.configs import PipelineConfig, ResourcesConfig
from flows.show.console import estimate_lines, human_seconds
from flows.show.estimate import estimate
from flows.weave import weave

RESOURCES = ResourcesConfig(device="cpu")


def planned(**settings) -> list:
    atlas = {"atlas": {"documents_per_language": 300, "queries_per_language": 90}}
    config = {"languages": ["en"], "ingest": atlas, "encoder": {"num_layers": 6}} | settings
    return [one.promise for one in weave(PipelineConfig.model_validate(config)).planned]


def first(steps: list, name: str):
    return next(promise for promise in steps if promise.step.name == name)


def estimated(promise, root: str):
    return estimate([promise], root, RESOURCES)[0]


def write(promise, root: str, frame: pl.DataFrame, seconds: float) -> None:
    """Put a dataset into the store as if the Step had been built."""
    writer = storage.Writer(promise.ref(root))
    writer.write(frame)
    inputs = [
        storage.Input(
            name=name,
            kind=entry.step.produces,
            partition=entry.partition,
            fingerprint=entry.fingerprint,
            content="c",
        )
        for name, entry in promise.inputs.items()
    ]
    facts = {"step": promise.step.name, "arguments": promise.settings, "inputs": inputs, "seconds": seconds}
    storage.commit(writer, **FACTS | facts | {"peak_memory_bytes": 10**9})


def vectors(number: int) -> pl.DataFrame:
    ids = [str(row) for row in range(number)]
    return pl.DataFrame({"id": ids, "vector": pl.Series(np.zeros((number, 384), np.float16))})


@pytest.fixture
def root(tmp_path) -> str:
    return str(tmp_path / "store")


def test_rows_and_bytes_follow_from_the_settings(root):
    steps = planned()
    rows = {
        promise.step.name: estimated(promise, root).rows for promise in reversed(steps)
    }  # the first of its name stays
    assert rows["generate_corpus"] == 300
    asked = round(90 * (0.35 + 0.65 * 0.9))  # train without validation, and dev
    assert (rows["embed_documents"], rows["embed_queries"]) == (300, asked)
    assert rows["search_dense"] == rows["retrieve_bm25"] == asked * 100
    assert rows["fuse_candidates"] == round(90 * 0.65 * 0.9) * 40
    assert estimated(first(steps, "embed_documents"), root).bytes == 300 * (2 * 384 + 12)


def test_rows_of_a_built_input_count_before_the_settings(root):
    steps = planned()
    corpus = first(steps, "generate_corpus")
    texts = pl.DataFrame({"doc_id": ["a", "b"], "title": ["", ""], "text": ["x", "y"]})
    write(corpus, root, texts, seconds=0.1)
    assert estimated(first(steps, "embed_documents"), root).rows == 2


def test_queries_of_the_splits_are_counted_where_they_are_built(root):
    steps = planned()
    names = ["query_id", "text", "split", "origin", "parent"]
    rows = [(str(row), "q", split, "given", None) for row, split in enumerate(["train", "dev", "validation", "train"])]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    write(first(steps, "generate_queries"), root, frame, seconds=0.1)
    assert estimated(first(steps, "embed_queries"), root).rows == 3
    assert estimated(first(steps, "fuse_candidates"), root).rows == 2 * 40


def test_time_is_in_proportion_to_a_build_of_the_same_stage(root):
    small = planned(ingest={"atlas": {"documents_per_language": 100}})
    write(first(small, "embed_documents"), root, vectors(100), seconds=20)
    found = estimated(first(planned(), "embed_documents"), root)
    assert (found.seconds, found.basis) == (pytest.approx(60), "measured")


def test_search_time_grows_with_documents_and_queries(root):
    small = planned(ingest={"atlas": {"documents_per_language": 100, "queries_per_language": 90}})
    search = first(small, "search_dense")
    write(search.inputs["documents"], root, vectors(100), seconds=20)
    found = pl.DataFrame(
        {"query_id": ["q"] * 4200, "doc_id": ["d"] * 4200, "system": ["s"] * 4200, "rank": 1, "score": 0.5}
    )
    write(search, root, found, seconds=2)
    now = first(planned(), "search_dense")
    assert estimated(now, root).rows == 8400
    assert estimated(now, root).seconds == pytest.approx(2 * 2 * 3)  # twice the rows, three times the documents


def test_builds_of_less_than_a_second_say_nothing_about_speed(root):
    small = planned(ingest={"atlas": {"documents_per_language": 100}})
    assumed = estimated(first(planned(), "embed_documents"), root)
    write(first(small, "embed_documents"), root, vectors(100), seconds=0.5)
    assert assumed.basis == "assumed"
    assert estimated(first(planned(), "embed_documents"), root) == assumed


def test_builds_with_other_lengths_say_nothing_about_speed(root):
    other = planned(text={"max_document_tokens": 32})
    write(first(other, "embed_documents"), root, vectors(100), seconds=20)
    assert estimated(first(planned(), "embed_documents"), root).basis == "assumed"


def test_assumed_time_grows_with_layers_and_documents(root):
    def seconds(**settings):
        return estimated(first(planned(**settings), "embed_documents"), root).seconds

    assert seconds(encoder={"num_layers": 12}) == pytest.approx(2 * seconds())
    more = {"atlas": {"documents_per_language": 900, "queries_per_language": 90}}
    assert seconds(ingest=more) == pytest.approx(3 * seconds())


def test_memory_of_search_does_not_grow_with_the_corpus(root):
    def memory(documents, **settings):
        ingest = {"atlas": {"documents_per_language": documents, "queries_per_language": 90}}
        return estimated(first(planned(ingest=ingest, **settings), "search_dense"), root).peak_memory

    assert memory(100_000) == memory(10_000_000)
    approximate = {"search": {"index": "auto", "approximate_above": 200_000}}
    assert memory(100_000, retrieve=approximate) == memory(100_000)
    assert memory(10_000_000, retrieve=approximate) > memory(10_000_000) + 64 * 10_000_000


def test_rows_of_files_follow_from_their_size(root, tmp_path):
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps({"doc_id": str(n)}) + "\n" for n in range(500)))
    for split in ("train", "dev"):
        (tmp_path / f"queries-{split}.tsv").write_text("1\tx\n")
        (tmp_path / f"qrels-{split}.tsv").write_text("1\t1\t1\n")
    ingest = {
        "layout": "table",
        "path": str(tmp_path),
        "corpus": "docs.jsonl",
        "queries": "queries-{split}.tsv",
        "qrels": "qrels-{split}.tsv",
    }
    corpus = first(planned(ingest=ingest), "ingest_corpus")
    assert estimated(corpus, root).rows == round((tmp_path / "docs.jsonl").stat().st_size / 900)


def test_lines_name_what_is_not_known(root):
    lines = "\n".join(estimate_lines(estimate(planned(), root, RESOURCES)))
    assert "Embeddings: " in lines
    assert "not known of fit_cross_encoder" in lines
    assert "nothing says how long: fit_cross_encoder" in lines


def test_ensemble_and_concatenation_are_estimated(root):
    retrieve = {"ensemble": [{"name": "m", "model": "bundled:all-minilm-l6-v2"}], "fuse": {"method": "concat"}}
    found = estimated(first(planned(retrieve=retrieve), "fuse_vectors"), root)
    assert found.rows == round(90 * 0.65 * 0.9) * 40
    assert found.seconds
    assert found.peak_memory


@pytest.mark.parametrize(("number", "text"), [(3.2, "3 s"), (180, "3 min"), (9000, "2.5 h"), (900_000, "10.4 days")])
def test_times_are_written_for_people(number, text):
    assert human_seconds(number) == text


def test_estimates_load_no_torch():
    code = (
        "import sys, flows.cli.main; sys.exit(bool({'torch', 'faiss', 'prefect', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_steps_of_which_nothing_is_known_are_told_not_guessed(root):
    steps = planned(supplement={"enabled": True, "chat": {"model": "some-model"}})
    estimates = [one for one in estimate(steps, root, RESOURCES) if one.step == "select_generated_queries"]
    assert [(one.rows, one.seconds, one.basis) for one in estimates] == [(None, None, "unknown")]
