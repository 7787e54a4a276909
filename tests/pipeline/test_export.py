"""The finished model as people use it, and training on another machine."""

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from storage import DatasetRef, inspect
from tasks.models.encoder import Encoder

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(600)]

TEXTS = ["Where is the largest port?", "Bandari kubwa iko wapi?"]


@pytest.fixture(scope="module")
def exported(built, tmp_path_factory) -> Path:
    loom, _ = built
    folder = tmp_path_factory.mktemp("exported") / "model"
    assert "The model is in" in loom("export", "tiny.yaml", "--to", str(folder))
    return folder


def test_sentence_transformers_gives_our_vectors(exported):
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="installed with the test extra")
    model = sentence_transformers.SentenceTransformer(str(exported), device="cpu")
    ours = Encoder.load(exported, device="cpu")
    for role in ("query", "document"):
        expected = ours.embed(TEXTS, role=role, max_tokens=128, batch_tokens=512)
        np.testing.assert_allclose(model.encode(TEXTS, prompt_name=role), expected, atol=1e-5)


def test_transformers_gives_our_vectors(exported):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported)
    network = transformers.AutoModel.from_pretrained(exported).eval()
    inputs = tokenizer(["query: " + text for text in TEXTS], padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = network(**inputs).last_hidden_state
    mask = inputs["attention_mask"][..., None]
    mean = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    ours = Encoder.load(exported, device="cpu").embed(TEXTS, role="query", max_tokens=128, batch_tokens=512)
    np.testing.assert_allclose(mean.numpy(), ours, atol=1e-5)


def test_card_has_the_results_and_the_lineage(built, exported):
    loom, answer = built
    card = (exported / "README.md").read_text(encoding="utf-8")
    value = {(row["system"], row["language"], row["metric"]): row["value"] for row in answer["metrics"]}
    for language in ("en", "sw", "all"):
        for system in ("bm25", "untrained", "trained"):
            assert f"{value[system, language, 'nDCG@10']:.4f}" in card
    for entry in answer["stages"]:
        if entry["kind"] in ("corpus", "hard_negatives", "batch_plan", "tokens", "training_log"):
            assert f"{entry['kind']}/{entry['partition']}/{entry['fingerprint'][:12]}" in card
    assert "| plan_batches.topics | `4` |" in card
    assert str(loom.folder) not in card


def test_model_shares_its_weights_with_the_training(built):
    loom, _ = built
    root = str(loom.folder / "data")
    model, training = (inspect.resolve(root, kind) for kind in ("model", "training_log"))
    assert isinstance(model, DatasetRef)
    inodes = [Path(ref.uri, "model", "model.safetensors").stat().st_ino for ref in (model, training)]
    assert inodes[0] == inodes[1]


def test_says_what_is_missing(built, tmp_path):
    loom, _ = built
    output = loom("export", "tiny.yaml", "--set", "train.seed=5", "--to", str(tmp_path / "model"), code=1)
    assert "export_model-all: expected it in the store, got: not built. Run this configuration first." in output
    output = loom("export", "tiny.yaml", "--to", str(tmp_path), code=1)
    assert "--to: expected a folder that is not there yet" in output


def test_packed_training_runs_without_the_project_and_its_result_is_taken(built, tmp_path):
    loom, _ = built
    changed = ("--set", "train.learning_rate=5e-4")
    bundle = tmp_path / "bundle"
    assert "train.result" in loom("pack", "tiny.yaml", *changed, "--to", str(bundle))
    tokens = max(bundle.glob("tokens*/**/*.bin"), key=lambda path: path.stat().st_size)
    whole = tokens.read_bytes()
    tokens.write_bytes(whole[:-2])
    done = train(bundle)
    assert done.returncode == 3
    assert "got other bytes. Copy the packing to this machine again" in json.loads(done.stdout)["text"]
    assert tokens.name in json.loads(done.stdout)["text"]
    tokens.write_bytes(whole)
    done = train(bundle)
    assert done.returncode == 0, done.stderr

    events = tmp_path / "events"
    taken = ("--set", f"train.result={bundle / 'out'}", "--set", f"train.tensorboard={events}", "--until", "train")
    weights = bundle / "out" / "model" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4])
    output = loom("run", "tiny.yaml", *changed, *taken, code=1).replace("\n", " ")
    assert "model.safetensors: expected it as result.json lists it, got other bytes" in output
    weights.write_bytes(whole)
    answer = loom.run("tiny.yaml", *changed, *taken)
    (training,) = [entry for entry in answer["stages"] if entry["kind"] == "training_log"]
    assert training["status"] == "built"  # and not by the run before
    assert [*(events / training["fingerprint"][:12]).glob("events.out.tfevents.*")]
    folder = loom.folder / "data" / "training_log" / "all" / training["fingerprint"]
    assert (folder / "model" / "model.safetensors").read_bytes() == whole
    output = loom("run", "tiny.yaml", "--set", "train.seed=3", *taken, code=1)
    assert "train.result: expected the finished training" in output.replace("\n", " ")


def train(bundle: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(["sh", bundle / "train.sh"], cwd="/", env=environment, capture_output=True, check=False)


def test_two_machines_train_together(built, tmp_path):
    """As processes of this one, over gloo: two torchruns of one process each, which meet at an address."""
    loom, _ = built
    bundle = tmp_path / "bundle"
    loom("pack", "tiny.yaml", "--to", str(bundle))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    meet = f"--nnodes=2 --master-addr=127.0.0.1 --master-port={port}"
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda rank: train(bundle, TORCHRUN=f"{meet} --node-rank={rank}"), range(2)))
    assert [one.returncode for one in done] == [0, 0], [one.stderr[-2000:] for one in done]
    assert [json.loads(line)["event"] for line in done[0].stdout.splitlines() if line.startswith(b"{")][-1] == "end"
    assert done[1].stdout == b""
    assert (bundle / "out" / "model" / "model.safetensors").exists()
