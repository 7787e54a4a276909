"""Train on rows.jsonl with sentence-transformers' own trainer, and say how long each step took.

train_theirs.py FOLDER BATCH MAX_QUERY_TOKENS MAX_DOCUMENT_TOKENS MINI_BATCH plain|cached
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.training_args import BatchSamplers
from train_inputs import read_rows
from transformers import TrainerCallback


class Clock(TrainerCallback):
    """Notes the time when training begins and after each step."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Note the time."""
        self.times.append((time.perf_counter(), time.process_time()))

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Note the time."""
        self.times.append((time.perf_counter(), time.process_time()))


def main(
    folder: Path, batch: int, query_tokens: int, document_tokens: int, mini_batch: int, mode: str, device: str
) -> None:
    """Train, and print one line of JSON."""
    rows = read_rows(folder)
    whole = {"dtype": torch.float32}  # the encoder is stored in float16, in which a CPU computes slowly
    model = SentenceTransformer(str(folder / "encoder"), device=device, local_files_only=True, model_kwargs=whole)
    model.max_seq_length = document_tokens  # one for both; the queries are shorter than theirs anyway
    columns = {"anchor": [row["query"] for row in rows], "positive": [row["positive"] for row in rows]}
    for k in range(len(rows[0]["negatives"])):
        columns[f"negative_{k}"] = [row["negatives"][k] for row in rows]
    prompts = {name: model.prompts["query" if name == "anchor" else "document"] for name in columns}
    longest = max(len(model.tokenizer(prompts["anchor"] + text)["input_ids"]) for text in columns["anchor"])
    if longest > query_tokens:
        raise ValueError(f"queries: expected at most {query_tokens} tokens, got {longest}. Raise --query-tokens.")
    loss = (
        CachedMultipleNegativesRankingLoss(model, scale=20.0, mini_batch_size=mini_batch)
        if mode == "cached"
        else MultipleNegativesRankingLoss(model, scale=20.0)
    )
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder / "theirs"),
        num_train_epochs=1,
        per_device_train_batch_size=batch,
        dataloader_drop_last=True,
        learning_rate=2e-5,
        warmup_steps=0.1,
        weight_decay=0.01,
        max_grad_norm=1.0,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        prompts=prompts,
        use_cpu=device == "cpu",
        bf16=device == "cuda",
        fp16=False,
        save_strategy="no",
        report_to="none",
        logging_strategy="steps",
        logging_steps=1,
        disable_tqdm=True,
        seed=0,
    )
    clock = Clock()
    trainer = SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_dict(columns), loss=loss, callbacks=[clock]
    )
    trainer.train()
    result = {
        "times": clock.times,
        "losses": [float(line["loss"]) for line in trainer.state.log_history if "loss" in line],
        "peak_mb": _peak_bytes(device) / 1e6,
    }
    sys.stdout.write("\n" + json.dumps(result) + "\n")


def _peak_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:6]), *sys.argv[6:8])
