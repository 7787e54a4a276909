"""One query through every stage: what `polyloom explain` reads, says and refuses."""

import io
import json

import polars as pl
import pytest
from rich.console import Console

from flows.show.explain import explain
from flows.show.explain_view import explanation, why_document
from flows.weave import weave
from storage import MissingDataset, read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def ask(woven):
    """Return a function that explains a query of the tiny pipeline, as its configuration built it."""
    root = str(woven.folder / "data")
    refs = [promise.ref(root) for promise in weave(woven.settings()).promises]
    return lambda query_id, *languages: explain(root, query_id, languages, refs)


@pytest.fixture(scope="module")
def dataset(woven):
    """Return a function that reads a kind of dataset of the configuration, all splits of it."""
    promises = weave(woven.settings()).promises
    root = str(woven.folder / "data")

    def one(kind: str, partition: str, **arguments: object) -> pl.DataFrame:
        found = [
            promise
            for promise in promises
            if (promise.step.produces, promise.partition) == (kind, partition)
            and arguments.items() <= promise.settings.items()
        ]
        return pl.concat([read(promise.ref(root)) for promise in found])

    return one


@pytest.fixture(scope="module")
def planned_query(dataset):
    """Return the id of a Swahili query that the batch plan uses and the ledger knows."""
    plan = dataset("batch_plan", "all").filter(pl.col("language") == "sw")
    ledger = dataset("hard_negatives", "sw").filter(pl.col("decision") == "kept")
    return plan.join(ledger, on="query_id", how="semi")["query_id"][0]


def test_train_query_shows_its_ledger_with_every_systems_rank(ask, dataset, planned_query):
    (entry,) = ask(planned_query)
    ledger = dataset("hard_negatives", "sw").filter(pl.col("query_id") == planned_query)
    found = entry["ledger"]["candidates"]
    assert [row["doc_id"] for row in found] == ledger["doc_id"].to_list()
    assert entry["ledger"]["settings"]["strategy"] == "grade"
    bm25 = dataset("candidates", "sw", analyzer="standard").filter(pl.col("query_id") == planned_query)
    ranks = dict(bm25.select("doc_id", "rank").rows())
    for row in found:
        (own,) = [one["rank"] for one in row["systems"] if one["system"] == "bm25"]
        assert own == ranks.get(row["doc_id"])
    corpus = dict(dataset("corpus", "sw").select("doc_id", "text").rows())
    assert [row["text"] for row in found] == [corpus[row["doc_id"]] for row in found]


def test_judged_documents_come_with_scores_relevant_ones_first(ask, dataset, planned_query):
    (entry,) = ask(planned_query)
    scores = dict(
        dataset("scores", "sw").filter(pl.col("query_id") == planned_query).select("doc_id", "probability").rows()
    )
    relevance = [row["relevance"] for row in entry["judged"]]
    assert relevance == sorted(relevance, reverse=True)
    assert relevance[0] == 1
    assert {row["doc_id"]: row["probability"] for row in entry["judged"]}.items() <= scores.items()


def test_planted_false_negatives_are_marked(ask, dataset, planned_query):
    (entry,) = ask(planned_query)
    truth = dataset("truth", "sw").filter(pl.col("query_id") == planned_query)
    marked = {row["doc_id"] for row in entry["ledger"]["candidates"] if row["planted"]}
    assert marked == set(truth["doc_id"]) & {row["doc_id"] for row in entry["ledger"]["candidates"]}


def test_batches_are_the_plans_with_hardness_and_loss(ask, dataset, planned_query):
    (entry,) = ask(planned_query)
    plan = dataset("batch_plan", "all").filter(pl.col("query_id") == planned_query, pl.col("language") == "sw")
    slots = entry["batches"]["slots"]
    assert [(slot["epoch"], slot["step"], slot["slot"]) for slot in slots] == plan.select(
        "epoch", "step", "slot"
    ).rows()
    hardness = dict(
        dataset("hard_negatives", "sw").filter(pl.col("query_id") == planned_query).select("doc_id", "hardness").rows()
    )
    log = dict(dataset("training_log", "all").select("step", "loss").rows())
    for slot, negatives in zip(slots, plan["negatives"], strict=True):
        assert [one["doc_id"] for one in slot["negatives"]] == negatives.to_list()
        assert [one["hardness"] for one in slot["negatives"]] == [hardness.get(doc_id) for doc_id in negatives]
        assert slot["loss"] == log[slot["step"]]
    assert entry["results"] == []


def test_dev_query_shows_results_of_three_systems(ask, dataset):
    queries = dataset("queries", "sw")
    query_id = queries.filter(pl.col("split") == "dev")["query_id"][0]
    (entry,) = ask(query_id)
    assert [result["system"] for result in entry["results"]] == ["bm25", "untrained", "trained"]
    assert entry["ledger"]["candidates"] == entry["batches"]["slots"] == []
    trained = dataset("run", "sw", system="trained").filter(pl.col("query_id") == query_id)
    ranks = dict(trained.select("doc_id", "rank").rows())
    metrics = dataset("metrics", "all", system="trained")
    own = metrics.filter(pl.col("query_id") == query_id, pl.col("metric") == "nDCG@10")["value"].to_list()
    assert [entry["results"][2]["metrics"]["nDCG@10"]] == own
    assert entry["results"][2]["positives"]
    for doc_id, rank in entry["results"][2]["positives"].items():
        assert rank == ranks.get(doc_id)


