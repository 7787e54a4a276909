"""The step on a store: built, cached, rebuilt; and what its folder is worth in other libraries."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from support.loom import SURROUNDINGS
from support.steps import declare
from support.tiny_training import DOCUMENTS, NUM_STEPS, QUERIES, plan, tiny_encoder
from tensorboard.backend.event_processing import event_accumulator
from transformers import AutoModel, AutoTokenizer

import storage
from storage.fingerprints import reached_modules
from tasks.engine.build import build, state
from tasks.engine.code import body_code
from tasks.engine.job import Job
from tasks.engine.step import Promise
from tasks.models.encoder import Encoder
from tasks.models.tokenizer import TextTokenizer
from tasks.steps import tokenize_documents, tokenize_queries, train_encoder
from tasks.train import tensorboard
from tasks.train.config import TrainConfig
from tasks.train.process import TrainingFailed
from tasks.train.tokens import open_tokens

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]  # whole steps and training runs: not of the quick round

CONFIG = TrainConfig(learning_rate=1e-3, temperature=0.1)
FIGURES = {"language": "sw", "learning_rate": 1e-3, "gradient_norm": 1.0, "validation_ndcg": None}
TEXTS = ["what is red", "blue is a colour", "green"]


@declare(produces="queries")
def make_queries(job: Job) -> None:
    """Write the queries, and one that the plan does not have."""
    texts = {**{name: text for (_, name), text in QUERIES.items()}, "unplanned": "what is it"}
    frame = pl.DataFrame({"query_id": list(texts), "text": list(texts.values())})
    job.out.write(frame.with_columns(split=pl.lit("train"), origin=pl.lit("given"), parent=pl.lit(None, pl.String)))


@declare(produces="corpus")
def make_corpus(job: Job, *, leave_out: str) -> None:
    """Write the documents in two parts."""
    names = [name for _, name in DOCUMENTS if name != leave_out]
    frame = pl.DataFrame(
        {"doc_id": names, "title": ["colours"] * len(names), "text": [DOCUMENTS["en", n] for n in names]}
    )
    job.out.write(frame[:2])
    job.out.write(frame[2:])


@declare(produces="qrels")
def make_names(job: Job) -> None:
    """Name each document, one of them twice."""
    names = [*(name for _, name in DOCUMENTS), "d0"]
    job.out.write(pl.DataFrame({"query_id": ["q"] * len(names), "doc_id": names, "relevance": [1] * len(names)}))


@declare(produces="batch_plan")
def make_plan(job: Job) -> None:
    """Write the plan."""
    rows = [
        {
            "epoch": step.epoch,
            "step": step.step,
            "slot": slot,
            "query_id": sample.query_id,
            "positive": sample.positive,
            "negatives": list(sample.negatives),
            "language": sample.language,
            "topic": 0,
            "weight": sample.weight,
            "not_negatives": sorted(sample.not_negatives),
        }
        for step in plan()
        for slot, sample in enumerate(step.samples)
    ]
    job.out.write(pl.DataFrame(rows))


@declare(produces="encoder")
def make_encoder(job: Job) -> None:
    """Write the tiny encoder."""
    tiny_encoder(job.scratch / "model")
    job.out.add_folder(job.scratch / "model", "model")


def tokens(*, leave_out: str = "") -> list[Promise]:
    encoder = make_encoder()
    corpus = make_corpus("en", leave_out=leave_out)
    return [
        tokenize_queries("en", language="en", queries=make_queries("en"), encoder=encoder, max_tokens=16),
        tokenize_documents(
            "en",
            language="en",
            corpus=corpus,
            named=[make_names("en")],
            encoder=encoder,
            text="title_and_text",
            max_tokens=16,
        ),
    ]


def built(step: Promise, root: str) -> Promise:
    """Build what a step needs."""
    for needed in step.inputs.values():
        if not state(needed, root).cached:
            build(built(needed, root), root, SURROUNDINGS)
    return step


def training(root: str, *, leave_out: str = "", **config: object) -> Promise:
    step = train_encoder(
        batch_plan=make_plan(),
        query_tokens={"en": tokens(leave_out=leave_out)[0]},
        document_tokens={"en": tokens(leave_out=leave_out)[1]},
        encoder=make_encoder(),
        config=dataclasses.replace(CONFIG, **config),
    )
    return built(step, root)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[str, Promise]:
    root = str(tmp_path_factory.mktemp("store"))
    step = training(root, tensorboard=str(tmp_path_factory.mktemp("events")))
    build(step, root, SURROUNDINGS)
    return root, step


@pytest.fixture(scope="module")
def model(trained) -> Path:
    root, step = trained
    return storage.folder(step.ref(root)) / "model"


def test_log_has_a_row_per_step(trained):
    root, step = trained
    log = storage.read(step.ref(root))
    assert log["step"].to_list() == list(range(NUM_STEPS))
    assert log["epoch"].to_list() == [0] * 4 + [1] * 4
    assert log["language"].unique().to_list() == ["en"]
    assert log["examples_per_second"].null_count() == NUM_STEPS
    assert log["loss"].is_finite().all()
    assert state(step, root).cached


def test_training_moved_the_vectors(model, tmp_path):
    ours = Encoder.load(model, device="cpu").embed(TEXTS, role="query", max_tokens=16, batch_tokens=64)
    before = tiny_encoder(tmp_path / "encoder").embed(TEXTS, role="query", max_tokens=16, batch_tokens=64)
    assert np.abs(ours - before).max() > 0.01


@pytest.mark.slow  # its import takes seconds
@pytest.mark.timeout(300)
def test_sentence_transformers_gives_the_same_vectors(model):
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="installed with the test extra")
    ours = Encoder.load(model, device="cpu")
    theirs = sentence_transformers.SentenceTransformer(str(model), device="cpu")
    for role in ("query", "document"):
        np.testing.assert_allclose(
            theirs.encode(TEXTS, prompt_name=role),
            ours.embed(TEXTS, role=role, max_tokens=128, batch_tokens=64),
            atol=1e-5,
        )


def test_transformers_gives_the_same_vectors(model):
    tokenizer, network = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    inputs = tokenizer(["query: " + text for text in TEXTS], padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = network(**inputs).last_hidden_state
    mask = inputs["attention_mask"][..., None]
    mean = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    ours = Encoder.load(model, device="cpu").embed(TEXTS, role="query", max_tokens=128, batch_tokens=64)
    np.testing.assert_allclose(mean.numpy(), ours, atol=1e-5)


def test_weights_are_float32_safetensors_of_the_full_vocabulary(model):
    assert {file.name for file in model.rglob("*.safetensors")} == {"model.safetensors"}
    network = AutoModel.from_pretrained(model)
    assert network.dtype == torch.float32
    assert len(network.get_input_embeddings().weight) == json.loads((model / "config.json").read_text())["vocab_size"]


def test_same_inputs_give_the_same_bytes(trained, tmp_path):
    root, step = trained
    again = training(str(tmp_path), checkpoint_minutes=3)  # where checkpoints are made plays no part
    assert again.fingerprint == step.fingerprint
    build(again, str(tmp_path), SURROUNDINGS)
    assert storage.load(again.ref(str(tmp_path))).content == storage.load(step.ref(root)).content


def test_interrupted_build_goes_on_and_gives_the_same_bytes(trained, tmp_path):
    root, step = trained
    other = str(tmp_path)
    again = training(other, checkpoint_minutes=0)
    seen: list[int] = []

    def dying(total: int, unit: str):
        return _Bar(seen, dies_at=5)

    with pytest.raises(KeyboardInterrupt, match="step 5"):
        build(again, other, dataclasses.replace(SURROUNDINGS, progress=dying))
    assert seen == [1, 2, 3, 4, 5]
    seen.clear()
    build(again, other, dataclasses.replace(SURROUNDINGS, progress=lambda total, unit: _Bar(seen)))
    assert 1 not in seen  # the process may have been some steps ahead when it ended
    assert storage.load(again.ref(other)).content == storage.load(step.ref(root)).content


def test_text_that_the_corpus_lacks_is_an_error_and_writes_nothing(tmp_path):
    step = training(str(tmp_path), leave_out="d3")
    with pytest.raises(TrainingFailed, match=r"batch plan's documents, got none for 1, first 'd3' \(en\)"):
        build(step, str(tmp_path), SURROUNDINGS)
    assert storage.find(step.ref(str(tmp_path))) is None


def test_tokens_hold_the_texts_that_are_named(trained, tmp_path):
    root, _ = trained
    queries, documents = (storage.read(step.ref(root)) for step in tokens())
    assert set(queries["id"]) == {*(name for _, name in QUERIES), "unplanned"}
    assert documents["id"].to_list() == [name for _, name in DOCUMENTS]
    assert documents["role"].unique().to_list() == ["document"]
    encoder = tiny_encoder(tmp_path / "encoder")
    texts = [f"colours\n{DOCUMENTS['en', name]}" for name in documents["id"]]
    expected = encoder.tokenize(texts, role="document", max_tokens=16)
    found = open_tokens([storage.checkout(step.ref(root)) for step in tokens()], role="document", wanted=set(DOCUMENTS))
    assert [found["en", name].tolist() for name in documents["id"]] == expected


def test_tokenizing_goes_on_where_it_was_killed(trained, tmp_path, monkeypatch):
    root, _ = trained
    other = str(tmp_path)
    step = built(tokens()[1], other)

    def dying(total: int, unit: str):
        return _Bar([], dies_at=2)  # after the first of two parts

    with pytest.raises(KeyboardInterrupt, match="step 2"):
        build(step, other, dataclasses.replace(SURROUNDINGS, progress=dying))
    seen: list[int] = []
    real = TextTokenizer.blocks

    def counting(self, texts, **rest):
        seen.append(len(texts))
        return real(self, texts, **rest)

    monkeypatch.setattr(TextTokenizer, "blocks", counting)
    build(step, other, SURROUNDINGS)
    assert seen == [len(DOCUMENTS) - 2]
    assert storage.load(step.ref(other)).content == storage.load(step.ref(root)).content


def test_tokens_do_not_depend_on_the_plan(trained):
    root, step = trained
    names = {name for name in step.inputs if "tokens" in name}
    assert names == {"query_tokens.en", "document_tokens.en"}
    for name in names:
        assert not {"batch_plan", "config"} & set(step.inputs[name].settings)


def test_fingerprint_covers_the_code_that_runs_in_the_other_process():
    _, modules = body_code(train_encoder.path)
    assert {"tasks.train.launch", "tasks.train.loop", "tasks.train.tokens"} <= reached_modules(modules)
    _, modules = body_code(tokenize_queries.path)
    assert "tasks.train.loop" not in reached_modules(modules)


class _Bar:
    """A progress bar that may end the process."""

    def __init__(self, seen: list[int], dies_at: int | None = None) -> None:
        self._seen, self._dies_at = seen, dies_at

    def __enter__(self):
        return self._advance

    def __exit__(self, *_):
        return None

    def _advance(self, done: int, note: str = "") -> None:
        self._seen.append(done)
        if done == self._dies_at:
            raise KeyboardInterrupt(f"step {done}")


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Read TensorBoard's events as TensorBoard does: tag -> steps and values."""
    accumulator = event_accumulator.EventAccumulator(str(folder))
    accumulator.Reload()
    return {tag: [(one.step, one.value) for one in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def test_tensorboard_gets_each_step_of_a_training(trained, tmp_path):
    root, step = trained
    assert training(root).fingerprint == step.fingerprint  # where it writes events changes no result
    (folder,) = Path(step.arguments["config"].tensorboard).iterdir()
    assert folder.name == step.fingerprint[:12]
    log, found = storage.read(step.ref(root)), events(folder)
    for tag, column in {
        "loss/all": "loss",
        "loss/en": "loss",
        "learning rate": "learning_rate",
        "gradient norm": "gradient_norm",
    }.items():
        assert [number for number, _ in found[tag]] == list(range(1, NUM_STEPS + 1))
        assert [value for _, value in found[tag]] == pytest.approx(log[column].to_list(), rel=1e-5)
    tensorboard.write_log(log.to_dicts(), tmp_path)  # as of a training that was done elsewhere
    again = events(tmp_path)
    assert again.keys() == found.keys()
    for tag, pairs in found.items():
        assert again[tag] == [(number, pytest.approx(value, rel=1e-5)) for number, value in pairs]


def test_tensorboard_shows_steps_that_are_taken_again_once(tmp_path):
    first = [{"event": "step", "num_done": number, **FIGURES, "loss": 1.0} for number in (1, 2, 3)]
    again = [{"event": "step", "num_done": number, **FIGURES, "loss": 2.0} for number in (3, 4)]
    for part in (first, again):
        assert list(tensorboard.write_live((one for one in part), tmp_path)) == part
    assert events(tmp_path)["loss/sw"] == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]
    assert "validation nDCG@10" not in events(tmp_path)
