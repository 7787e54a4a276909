"""The ensemble in the pipeline: what is promised, and what another member leaves alone."""

import pytest

from flows.configs import PipelineConfig
from flows.weave import weave

MINILM = {"name": "minilm", "model": "bundled:all-minilm-l6-v2", "max_query_tokens": 32, "dtype": "bfloat16"}


def steps(**retrieve) -> dict[str, list]:
    config = PipelineConfig.model_validate({"languages": ["en", "sw"], "retrieve": retrieve})
    found: dict[str, list] = {}
    for planned in weave(config).planned:
        found.setdefault(planned.step.stage.name, []).append(planned.step)
    return found


def fingerprints(found, name):
    return {step.fingerprint for step in found[name]}


def is_trained(step) -> bool:
    """Say whether a Step needs the trained encoder, which other negatives change."""
    return step.stage.name == "train_encoder" or any(is_trained(entry) for entry in step.inputs.values())


@pytest.fixture(scope="module")
def plain():
    return steps()


def test_member_has_datasets_of_its_own_for_train_queries_alone(plain):
    found = steps(ensemble=[MINILM])
    own = [step for step in found["search_dense"] if step.settings["system"] == "minilm"]
    assert sorted(step.partition for step in own) == ["en", "sw"]
    for step in own:
        asked = step.inputs["queries"].settings
        assert (asked["splits"], asked["max_tokens"], asked["dtype"]) == (["train"], 32, "bfloat16")
    assert len(found["prepare_encoder"]) == len(plain["prepare_encoder"]) + 1
    assert [len(step.settings["candidates"]) for step in found["fuse_candidates"]] == [3, 3]


def test_member_leaves_the_base_systems_datasets_alone(plain):
    found = steps(ensemble=[MINILM])
    assert fingerprints(plain, "retrieve_bm25") == fingerprints(found, "retrieve_bm25")
    for name in ("embed_documents", "search_dense"):
        assert {step.fingerprint for step in plain[name] if not is_trained(step)} <= fingerprints(found, name)


def test_concatenation_reads_the_vectors_of_every_encoder():
    found = steps(ensemble=[MINILM], fuse={"method": "concat"})
    assert "fuse_candidates" not in found
    for step in found["fuse_vectors"]:
        assert set(step.settings["documents"]) == set(step.settings["vectors"]) == {"untrained", "minilm"}
        assert len(step.settings["candidates"]) == 3


def test_index_concerns_dense_search_alone(plain):
    found = steps(search={"index": "ivf_pq"})
    assert fingerprints(found, "retrieve_bm25") == fingerprints(plain, "retrieve_bm25")
    assert fingerprints(found, "search_dense").isdisjoint(fingerprints(plain, "search_dense"))
