"""What a plan says of rows, bytes, memory and time, from earlier builds in the store."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from support.datasets import FACTS

import storage
from flows.configs import PipelineConfig
from flows.show.console import estimate_lines, estimate_table, human_seconds
from flows.show.estimate import estimate
from flows.weave import weave


def promised(documents=300, queries=90, **settings) -> list:
    atlas = {"atlas": {"documents_per_language": documents, "queries_per_language": queries}}
    config = {"languages": ["en"], "ingest": atlas, "encoder": {"num_layers": 6}} | settings
    return list(weave(PipelineConfig.model_validate(config)).promises)


def first(promises: list, name: str):
    return next(promise for promise in promises if promise.step.name == name)


def estimated(promise, root: str):
    return estimate([promise], root)[0]


def write(promise, root: str, frame: pl.DataFrame, seconds: float = 0.1, memory: int = 10**9) -> None:
    """Put a dataset into the store as if the promise had been kept."""
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
    storage.commit(writer, **FACTS | facts | {"peak_memory_bytes": memory})


def vectors(number: int, width: int = 384) -> pl.DataFrame:
    ids = [str(row) for row in range(number)]
    return pl.DataFrame({"id": ids, "vector": pl.Series(np.zeros((number, width), np.float16))})


def texts(number: int) -> pl.DataFrame:
    return pl.DataFrame({"doc_id": [str(row) for row in range(number)], "title": "", "text": "x"})


def asked(number: int) -> pl.DataFrame:
    rows = [(str(row), "q", "train", "given", None) for row in range(number)]
    schema = dict.fromkeys(["query_id", "text", "split", "origin", "parent"], pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row")


def candidates(number: int) -> pl.DataFrame:
    return pl.DataFrame({"query_id": ["q"] * number, "doc_id": "d", "system": "s", "rank": 1, "score": 0.5})


@pytest.fixture
def root(tmp_path) -> str:
    return str(tmp_path / "store")


def test_an_empty_store_knows_generated_texts_and_bytes_of_their_vectors_alone(root):
    known = {one.step: (one.rows, one.vector_bytes) for one in reversed(estimate(promised(), root)) if one.rows}
    assert known == {
        "generate_corpus": (300, 0),
        "generate_queries": (53, 0),  # of train: 90 less about a third for dev and a tenth for validation
        "embed_documents": (300, 300 * 2 * 384),
        "embed_queries": (53, 53 * 2 * 384),
    }
    assert all(one.seconds is None and one.peak_memory is None for one in estimate(promised(), root))


def test_rows_of_a_built_input_count_before_the_settings(root):
    promises = promised()
    write(first(promises, "generate_corpus"), root, texts(2))
    assert estimated(first(promises, "embed_documents"), root).rows == 2


def test_queries_are_counted_where_they_are_built(root):
    promises = promised()
    write(first(promises, "generate_queries"), root, asked(3))
    assert estimated(first(promises, "embed_queries"), root).rows == 3


def test_time_and_memory_are_those_of_a_build_of_the_same_step_in_proportion(root):
    small = promised(documents=100)
    write(first(small, "generate_corpus"), root, texts(100))
    write(first(small, "embed_documents"), root, vectors(100), seconds=20, memory=3 * 10**9)
    found = estimated(first(promised(), "embed_documents"), root)
    assert (found.seconds, found.peak_memory) == (pytest.approx(60), 3 * 10**9)


def test_rows_grow_with_queries_and_search_time_with_documents_too(root):
    small = promised(documents=100, queries=30)
    search = first(small, "search_dense")
    write(first(small, "generate_corpus"), root, texts(100))
    write(first(small, "generate_queries"), root, asked(30))
    write(search.inputs["documents"], root, vectors(100))
    write(search.inputs["queries"], root, vectors(30))
    write(search, root, candidates(3000), seconds=2)
    large = promised(documents=300, queries=60)
    write(first(large, "generate_queries"), root, asked(60))
    found = estimated(first(large, "search_dense"), root)
    assert (found.rows, found.seconds) == (6000, pytest.approx(2 * 2 * 3))


def test_a_build_with_the_same_settings_tells_more_than_a_longer_one(root):
    other, same = promised(documents=100, retrieve={"search": {"depth": 150}}), promised(documents=100)
    for promises, seconds in ((other, 100), (same, 2)):
        for name, frame in (("generate_corpus", texts(100)), ("generate_queries", asked(53))):
            write(first(promises, name), root, frame)
        write(first(promises, "retrieve_bm25"), root, candidates(10), seconds=seconds)
    grown = (300 + 53) / (100 + 53)  # documents are indexed, queries searched
    assert estimated(first(promised(), "retrieve_bm25"), root).seconds == pytest.approx(2 * grown)


@pytest.mark.parametrize(
    ("settings", "width"), [({"text": {"max_document_tokens": 32}}, 384), ({}, 16)], ids=["length", "width"]
)
def test_vectors_of_another_length_or_width_say_nothing_about_speed(root, settings, width):
    other = promised(documents=100, **settings)
    write(first(other, "generate_corpus"), root, texts(100))
    write(first(other, "embed_documents"), root, vectors(100, width), seconds=20)
    assert estimated(first(promised(), "embed_documents"), root).seconds is None


def test_a_build_whose_inputs_are_gone_says_nothing_in_proportion(root):
    write(first(promised(documents=100), "embed_documents"), root, vectors(100), seconds=20)
    assert estimated(first(promised(), "embed_documents"), root).seconds is None


def test_lines_name_what_is_not_known(root):
    assert estimate_lines(estimate(promised(), root))[-1] == "Time: ?, until this store holds earlier builds to go by"
    corpus = promised(documents=100)
    write(first(corpus, "generate_corpus"), root, texts(100))
    write(first(corpus, "embed_documents"), root, vectors(100), seconds=20, memory=2 * 10**9)
    vector_line, memory, time = estimate_lines(estimate(promised(), root))
    assert vector_line == "Vectors: 549.1 kB"  # of the documents, twice, and of 53, 32 and 32 queries
    assert memory == "Peak memory: about 2.0 GB (embed_documents)"
    assert time == "Time: > 2 min, one step at a time; no earlier build here tells what ? and > stand for"


def test_table_fits_80_columns_and_marks_what_is_not_known(root):
    console = Console(width=80)
    with console.capture() as captured:
        console.print(estimate_table(estimate(promised(languages=["en", "sw", "fi"]), root)))
    lines = captured.get().splitlines()
    (embed,) = [line.split() for line in lines if "embed_documents" in line]
    assert embed == ["embed_documents", "6", "1,800", "1.4", "MB", "?", "?"]
    assert all("…" not in line for line in lines)


@pytest.mark.parametrize(("number", "text"), [(3.2, "3 s"), (180, "3 min"), (9000, "2.5 h"), (900_000, "10.4 days")])
def test_times_are_written_for_people(number, text):
    assert human_seconds(number) == text


def test_estimates_load_no_torch():
    code = (
        "import sys, flows.cli.main; sys.exit(bool({'torch', 'faiss', 'prefect', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
