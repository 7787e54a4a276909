"""`explain` on stores that hold little: one id in two languages, nothing but queries."""

import io

import polars as pl
import pytest
from rich.console import Console
from support.datasets import FACTS

from flows.explain import explain
from flows.explain_view import explanation
from storage import DatasetRef, MissingDataset, Writer, commit


@pytest.fixture
def root(tmp_path):
    """Write queries of two languages that share an id, and nothing else."""
    for language, text in (("en", "Where is the harbour?"), ("sw", "Bandari iko wapi?")):
        writer = Writer(DatasetRef(kind="queries", partition=language, fingerprint="f", root=str(tmp_path)))
        row = {"query_id": "12#0", "text": text, "split": "train", "origin": "given", "parent": None}
        writer.write(pl.DataFrame([row]))
        commit(writer, **FACTS)
    return str(tmp_path)


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
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(explanation(entry))
    assert "none in the store; run the stage denoise" in console.export_text()


def test_empty_store_is_an_error(tmp_path):
    with pytest.raises(MissingDataset, match="expected queries in .*, found none. Run the pipeline"):
        explain(str(tmp_path), "q", [])
