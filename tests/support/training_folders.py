"""The tiny training as folders, for tests of the process that trains."""

from dataclasses import replace
from pathlib import Path

from support.dataset_folders import dataset_folder
from support.tiny_training import CONFIG, plan, tiny_encoder, tokens

from tasks.train.config import write_settings


def training_arguments(folder: Path, *, out: str = "out", **settings: object) -> list[str]:
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
            "not_negatives": sorted(sample.not_negatives),
        }
        for step in plan()
        for slot, sample in enumerate(step.samples)
    ]
    dataset_folder(folder / "plan", "batch_plan", rows[:5], rows[5:])  # cut in the middle of a step
    dataset_folder(folder / "encoder", "encoder")
    write_settings(replace(CONFIG, **settings), folder / f"{out}.json")  # type: ignore[arg-type]  # real fields
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
