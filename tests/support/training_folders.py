"""The tiny training as folders, for tests of the process that trains."""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from support.tiny_training import RECIPE, plan, tiny_encoder, tokens


def training_arguments(folder: Path, *, checkpoint_steps: int = 2, out: str = "out", **recipe: object) -> list[str]:
    """Write plan, tokens, encoder and recipe, and return the arguments of `tasks.train.launch`."""
    encoder = tiny_encoder(folder / "encoder" / "model")
    tokens(encoder, folder / "tokens")
    rows = [
        {
            "epoch": step.epoch,
            "step": step.step,
            "slot": slot,
            "query_id": sample.query_id,
            "positive": sample.positive,
            "negatives": list(sample.negatives),
            "language": sample.language,
            "weight": sample.weight,
        }
        for step in plan()
        for slot, sample in enumerate(step.samples)
    ]
    (folder / "plan").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows[:5]), folder / "plan" / "part-0.parquet")  # in the middle of a step
    pq.write_table(pa.Table.from_pylist(rows[5:]), folder / "plan" / "part-1.parquet")
    _manifest(folder / "plan", "batch_plan", ["part-0.parquet", "part-1.parquet"])
    _manifest(folder / "encoder", "encoder", [])
    settings = {"recipe": asdict(RECIPE) | recipe, "checkpoint_steps": checkpoint_steps, "gradient_cache": "auto"}
    (folder / f"{out}.json").write_text(json.dumps(settings))
    return [
        f"--plan={folder / 'plan'}",
        "--tokens",
        str(folder / "tokens" / "query"),
        str(folder / "tokens" / "document"),
        f"--encoder={folder / 'encoder'}",
        f"--recipe={folder / f'{out}.json'}",
        f"--out={folder / out}",
        "--device=cpu",
    ]


def _manifest(folder: Path, kind: str, parts: list[str]) -> None:
    content = {"kind": kind, "partition": "all", "parts": [{"name": name, "sha256": name} for name in parts]}
    (folder / "manifest.json").write_text(json.dumps({**content, "files": []}))
