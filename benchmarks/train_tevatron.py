"""Train on rows.jsonl with Tevatron 0.1.0's DenseTrainer and DenseModel, and say how long each step took.

    train_tevatron.py FOLDER BATCH MAX_QUERY_TOKENS MAX_DOCUMENT_TOKENS _ plain cpu

Its trainer dates from transformers 4: `compute_loss` is given the argument that Trainer passes today, and the sampler
is asked for in today's way. Its model pools the first token and does not normalise, which costs no time.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from tevatron.arguments import DataArguments, ModelArguments
from tevatron.arguments import DenseTrainingArguments as Arguments
from tevatron.data import QPCollator
from tevatron.modeling import DenseModel
from tevatron.trainer import DenseTrainer
from train_inputs import read_rows
from transformers import PreTrainedTokenizerFast, TrainerCallback


class Trainer(DenseTrainer):
    """DenseTrainer under today's transformers."""

    def compute_loss(self, model: Any, inputs: Any, **_: Any) -> Any:
        """Leave out what it does not know."""
        return super().compute_loss(model, inputs)

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        return super()._get_train_sampler(self.train_dataset)


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


def main(folder: Path, batch: int, query_tokens: int, document_tokens: int) -> None:
    """Train, and print one line of JSON."""
    rows = read_rows(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "encoder")

    def encode(text: str, longest: int) -> Any:
        return tokenizer(
            text, truncation=True, max_length=longest, return_attention_mask=False, return_token_type_ids=False
        )

    dataset = [
        (
            encode("query: " + row["query"], query_tokens),
            [encode("passage: " + text, document_tokens) for text in (row["positive"], *row["negatives"])],
        )
        for row in rows
    ]
    data = DataArguments(
        train_n_passages=1 + len(rows[0]["negatives"]), q_max_len=query_tokens, p_max_len=document_tokens
    )
    arguments = Arguments(
        output_dir=str(folder / "tevatron"),
        num_train_epochs=1,
        per_device_train_batch_size=batch,
        learning_rate=2e-5,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    place = ModelArguments(model_name_or_path=str(folder / "encoder"))
    model = DenseModel.build(place, data, arguments, dtype="float32")
    clock = Clock()
    collator = QPCollator(tokenizer, max_p_len=document_tokens, max_q_len=query_tokens)
    Trainer(model=model, args=arguments, train_dataset=dataset, data_collator=collator, callbacks=[clock]).train()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    sys.stdout.write("\n" + json.dumps({"times": clock.times, "losses": [], "peak_mb": peak}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
