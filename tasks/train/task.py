"""Stage 5: texts -> tokens; batch plan, tokens and base encoder -> trained encoder, with its training log."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from numpy.typing import NDArray

from storage import DatasetRef, checkout, count, iter_parts, load, num_parts, scan
from tasks.engine.job import Job
from tasks.engine.known import Earlier, Known
from tasks.engine.step import deferred
from tasks.models.batches import join_tokens
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
    chosen = [pl.col("query_id").alias("id"), "text"]

    def shards_of(given: Mapping[str, DatasetRef]) -> Iterator[pl.DataFrame]:
        return (part.select(chosen) for part in iter_parts(given["queries"]))

    _tokenize(job, language, "query", queries, shards_of, {"queries": queries}, encoder=encoder, max_tokens=max_tokens)


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
    chosen = [pl.col("doc_id").alias("id"), document_text(text).alias("text")]

    def shards_of(given: Mapping[str, DatasetRef]) -> Iterator[pl.DataFrame]:
        naming = [scan(ref).select("doc_id") for name, ref in given.items() if name.startswith("named.")]
        ids = pl.concat(naming).unique().collect().lazy()
        for part in iter_parts(given["corpus"]):
            yield part.lazy().join(ids, on="doc_id", how="semi", maintain_order="left").select(chosen).collect()

    given = {"corpus": corpus, **{f"named.{number}": ref for number, ref in enumerate(named)}}
    _tokenize(job, language, "document", corpus, shards_of, given, encoder=encoder, max_tokens=max_tokens)


def _tokenize(
    job: Job,
    language: str,
    role: Role,
    source: DatasetRef,
    shards_of: Callable[[Mapping[str, DatasetRef]], Iterator[pl.DataFrame]],
    given: Mapping[str, DatasetRef],
    *,
    encoder: DatasetRef,
    max_tokens: int,
) -> None:
    """Write a shard per part of the source; a killed run goes on with the first that is missing."""
    files = job.scratch / FILES
    missing = set(job.out.missing(num_parts(source)))
    tokenizer = TextTokenizer(checkout(encoder) / "model")
    known = Known(job.earlier, shards_of, log=job.log, read=_with_token_ids)
    with job.bar(count(source), "queries" if role == "query" else "documents") as advance:
        for number, (shard, part) in enumerate(zip(shards_of(given), load(source).parts, strict=True)):
            file = files / f"{number:05d}.bin"
            if number in missing or not file.exists():
                split = known.split(shard)
                tokens = join_tokens(
                    list(tokenizer.blocks(split.new["text"].to_list(), role=role, max_tokens=max_tokens))
                )
                new = split.new.select(
                    pl.lit(role).alias("role"),
                    pl.lit(language).alias("language"),
                    "id",
                    num_tokens=pl.Series(tokens.length_N, dtype=pl.Int32),
                    token_ids=_lists(tokens.ids, tokens.length_N),
                )
                rows = split.joined(new)
                write_token_file(file, (ids.to_list() for ids in rows["token_ids"]))
                job.out.write(rows.drop("token_ids"), shard=number, taken=split.taken)
            advance(part.rows)
    job.out.add_folder(files, FILES)


def _with_token_ids(earlier: Earlier, number: int) -> pl.DataFrame:
    rows = earlier.part(number)
    ids = np.fromfile(earlier.file(f"{FILES}/{number:05d}.bin"), dtype="<i4")
    return rows.with_columns(token_ids=_lists(ids, rows["num_tokens"].to_numpy()))


def _lists(ids: NDArray[np.int32], length_N: NDArray[Any]) -> pl.Series:
    """Cut ids that lie end to end into a list per text."""
    end_N = np.concatenate([[0], np.cumsum(length_N, dtype=np.int64)])
    return pl.Series(pa.LargeListArray.from_arrays(end_N, ids), dtype=pl.List(pl.Int32))


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
