"""Stage 5: batch plan and base encoder -> trained encoder, with its training log."""

import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from storage import DatasetRef, fingerprint, folder, iter_parts, load, scan
from tasks.stage import Job, deferred, stage
from tasks.train.config import TrainConfig

if TYPE_CHECKING:
    from tasks.models import encoder as encoders
    from tasks.models import texts as document_texts
    from tasks.train import loop, plan, recipe, speed, texts, tokens
else:
    document_texts = deferred("tasks.models.texts")
    encoders = deferred("tasks.models.encoder")
    loop = deferred("tasks.train.loop")
    plan = deferred("tasks.train.plan")
    recipe = deferred("tasks.train.recipe")
    speed = deferred("tasks.train.speed")
    texts = deferred("tasks.train.texts")
    tokens = deferred("tasks.train.tokens")

LOG_SECONDS = 15.0


@stage(produces="training_log", resource="model")
def train_encoder(
    job: Job,
    *,
    batch_plan: DatasetRef,
    queries: dict[str, DatasetRef],
    corpus: dict[str, DatasetRef],
    encoder: DatasetRef,
    text: Literal["title_and_text", "text"],
    config: TrainConfig,
) -> None:
    """Train the encoder on the batch plan; the model lies beside the log."""
    # A killed run's state counts for the inputs that it saw: one of them may have been built anew since.
    inputs = [batch_plan, encoder, *queries.values(), *corpus.values()]
    scratch = job.scratch / fingerprint([load(ref).content for ref in inputs])
    network = encoders.Encoder.load(folder(encoder) / "model", device=job.device)
    query_tokens = _tokenize(
        scratch / "queries",
        queries,
        texts.wanted_queries(scan(batch_plan)),
        id_column="query_id",
        text=pl.col("text"),
        tokenize=partial(network.tokenize, role="query", max_tokens=config.max_query_tokens),
    )
    document_tokens = _tokenize(
        scratch / "documents",
        corpus,
        texts.wanted_documents(scan(batch_plan)),
        id_column="doc_id",
        text=document_texts.document_text(text),
        tokenize=partial(network.tokenize, role="document", max_tokens=config.max_document_tokens),
    )
    num_steps = texts.count_steps(scan(batch_plan))
    with job.progress(num_steps, "steps") as advance:
        log = loop.train(
            network,
            plan.iter_steps(part.to_arrow() for part in iter_parts(batch_plan)),
            num_steps=num_steps,
            queries=query_tokens,
            documents=document_tokens,
            recipe=recipe.Recipe(**config.model_dump(exclude={"max_query_tokens", "max_document_tokens"})),
            checkpoint_folder=scratch / "checkpoints",
            checkpoint_steps=config.checkpoint_steps,
            report=_reporter(job, advance, num_steps),
            warn=job.log.warning,
        )
    job.out.write(pl.DataFrame(log).with_columns(examples_per_second=pl.lit(None, dtype=pl.Float32)))
    network.save(scratch / "model")
    job.out.add_folder(scratch / "model", "model")


def _tokenize(
    target: Path,
    refs: dict[str, DatasetRef],
    wanted: "set[plan.Key]",
    *,
    id_column: str,
    text: pl.Expr,
    tokenize: Callable[[list[str]], list[list[int]]],
) -> "tokens.TokenTable":
    opened = tokens.open_tokens(target, wanted)
    if opened is not None:  # by a killed run
        return opened
    found_texts = (
        texts.select_texts(iter_parts(ref), wanted, language=language, id_column=id_column, text=text)
        for language, ref in sorted(refs.items())
    )
    return tokens.write_tokens(
        target, itertools.chain.from_iterable(found_texts), wanted=wanted, tokenize=tokenize, what=target.name
    )


def _reporter(job: Job, advance: Callable[[int], None], num_steps: int) -> "Callable[[loop.Report], None]":
    meter = speed.Speed(num_steps, clock=time.monotonic, seconds=LOG_SECONDS)

    def report(done: "loop.Report") -> None:
        advance(done.num_done)
        if line := meter.line(done):
            job.log.info("%s", line)

    return report
