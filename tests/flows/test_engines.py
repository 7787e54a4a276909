"""Which engine a run has, and where its workers are."""

import torch

from flows.configs import ResourcesConfig
from flows.run.engines import engine_of, num_gpus
from tasks import steps
from tasks.engine.shares import Place
from tasks.engine.step import Promise
from tasks.train.config import TrainConfig


def test_threads_and_a_single_worker_need_no_engine():
    assert engine_of(ResourcesConfig(), "cpu") is None
    assert engine_of(ResourcesConfig(engine="processes", workers=1), "cpu") is None
    assert engine_of(ResourcesConfig(engine="processes"), "cuda:1") is None  # one GPU, one worker


def test_each_worker_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    engine = engine_of(ResourcesConfig(engine="processes"), "cuda")
    assert engine is not None
    assert list(engine.places) == [Place(f"cuda:{number}", 65_536, 16) for number in range(4)]


def test_workers_on_a_cpu_share_its_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 32)
    engine = engine_of(ResourcesConfig(engine="processes", batch_tokens=512), "cpu")
    assert engine is not None
    assert list(engine.places) == [Place("cpu", 512, 8)] * 4


def test_a_step_says_how_many_gpus_it_computes_on(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    engines = [engine_of(ResourcesConfig(engine=name), "cuda") for name in ("processes", "threads")]
    trained = Promise(steps.train_encoder, "all", {"config": TrainConfig(num_processes=4)})
    assert [num_gpus(Promise(steps.embed_documents, "en", {}), engine) for engine in engines] == [3, 1]
    assert [num_gpus(trained, engine) for engine in engines] == [4, 4]