def test_unknown_id_names_near_ones(ask):
    with pytest.raises(MissingDataset, match=r"of a query of en, sw, got 'atlas-sw-q9'. Near it: atlas-sw-q\d+"):
        ask("atlas-sw-q9")
    with pytest.raises(MissingDataset, match="got 'q0003'. Near it: atlas-en-q0003, atlas-sw-q0003"):
        ask("q0003")
    with pytest.raises(MissingDataset, match="got '###'. See `polyloom show queries/en`"):
        ask("###")


def test_language_without_queries_is_named(ask):
    with pytest.raises(MissingDataset, match="expected queries of fi in .* found none"):
        ask("atlas-sw-q0001", "fi")


@pytest.mark.parametrize("width", [80, 120])
def test_layout_fits_the_terminal_and_names_every_stage(ask, planned_query, width):
    (entry,) = ask(planned_query)
    entry["query"]["text"] += " [red]brackets[/red] are text"
    text = rendered(entry, width)
    assert max(map(len, text.splitlines())) <= width
    for word in (
        planned_query,
        "sw",
        "train",
        "[red]brackets[/red]",
        "Judged documents",
        "bm25",
        "untrained",
        "kept, 1",
    ):
        assert word in text
    assert "Batches: batch_plan/all/" in text
    assert "strategy grade (max_grade_kept 0, num_negatives 30)" in " ".join(text.split())


def test_layout_says_what_is_not_there(ask, dataset):
    query_id = dataset("queries", "en").filter(pl.col("split") == "validation")["query_id"][0]
    text = rendered(ask(query_id)[0], 120)
    assert "validation queries are not mined" in text
    assert "only dev queries are measured" in text


def rendered(entry, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(explanation(entry))
    return console.export_text()


def test_why_a_document_is_a_negative_or_not(woven, dataset, planned_query):
    root = str(woven.folder / "data")
    refs = [promise.ref(root) for promise in weave(woven.settings()).promises]

    def answer(query_id: str, doc_id: str) -> str:
        (entry,) = explain(root, query_id, ["sw"], refs, doc_id)
        console = Console(width=80, record=True, file=io.StringIO())
        console.print(why_document(entry))
        text = console.export_text()
        assert len(text.splitlines()) <= 24  # one screen
        return " ".join(text.split())

    ledger = dataset("hard_negatives", "sw").filter(pl.col("query_id") == planned_query)
    kept = ledger.filter(pl.col("decision") == "kept").row(0, named=True)
    assert f"It is a hard negative, number {kept['hardness']} by hardness" in answer(planned_query, kept["doc_id"])
    slot = dataset("batch_plan", "all").filter(pl.col("query_id") == planned_query).row(0, named=True)
    assert f"a negative of this query in step {slot['step']}" in answer(planned_query, slot["negatives"][0])
    dropped = ledger.filter((pl.col("decision") == "dropped") & (pl.col("relevance").fill_null(0) == 0))
    assert "the strategy dropped it (grade above max)" in answer(planned_query, dropped["doc_id"][0])
    relevant = dataset("qrels", "sw").filter((pl.col("query_id") == planned_query) & (pl.col("relevance") > 0))
    assert "it is judged relevant (1)" in answer(planned_query, relevant["doc_id"][0])
    asked = pl.col("query_id") == planned_query
    found = dataset("candidates", "sw", analyzer="standard").filter(asked).join(ledger, on="doc_id", how="anti")
    judged = dataset("qrels", "sw").filter(asked)["doc_id"]
    far = found.filter(~pl.col("doc_id").is_in(judged.implode())).row(-1, named=True)
    assert "it is not among the 12 best of all systems" in answer(planned_query, far["doc_id"])
    assert f"bm25 has it at {far['rank']}" in answer(planned_query, far["doc_id"])
    assert "It is not in the corpus of sw." in answer(planned_query, "nothing")
    dev = dataset("queries", "sw").filter(pl.col("split") == "dev")["query_id"][0]
    assert "dev queries are not mined" in answer(dev, kept["doc_id"])


@pytest.mark.prefect
def test_command_explains_by_store_and_by_configuration(built):
    loom, _ = built
    loom.run("tiny.yaml")  # the store's last run may be another test's
    output = loom("explain", "atlas-sw-q0001", "--json", "explain.json")
    assert "Watu hulipa" in output
    answer = json.loads((loom.folder / "explain.json").read_text())
    assert [entry["language"] for entry in answer["entries"]] == ["sw"]
    assert "Watu hulipa" in loom("explain", "atlas-sw-q0001", "--config", "tiny.yaml")
    assert "Near it: atlas-en-q0" in loom("explain", "atlas-en-q", code=1)
