"""Instruction tuning of the generator: a local language model and a file of instructions -> a LoRA adapter."""

import shutil
from pathlib import Path

import polars as pl

from tasks.engine.job import Job
from tasks.models.chat import identity as identities
from tasks.models.chat import local as local
from tasks.supplement import instructions as files
from tasks.supplement import lora
from tasks.supplement.config import SourceConfig, TuneConfig


def tune_generator(job: Job, *, source: SourceConfig, identity: str, instructions: str, config: TuneConfig) -> None:
    """Tune the generator on instructions; the adapter lies beside the log. A killed run starts anew.

    `identity` and `instructions` are digests of the model and the file: what the fingerprint knows of them.
    """
    conversations = files.read_instructions(Path(config.instructions))
    network, tokenizer = local.load_chat_model(identities.locate_chat_model(source.model), device=job.device)
    examples = lora.tokenize_conversations(conversations, tokenizer, max_tokens=config.max_conversation_tokens)
    with job.progress(lora.count_steps(len(examples), config.batch_size, config.num_epochs), "steps") as advance:
        adapted, rows = lora.tune(
            network,
            examples,
            progress=advance,
            **config.model_dump(exclude={"instructions", "max_conversation_tokens"}),
        )
    target = job.scratch / "adapter"
    shutil.rmtree(target, ignore_errors=True)
    lora.save_adapter(adapted, target)
    job.out.write(pl.DataFrame(rows, schema=lora.LOG))
    job.out.add_folder(target, "adapter")
