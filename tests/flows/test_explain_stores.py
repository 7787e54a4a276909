"""`explain` on stores that hold little: one id in two languages, nothing but queries."""

import io

import polars as pl
import pytest
from rich.console import Console
from support.datasets import FACTS

from flows.show.explain import explain as gather
from flows.show.explain_view import explanation
from storage import DatasetRef, MissingDataset, Writer, commit, inspect


@pytest.fixture
def root(tmp_path):
    """Write queries of two languages that share an id, and nothing else."""
    for language, text in (("en", "Where is the harbour?"), ("sw", "Bandari iko wapi?")):
        writer = Writer(DatasetRef(kind="queries", partition=language, fingerprint="f", root=str(tmp_path)))
        row = {"query_id": "12#0", "text": text, "split": "train", "origin": "given", "parent": None}
        writer.write(pl.DataFrame([row]))
        commit(writer, **FACTS)
    return str(tmp_path)


def explain(root, query_id, languages):
    return gather(root, query_id, languages, [ref for ref, _ in inspect.datasets(root)])


def test_id_of_two_languages_is_explained_in_both_or_in_the_named_one(root):
    entries = explain(root, "12#0", [])
    assert [(entry["language"], entry["query"]["text"]) for entry in entries] == [
        ("en", "Where is the harbour?"),
        ("sw", "Bandari iko wapi?"),
    ]
    assert [entry["language"] for entry in explain(root, "12#0", ["sw"])] == ["sw"]


def test_query_without_further_stages_is_explained_as_far_as_it_got(root):
    entry = explain(root, "12#0", ["en"])[0]
    assert (entry["judged"], entry["ledger"]["candidates"], entry["results"]) == ([], [], [])
    assert "none in the store; run the stage denoise" in rendered(entry)


def test_empty_store_is_an_error(tmp_path):
    with pytest.raises(MissingDataset, match="expected queries in .*, found none. Run the pipeline"):
        explain(str(tmp_path), "q", [])


def candidate(doc_id: str, **facts: object) -> dict[str, object]:
    row = {
        "doc_id": doc_id,
        "rank": 1,
        "fused_score": 0.5,
        "raw": 0.25,
        "probability": 0.5,
        "grade": 1,
        "relevance": None,
    }
    return row | {"systems": None, "decision": "dropped", "reason": "grade_above_max", "hardness": None} | facts


def test_layout_shows_verdicts_and_the_generated_query_that_found_a_document(root):
    entry = explain(root, "12#0", ["en"])[0]
    parsed = {"sample": 0, "accuracy": 2, "completeness": 1, "status": "parsed"}
    unparsed = {"sample": 1, "accuracy": None, "completeness": None, "status": "unparsed"}
    systems = [{"system": "bm25", "rank": 7, "score": 1.5}]
    entry["ledger"] = {
        "dataset": "hard_negatives/en/f",
        "settings": {"strategy": "new", "num_negatives": 30},
        "candidates": [
            candidate("d1", verdicts=[parsed, unparsed], systems=systems),
            candidate("d2", generated_text="Which port is deep?", decision="kept", reason="safe", hardness=1),
        ],
    }
    text = " ".join(rendered(entry).split())
    assert "LLM's verdicts: accuracy 2 completeness 1, unparsed" in text
    assert "found by the generated query Which port is deep?" in text
    assert "7 1.50" in text
    assert "strategy new (num_negatives 30) kept 1: safe 1 dropped 1: grade_above_max 1" in text


def test_generated_query_names_its_parent(root):
    entry = explain(root, "12#0", ["en"])[0]
    entry["query"] |= {"origin": "generated", "parent": "11#0"}
    text = " ".join(rendered(entry).split())
    assert "generated, from 11#0" in text
    assert "they stand in the ledger of 11#0" in text


def rendered(entry) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(explanation(entry))
    return console.export_text()
