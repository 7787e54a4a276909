"""Settings that contradict each other are refused before anything runs."""

import pytest
from pydantic import ValidationError

from tasks.retrieve.config import RetrieveConfig, SearchConfig


def ensemble(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "model": "some/model"} for name in names]


@pytest.mark.parametrize("name", ["bm25", "untrained", "trained"])
def test_encoder_of_the_ensemble_takes_no_reserved_name(name):
    with pytest.raises(ValidationError, match=f"differ from each other and from bm25, untrained, trained, got {name}"):
        RetrieveConfig(ensemble=ensemble(name))


def test_encoders_of_the_ensemble_have_different_names():
    with pytest.raises(ValidationError, match="expected names that differ from each other .*, got minilm. Rename"):
        RetrieveConfig(ensemble=ensemble("minilm", "bge", "minilm"))


def test_name_of_an_encoder_is_a_word():
    with pytest.raises(ValidationError, match="String should match pattern"):
        RetrieveConfig(ensemble=ensemble("mini lm"))


def test_weight_of_an_unknown_system_is_refused():
    known = RetrieveConfig(ensemble=ensemble("minilm"), fuse={"weights": {"bm25": 1, "untrained": 2, "minilm": 0.5}})
    assert known.fuse.weights["minilm"] == 0.5
    message = "expected systems of bm25, untrained, minilm, got bm52, trained"
    with pytest.raises(ValidationError, match=message):
        RetrieveConfig(ensemble=ensemble("minilm"), fuse={"weights": {"bm52": 1, "trained": 1}})


def test_scores_without_a_common_unit_are_not_added():
    with pytest.raises(ValidationError, match="expected language or query for method 'z_score', got 'none'"):
        RetrieveConfig(fuse={"standardise": "none"})
    with pytest.raises(ValidationError, match="expected no weight of bm25 for cosines as they are, got 0.5"):
        RetrieveConfig(fuse={"method": "concat", "standardise": "none", "weights": {"bm25": 0.5}})


def test_exact_search_adds_nothing_to_fingerprints():
    assert SearchConfig().dense_arguments() == {}
    index = SearchConfig(index="IVF1024,SQ8", parameters="nprobe=16")
    assert index.dense_arguments() == {"index": "IVF1024,SQ8", "parameters": "nprobe=16"}
    assert index.model_dump() == {"depth": 100}


@pytest.mark.parametrize("index", ["Flat", "IVF4096,PQ64", "IVF1024,SQ8", "IVF16,Flat", "IVF16,SQfp16"])
def test_index_is_exact_or_of_the_ivf_family(index):
    assert SearchConfig(index=index).index == index


@pytest.mark.parametrize("index", ["exact", "HNSW32", "PQ64", "IVF,PQ64", "IVF0,Flat", "IVF16,PQ64x4fs", "ivf16,flat"])
def test_other_strings_are_refused_with_an_example(index):
    with pytest.raises(ValidationError, match=rf"expected Flat or IVF.*, got '{index}'. .* e.g. IVF4096,PQ64."):
        SearchConfig(index=index)


@pytest.mark.parametrize("parameters", ["", "64", "nprobe=0", "efSearch=5", "nprobe=64,ht=3"])
def test_parameters_are_those_of_an_inverted_file(parameters):
    with pytest.raises(ValidationError, match=rf"expected nprobe=<lists> .*, got '{parameters}'. .* e.g. nprobe=64."):
        SearchConfig(index="IVF16,Flat", parameters=parameters)
    assert SearchConfig(parameters="nprobe=8,max_codes=100").parameters == "nprobe=8,max_codes=100"


def test_settings_refuse_a_negative_weight():
    with pytest.raises(ValidationError, match=r"expected weights of 0 or more, got \{'bm25': -1.0\}"):
        RetrieveConfig(fuse={"weights": {"bm25": -1.0}})
