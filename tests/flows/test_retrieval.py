"""The ensemble in the pipeline: what is promised, and what another member leaves alone."""

import json

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.configs import PipelineConfig
from flows.show.console import encoder_lines
from flows.weave import weave

RANKING = {"retrieve_bm25", "search_dense", "fuse_vectors"}
MINILM = {"name": "minilm", "model": "bundled:all-minilm-l6-v2", "max_query_tokens": 32, "dtype": "bfloat16"}


def steps(encoder: dict | None = None, **retrieve) -> dict[str, list]:
    given = {"languages": ["en", "sw"], "encoder": encoder or {}, "retrieve": retrieve}
    config = PipelineConfig.model_validate(given)
    found: dict[str, list] = {}
    for staged in weave(config).staged:
        found.setdefault(staged.promise.step.name, []).append(staged.promise)
    return found


def fingerprints(found, name):
    return {promise.fingerprint for promise in found[name]}


def is_trained(promise) -> bool:
    """Say whether a Step needs the trained encoder, which other negatives change."""
    return promise.step.name == "train_encoder" or any(is_trained(entry) for entry in promise.inputs.values())


@pytest.fixture(scope="module")
def plain():
    return steps()


def test_member_has_datasets_of_its_own_for_train_queries_alone(plain):
    found = steps(ensemble=[MINILM])
    own = [promise for promise in found["search_dense"] if promise.settings["system"] == "minilm"]
    assert sorted(promise.partition for promise in own) == ["en", "sw"]
    for promise in own:
        asked = promise.inputs["queries"].settings
        assert (asked["max_tokens"], asked["dtype"]) == (32, "bfloat16")
        assert promise.inputs["queries"].inputs["queries"].settings["split"] == "train"
    assert len(found["prepare_encoder"]) == len(plain["prepare_encoder"]) + 1
    assert [len(promise.settings["candidates"]) for promise in found["fuse_candidates"]] == [3, 3]


def test_member_leaves_the_base_systems_datasets_alone(plain):
    found = steps(ensemble=[MINILM])
    assert fingerprints(plain, "retrieve_bm25") == fingerprints(found, "retrieve_bm25")
    for name in ("embed_documents", "search_dense"):
        assert {promise.fingerprint for promise in plain[name] if not is_trained(promise)} <= fingerprints(found, name)


def test_dtype_is_that_of_mining_and_evaluation_alike_and_of_nothing_else(plain):
    found = steps({"dtype": "bfloat16"}, ensemble=[MINILM | {"dtype": "float16"}])
    for name in ("embed_documents", "embed_queries"):
        assert {promise.settings["dtype"] for promise in plain[name]} == {"float32"}
        assert fingerprints(found, name).isdisjoint(fingerprints(plain, name))
        assert {is_trained(promise) for promise in found[name]} == {True, False}
        member = {
            promise.inputs["encoder"].arguments["config"].model for promise in found[name] if not is_trained(promise)
        }
        assert len(member) == 2
        assert {promise.settings["dtype"] for promise in found[name] if is_trained(promise)} == {"bfloat16"}
    assert fingerprints(plain, "prepare_encoder") <= fingerprints(found, "prepare_encoder")


def test_every_encoder_follows_its_model_and_the_plan_says_so():
    """The base encoder, a member of the ensemble and the judge's start; resolved values are in the fingerprint."""
    e5 = {"name": "e5", "model": "bundled:multilingual-e5-small"}
    found = steps({"model": "bundled:all-minilm-l6-v2", "document_prompt": "D> "}, ensemble=[e5])["prepare_encoder"]
    settings = {promise.arguments["config"].model: promise.settings["config"] for promise in found}
    assert settings["bundled:multilingual-e5-small"] == {
        "num_layers": None,
        "pooling": "mean",
        "query_prompt": "query: ",
        "document_prompt": "passage: ",
    }
    assert (settings["bundled:all-minilm-l6-v2"]["query_prompt"]) == ""
    assert encoder_lines(found) == [
        'bundled:all-minilm-l6-v2: mean pooling (by its files); nothing before queries, "D> " before documents '
        "(by the settings)",
        'bundled:multilingual-e5-small: mean pooling (as E5); "query: " before queries, "passage: " before documents '
        "(as E5)",
    ]


def test_concatenation_reads_the_vectors_of_every_encoder():
    found = steps(ensemble=[MINILM], fuse={"method": "concat"})
    assert "fuse_candidates" not in found
    for promise in found["fuse_vectors"]:
        assert set(promise.settings["documents"]) == set(promise.settings["vectors"]) == {"untrained", "minilm"}
        assert len(promise.settings["candidates"]) == 3


def test_index_concerns_dense_search_alone(plain):
    found = steps(search={"index": "IVF64,SQ8"})
    assert fingerprints(found, "retrieve_bm25") == fingerprints(plain, "retrieve_bm25")
    assert fingerprints(found, "search_dense").isdisjoint(fingerprints(plain, "search_dense"))


@pytest.mark.parametrize(
    ("layout", "chosen", "left_out"),
    [
        ("beir", None, True),
        ("beir", False, False),
        ("table", None, False),
        ("table", True, True),
        ("atlas", True, True),
    ],
)
def test_own_documents_are_left_out_with_beirs_layout_or_where_it_is_set(layout, chosen, left_out, tmp_path):
    (tmp_path / "qrels").mkdir()
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "qrels/dev.tsv"):
        (tmp_path / name).write_text("")
    files = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels/{split}.tsv"}
    ingest = {"layout": layout, "path": str(tmp_path), **(files if layout == "table" else {})}
    config = PipelineConfig.model_validate(
        {
            "languages": ["en"],
            "ingest": ingest,
            "evaluate": {"ignore_own_document": chosen},
            "retrieve": {"fuse": {"method": "concat"}},
        }
    )
    ranking = [promise for promise in weave(config).promises if promise.step.name in RANKING]
    assert {promise.step.name for promise in ranking} == RANKING
    assert {promise.settings.get("ignore_own_document", False) for promise in ranking} == {left_out}


def test_validation_pool_needs_no_vectors_and_no_weight_whatever_fusion_is_asked_to_mine_with():
    fuse = {"method": "concat", "standardise": "none", "weights": {"untrained": 0}, "top_k": 7}
    config = PipelineConfig(languages=("fi",), retrieve={"fuse": fuse}, train={"validation_steps": 5})
    pools = [one.arguments["config"] for one in weave(config).promises if one.step.name == "fuse_candidates"]
    assert [(pool.method, pool.weights, pool.top_k) for pool in pools] == [("rrf", {}, 7)]


def test_plan_names_the_languages_that_lucene_has_no_analyzer_for(tmp_path):
    files = {"corpus": "c.jsonl", "queries": "q-{split}.jsonl", "qrels": "r-{split}.jsonl"}
    for name in files.values():
        for split in ("train", "dev"):
            (tmp_path / name.format(split=split)).write_text("")
    settings = {"ingest": {"layout": "table", "path": str(tmp_path), **files}, "storage": {"root": str(tmp_path)}}
    (tmp_path / "two.yaml").write_text(json.dumps({"languages": ["en", "sw", "pt-BR", "yo"], **settings}))
    answer = CliRunner().invoke(app, ["plan", str(tmp_path / "two.yaml")])
    assert "bm25: Lucene's standard analyzer, without stemming or stop words, for sw, yo.\n" in answer.output
    answer = CliRunner().invoke(app, ["plan", str(tmp_path / "two.yaml"), "--set", "languages=[en]"])
    assert "standard analyzer" not in answer.output
    assert answer.exit_code == 0
