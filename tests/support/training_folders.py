"""The tiny training as folders, for tests of the process that trains."""

import json
from dataclasses import asdict
from pathlib import Path

from support.dataset_folders import dataset_folder
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
    dataset_folder(folder / "plan", "batch_plan", rows[:5], rows[5:])  # cut in the middle of a step
    dataset_folder(folder / "encoder", "encoder")
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
