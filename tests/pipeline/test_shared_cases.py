"""Every case of ../shared/cases: the right values of its README; its settings as they are called now."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import ir_measures
import polars as pl
import pytest
import yaml
from support.in_process import build_missing
from support.tiny_model import write_tiny_encoder

from flows.configs import load_config
from flows.settings_file import ConfigError
from flows.weave import weave
from storage import read
from tasks.evaluate.runs import write_trec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LENGTHS = {"max_query_tokens": 32, "max_document_tokens": 64}
BEIR = {"layout": "beir", "train_split": "", "dev_split": "test"}


@pytest.fixture(scope="module")
def cases(shared: Path) -> Path:
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip(f"expected the folder {folder}, found none")
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_encoder(tmp_path_factory.mktemp("encoder") / "model"))


def translated(old: dict[str, Any]) -> dict[str, Any]:
    """Put settings where they are since the house became smaller."""
    retrieve, train, fit = old.pop("retrieve"), old.pop("train"), old.pop("denoise")["fit"]
    assert retrieve.pop("embed") == {name: train.pop(name) for name in LENGTHS} == LENGTHS
    train.pop("checkpoint_steps", None)  # by minutes now
    ranks = [fit["presumed_from_rank"], fit["presumed_to_rank"]]
    return {**old, "retrieve": retrieve, "train": train, "denoise": {"presumed_ranks": ranks}}


def built(folder: Path, tmp_path: Path, encoder: str, until: str, **settings: Any) -> dict[str, pl.DataFrame]:
    """Run a case until a stage, with its own settings where it has some; return the last table of each kind."""
    if (folder / "c.yaml").is_file():
        settings = translated(yaml.safe_load((folder / "c.yaml").read_text(encoding="utf-8")))
    settings["ingest"]["path"] = str(folder)
    settings |= {"text": LENGTHS, "encoder": {"model": encoder}, "storage": {"root": str(tmp_path / "data")}}
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    pipeline = weave(load_config(tmp_path / "case.yaml"), until)
    build_missing(pipeline, str(tmp_path / "data"))
    return {promise.step.produces: read(promise.ref(str(tmp_path / "data"))) for promise in pipeline.promises}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", ["same_text_documents", "same_text_merged_loud"])
def test_no_text_that_answers_a_query_is_its_negative(case: str, cases: Path, tmp_path: Path, encoder: str) -> None:
    found = built(cases / case, tmp_path, encoder, "plan_batches")
    said = {row["doc_id"]: row["text"] for row in lines(cases / case / "docs.jsonl")}
    answers = defaultdict(set)
    for row in lines(cases / case / "r-train.jsonl"):
        answers[row["query_id"]].add(said[row["doc_id"]])
    kept = found["hard_negatives"].filter(pl.col("decision") == "kept").select("query_id", "doc_id").rows()
    assert len(kept) > 500
    assert [pair for pair in kept if said[pair[1]] in answers[pair[0]]] == []
    num_listed = 0
    for _, batch in found["batch_plan"].group_by("step"):
        brought = [(place, name) for place, row in enumerate(batch.rows(named=True)) for name in row["negatives"]]
        for place, row in enumerate(batch.rows(named=True)):
            others = {name for other, name in enumerate(batch["positive"]) if other != place}
            own = {name for owner, name in brought if owner == place}
            answering = {
                name for name in others | {name for _, name in brought} if said[name] in answers[row["query_id"]]
            }
            assert not answering & own
            assert answering <= set(row["not_negatives"])
            num_listed += len(answering)
    assert num_listed > 50  # five texts answer all queries: they cannot be kept apart, only left out of the loss


def test_thai_punctuation_and_zero_width(cases: Path, tmp_path: Path, encoder: str) -> None:
    found = built(cases / "thai_punctuation_and_zero_width", tmp_path, encoder, "retrieve_bm25")
    hits = found["candidates"].filter(pl.col("query_id").str.starts_with("d")).select("query_id", "doc_id").rows()
    assert sorted(hits) == [("d1", "right"), ("d2", "right"), ("d3", "cm"), ("d4", "cm")]


def test_tiny_train_set_ends_with_what_is_missing(cases: Path, tmp_path: Path, encoder: str) -> None:
    with pytest.raises(ValueError, match="train queries with a positive, got 5. Lower plan_batches.topics"):
        built(cases / "tiny_train_set", tmp_path, encoder, "plan_batches")


def test_title_only_documents(cases: Path, tmp_path: Path, encoder: str) -> None:
    ingest = BEIR | {"on_bad_row": "quarantine"}
    found = built(cases / "title_only_documents", tmp_path, encoder, "ingest", languages=["en"], ingest=ingest)
    assert found["corpus"]["doc_id"].to_list() == ["a1", "a2", "a3"]
    assert found["qrels"]["query_id"].to_list() == found["queries"]["query_id"].to_list() == ["1", "2"]


def test_negative_relevance(cases: Path, tmp_path: Path, encoder: str) -> None:
    found = built(cases / "negative_relevance", tmp_path, encoder, "ingest", languages=["en"], ingest=BEIR | {})
    assert found["qrels"].select("doc_id", "relevance").rows() == [("a1", 2), ("a3", 0)]


def test_query_is_a_document(cases: Path, tmp_path: Path, encoder: str) -> None:
    ingest = BEIR | {}
    built(cases / "query_is_a_document_eval", tmp_path, encoder, "evaluate", languages=["en"], ingest=ingest)
    pipeline = weave(load_config(tmp_path / "case.yaml"))
    (metrics,) = (promise for promise in pipeline.metrics if promise.arguments["system"] == "bm25")
    values = read(metrics.ref(str(tmp_path / "data"))).filter(pl.col("query_id").is_not_null())
    assert set(values.filter(pl.col("metric") == "nDCG@10")["value"]) == {1.0}


def test_quoted_tsv(cases: Path, tmp_path: Path, encoder: str) -> None:
    names = {"corpus": "docs.tsv", "queries": "q-{split}.tsv", "qrels": "r-{split}.tsv"}
    ingest = {"layout": "table", "train_split": "", **names}
    found = built(cases / "tsv_quoted", tmp_path, encoder, "ingest", languages=["en"], ingest=ingest)
    assert found["corpus"].row(0) == ("1", 'The "Blue" Door', 'He said "come in" and left.')


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("evaluate={depth: 5, metrics: [R@100]}", "evaluate.depth: expected at least 100, the cut-off of R@100"),
        ("evaluate.metrics=[nonsense@3]", "ir_measures knows no nonsense"),
    ],
)
def test_depth_below_the_cutoff_and_unknown_measures_are_refused(setting: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("languages: [en]\n")
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "c.yaml", (setting,))


def test_aliases_of_measures_are_measures(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("languages: [en]\n")
    asked = "evaluate.metrics=[MRR@10, MAP, Recall@100, nDCG(cutoff=10), 'nDCG@10 ']"
    assert load_config(tmp_path / "c.yaml", (asked,)).evaluate.metrics == ("RR@10", "AP", "R@100", "nDCG@10")


@pytest.mark.parametrize("case", ["trec_file_ties", "trec_file_ids_with_spaces"])
def test_trec_files_are_read_as_they_were_meant(case: str, cases: Path, tmp_path: Path) -> None:
    given = [line.rsplit(" ", 3) for line in (cases / case / "bm25.run").read_text().splitlines()]
    run = pl.DataFrame(
        [("bm25", *pair.split(" Q0 "), int(rank), float(score)) for pair, rank, score, _ in given],
        schema={"system": pl.String, "query_id": pl.String, "doc_id": pl.String, "rank": pl.Int32, "score": pl.Float32},
        orient="row",
    )
    write_trec(run, tmp_path / "run")
    hits = list(ir_measures.read_trec_run(str(tmp_path / "run")))
    assert len(hits) == len(given)
    if case == "trec_file_ties":
        judged = list(ir_measures.read_trec_qrels(str(cases / case / "qrels.txt")))
        assert ir_measures.calc_aggregate([ir_measures.nDCG @ 10], judged, hits)[ir_measures.nDCG @ 10] == 1.0


ELSEWHERE = {
    "bm25_decomposed_unicode": "retrieve/test_bm25.py::test_shared_case_is_right",
    "trailing_space_encoder": "models/test_unigram.py::test_white_space_around_a_text_changes_no_id_of_the_bundled",
}
WITHOUT_FILES = {"depth_below_cutoff", "metric_alias"}  # their one line stands above


def test_every_case_is_tried(cases: Path) -> None:
    here, tests = Path(__file__).read_text(encoding="utf-8"), Path(__file__).parents[1]
    names = {path.name for path in cases.iterdir() if path.is_dir()}
    assert {name for name in names - {*ELSEWHERE, *WITHOUT_FILES} if f'"{name}"' not in here} == set()
    for where in ELSEWHERE.values():
        file, _, name = where.partition("::")
        assert f"def {name}" in (tests / file).read_text(encoding="utf-8")
