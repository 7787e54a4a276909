import math

import ir_measures
import pytest
import torch
from ir_measures import nDCG
from support.tiny_training import pool, run_training, tiny_encoder

from tasks.train.state import TrainingState
from tasks.train.validation import ValidationPool, ndcg, pool_ndcg

VECTORS = {"q1": [1.0, 0.0], "q2": [0.0, 1.0], "a": [1.0, 0.0], "b": [0.6, 0.8], "c": [0.6, 0.8], "d": [0.0, 1.0]}


class Table:
    """Only the keys: `embed` is by name here."""

    def __init__(self, *names, language="fi"):
        self.names = {(language, name) for name in names}

    def keys(self):
        return self.names


def embed(_table, keys):
    return torch.tensor([VECTORS[name] for _, name in keys])


def value_of(qrels, *, documents=("a", "b", "c", "d"), queries=("q1",)):
    judged = {("fi", query): documents for query, documents in qrels.items()}
    return pool_ndcg(embed, ValidationPool(Table(*queries), Table(*documents), judged))


def test_pool_ndcg_is_one_when_the_relevant_document_comes_first():
    assert value_of({"q1": {"a": 1}}) == 1.0


def test_pool_ndcg_breaks_ties_by_doc_id():
    assert value_of({"q1": {"b": 1}}) == pytest.approx(0.6309298)  # rank 2: 1 / log2(3)
    assert value_of({"q1": {"c": 1}}) == pytest.approx(0.5)  # rank 3: 1 / log2(4)


def test_pool_ndcg_counts_queries_without_relevant_documents_as_zero():
    assert value_of({"q1": {"a": 1}, "q2": {"a": 0}}, queries=("q1", "q2")) == 0.5


def test_pool_ndcg_searches_each_language_in_its_own_documents_and_weighs_them_equally():
    queries, documents = Table("q1", "q2"), Table("a")
    documents.names |= {("sw", "d"), ("sw", "a")}
    queries.names |= {("sw", "q1")}
    qrels = {("fi", "q1"): {"a": 1}, ("fi", "q2"): {}, ("sw", "q1"): {"d": 1}}
    assert pool_ndcg(embed, ValidationPool(queries, documents, qrels)) == pytest.approx((0.5 + 0.6309298) / 2)


@pytest.mark.parametrize("graded", [[0, 2, 1, 0, 3], [1] * 12, [0] * 11 + [1], [0, 0], [-1, 2, -2]])
def test_ndcg_equals_ir_measures(graded):
    judged = {f"d{rank:02}": grade for rank, grade in enumerate(graded)} | {"missed": 1}
    run = {"q": {doc: 100.0 - rank for rank, doc in enumerate(list(judged)[:-1])}}
    expected = ir_measures.calc_aggregate([nDCG @ 10], {"q": judged}, run)[nDCG @ 10]
    assert ndcg(graded, judged) == pytest.approx(expected)


def test_ndcg_counts_a_negative_relevance_as_no_gain():
    judged = {"spam": -1, "a": 1, "b": -2}
    assert ndcg([-1, 1, -2], judged) == pytest.approx(1 / math.log2(3))  # the ideal has the one gain of a
    assert ndcg([-1, -2], {"spam": -1, "b": -2}) == 0


@pytest.mark.parametrize(("queries", "documents"), [((), ("a",)), (("q1",), ())])
def test_pool_ndcg_rejects_a_pool_without_queries_or_documents(queries, documents):
    with pytest.raises(ValueError, match="expected validation queries with documents"):
        value_of({}, queries=queries, documents=documents)


def test_training_returns_the_weights_of_the_first_best_validation(tmp_path):
    settings = {"learning_rate": 1e-6, "warmup_share": 0.0}  # too small to rank anew
    encoder, log = run_training(tmp_path, checkpoints="a", validation=pool(tmp_path), validation_steps=2, **settings)
    values = [row.validation_ndcg for row in log]
    assert values[1::2] == [values[1]] * 4
    assert values[::2] == [None] * 4
    other, seen = tiny_encoder(tmp_path / "encoder"), []

    def keep_weights(report):
        seen.append({name: value.detach().clone() for name, value in other.named_parameters()})

    run_training(tmp_path, checkpoints="b", encoder=other, report=keep_weights, **settings)
    ours = dict(encoder.named_parameters())
    same = {name for name, value in seen[1].items() if torch.equal(value, ours[name])}
    assert set(ours) - same == {"backbone.embeddings.word_embeddings.weight"}  # narrow while in training
    assert not any(torch.equal(value, ours[name]) for name, value in seen[7].items() if name.endswith("dense.weight"))


def test_state_keeps_the_weights_of_the_best_validation():
    layer = torch.nn.Linear(1, 1, bias=False)
    state = TrainingState(layer)
    for step, value in enumerate([0.3, 0.5, 0.5, 0.4], start=1):
        with torch.no_grad():
            layer.weight.fill_(step)
        state.losses.append(0.0)
        state.add_validation(value)
    assert state.validations == {1: 0.3, 2: 0.5, 3: 0.5, 4: 0.4}
    assert state.validations_since_best() == 2
    state.use_best()
    assert layer.weight.item() == 2


def test_validation_leaves_the_steps_as_they_are(tmp_path):
    _, plain = run_training(tmp_path, checkpoints="a")
    _, log = run_training(tmp_path, checkpoints="b", validation=pool(tmp_path), validation_steps=3)
    assert [row.loss for row in log] == [row.loss for row in plain]
    assert [number for number, row in enumerate(log, 1) if row.validation_ndcg is not None] == [3, 6, 8]


def test_training_stops_when_patience_ends(tmp_path):
    settings = {"validation": pool(tmp_path), "validation_steps": 1, "patience": 2, "learning_rate": 1e-9}
    _, log = run_training(tmp_path, **settings)  # too small a rate for another ranking: never a new best
    assert len(log) == 3
    assert len({row.validation_ndcg for row in log}) == 1


def test_rejects_validation_without_queries(tmp_path):
    with pytest.raises(ValueError, match="validation_steps 2, got none"):
        run_training(tmp_path, validation_steps=2)
