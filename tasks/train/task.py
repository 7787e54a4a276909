"""Stage 5: texts -> tokens; batch plan, tokens and base encoder -> trained encoder, with its training log."""

from pathlib import Path

import polars as pl
import torch

from storage import DatasetRef, checkout, count, iter_parts, num_parts, scan
from tasks.engine.job import Job
from tasks.engine.step import deferred
from tasks.models.encoder import forget_encoder
from tasks.models.layout import Role
from tasks.models.texts import document_text
from tasks.models.tokenizer import TextTokenizer
from tasks.train import launch
from tasks.train.checksums import check_result, finished_training
from tasks.train.config import TrainConfig, write_settings
from tasks.train.data import Inputs
from tasks.train.folders import LOG, MODEL
from tasks.train.process import follow, run
from tasks.train.tokens import FILES, write_token_file

tensorboard = deferred("tasks.train.tensorboard")  # an extra


def tokenize_queries(job: Job, *, language: str, queries: DatasetRef, encoder: DatasetRef, max_tokens: int) -> None:
    """Turn queries into token ids."""
    wanted = scan(queries).select("query_id").collect()["query_id"]
    _tokenize(job, language, "query", queries, wanted, pl.col("text"), encoder=encoder, max_tokens=max_tokens)


def tokenize_documents(
    job: Job,
    *,
    language: str,
    corpus: DatasetRef,
    named: list[DatasetRef],
    encoder: DatasetRef,
    text: str,
    max_tokens: int,
) -> None:
    """Turn into token ids the documents that candidates and judgements name."""
    wanted = pl.concat([scan(ref).select("doc_id") for ref in named]).unique().collect()["doc_id"]
    _tokenize(job, language, "document", corpus, wanted, document_text(text), encoder=encoder, max_tokens=max_tokens)


def _tokenize(
    job: Job,
    language: str,
    role: Role,
    source: DatasetRef,
    wanted: pl.Series,
    text: pl.Expr,
    *,
    encoder: DatasetRef,
    max_tokens: int,
) -> None:
    """Write a shard per part of the source; a killed run goes on with the first that is missing."""
    files = job.scratch / FILES
    missing = set(job.out.missing(num_parts(source)))
    tokenize = TextTokenizer(checkout(encoder) / "model")
    id_column, ids = ("query_id" if role == "query" else "doc_id"), wanted.to_frame().lazy()
    with job.bar(count(source), "queries" if role == "query" else "documents") as advance:
        for number, part in enumerate(iter_parts(source)):
            file = files / f"{number:05d}.bin"
            if number in missing or not file.exists():
                found = part.lazy().join(
                    ids, left_on=id_column, right_on=wanted.name, how="semi", maintain_order="left"
                )
                chosen = found.select(pl.col(id_column).alias("id"), text.alias("text")).collect()
                token_ids = tokenize(chosen["text"].to_list(), role=role, max_tokens=max_tokens)
                num_tokens = pl.Series("num_tokens", write_token_file(file, token_ids), dtype=pl.Int32)
                rows = chosen.select(pl.lit(role).alias("role"), pl.lit(language).alias("language"), "id", num_tokens)
                job.out.write(rows, shard=number)
            advance(part.height)
    job.out.add_folder(files, FILES)


def train_encoder(
    job: Job,
    *,
    batch_plan: DatasetRef,
    query_tokens: dict[str, DatasetRef],
    document_tokens: dict[str, DatasetRef],
    encoder: DatasetRef,
    config: TrainConfig,
    validation_queries: dict[str, DatasetRef] | None = None,
    validation_documents: dict[str, DatasetRef] | None = None,
    validation_qrels: dict[str, DatasetRef] | None = None,
    teacher: dict[str, DatasetRef] | None = None,
) -> None:
    """Train the encoder on the batch plan, in a process of its own; the model lies beside the log."""
    inputs = training_inputs(
        batch_plan=batch_plan,
        query_tokens=query_tokens,
        document_tokens=document_tokens,
        encoder=encoder,
        validation_queries=validation_queries,
        validation_documents=validation_documents,
        validation_qrels=validation_qrels,
        teacher=teacher,
    )
    out = _result_from_elsewhere(config, inputs) if config.result else _train(job, config, inputs)
    log = pl.read_parquet(out / LOG)
    if config.result and config.tensorboard:
        tensorboard.write_log(log.to_dicts(), _events_folder(job, config.tensorboard))
    job.out.write(log.with_columns(examples_per_second=pl.lit(None, dtype=pl.Float32)))
    job.out.add_folder(out / MODEL, MODEL)


def training_inputs(
    *, batch_plan: DatasetRef, encoder: DatasetRef, **by_language: dict[str, DatasetRef] | None
) -> Inputs:
    """Name the local folders that a training reads; the keywords are `train_encoder`'s."""

    def local(*names: str) -> tuple[Path, ...]:
        return tuple(checkout(ref) for name in names for ref in (by_language.get(name) or {}).values())

    return Inputs(
        plan=(checkout(batch_plan),),
        tokens=local("query_tokens", "document_tokens"),
        encoder=(checkout(encoder),),
        validation_tokens=local("validation_queries", "validation_documents"),
        validation_qrels=local("validation_qrels"),
        teacher=local("teacher"),
    )


def _train(job: Job, config: TrainConfig, inputs: Inputs) -> Path:
    out = job.scratch / "training"
    out.mkdir(exist_ok=True)
    recipe = out / "recipe.json"
    write_settings(config, recipe)
    forget_encoder()  # what earlier steps left in this process: the training's process wants the memory
    torch.cuda.empty_cache()
    arguments = [*inputs.arguments(), f"--recipe={recipe}", f"--out={out}", f"--device={job.device}"]
    events = run(launch.__name__, arguments, num_processes=config.num_processes, stderr=out / "stderr.txt")
    if config.tensorboard:
        events = tensorboard.write_live(events, _events_folder(job, config.tensorboard))
    follow(events, job.bar, job.log)
    return out


def _events_folder(job: Job, folder: str) -> Path:
    return Path(folder).expanduser() / job.out.ref.fingerprint[:12]


def _result_from_elsewhere(config: TrainConfig, inputs: Inputs) -> Path:
    """Return the folder of a result from another machine, if it is this training's, every byte of it."""
    out = Path(str(config.result)).expanduser().absolute()
    name, found = inputs.identity(config), finished_training(out)
    if found != name:
        raise ValueError(
            f"train.result: expected the finished training {name} in {out}, got {found or 'none'}. Pack this "
            "configuration again and train that, or leave train.result empty."
        )
    check_result(out)
    return out
