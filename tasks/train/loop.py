"""The training loop: encoder, plan and token ids in; trained encoder and log out.

Needs torch, transformers, safetensors, numpy and pyarrow alone, so that it runs on a bare GPU box.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from torch import Tensor

from tasks.ahead import made_ahead
from tasks.models.encoder import Encoder
from tasks.models.word_embeddings import narrow_vocabulary, widen_vocabulary
from tasks.train.batch import Batch, Chunks, compose_batch
from tasks.train.checkpoint import CheckpointWriter, newest_checkpoint
from tasks.train.config import Recipe, TrainConfig
from tasks.train.data import TrainingData
from tasks.train.events import LogRow, Report
from tasks.train.lora import add_adapters, merge_adapters
from tasks.train.network import Network
from tasks.train.objective import check_objective
from tasks.train.plan import Key, PlanStep
from tasks.train.state import LossScale, TrainingState
from tasks.train.step import take_step
from tasks.train.tokens import TokenTable
from tasks.train.validation import pool_ndcg
from tasks.train.workers import ALONE, Workers


def train(
    encoder: Encoder,
    data: TrainingData,
    config: TrainConfig,
    *,
    checkpoints: Path,
    report: Callable[[Report], None],
    warn: Callable[[str], None],
    workers: Workers = ALONE,
) -> list[LogRow]:
    """Train an encoder in place, one optimizer step per plan step.

    Where the folder holds a checkpoint of a killed run with this recipe, training goes on from it; weights and log are
    then bit for bit those of an undisturbed run (on a CPU; a GPU's sums have no fixed order).

    Args:
        encoder: on the device to train on. Only the embedding rows that the texts use are in training: exact, since
            embeddings have no weight decay, with many times less AdamW work.
        data: the plan and its texts.
        config: how a step is taken, and how often a checkpoint is made.
        checkpoints: folder of this training's checkpoints, of one start, one plan and one set of texts; all processes
            read it, the first one writes.
        report: called after each step that is computed.
        warn: called for each checkpoint that is passed over, with the reason.
        workers: the processes that train together, each with its own encoder of the same weights. All get the result.

    Returns:
        A row per step of the plan, in its order; fewer where the recipe's patience ended the training.

    Raises:
        ValueError: the plan has no step, or another number of steps than `data.num_steps`; the recipe needs what is
            not there.
        RuntimeError: a loss or gradient is not finite, or the GPU's memory does not suffice.
    """
    _check(encoder, data, config)
    used_ids = data.used_ids() | {encoder.pad_id}
    full_weight = next(encoder.backbone.get_input_embeddings().parameters()).detach().cpu()
    network = _set_up(encoder, used_ids, config, workers)
    facts = {**config.facts(), "num_steps": data.num_steps}
    state = _start(network)
    if found := newest_checkpoint(checkpoints, facts, warn=warn):
        state.restore(found)
    workers.check_same(state.num_done, "the newest checkpoint's step")

    with CheckpointWriter(checkpoints, facts, minutes=config.checkpoint_minutes) as writer:

        def save_where_due() -> None:
            if workers.rank == 0 and writer.is_due():
                writer.write(state.checkpoint())

        log = _take_steps(network, state, data, report=report, save_where_due=save_where_due)
    state.use_best()
    merge_adapters(encoder.backbone)
    widen_vocabulary(encoder.backbone, used_ids, full_weight)
    network.end_training()
    return log


def _take_steps(
    network: Network,
    state: TrainingState,
    data: TrainingData,
    *,
    report: Callable[[Report], None],
    save_where_due: Callable[[], None],
) -> list[LogRow]:
    """Take the plan's steps from where the state is, until the plan or the patience ends."""
    config = network.config
    steps = iter(data.steps)
    done = zip(range(state.num_done), steps, strict=False)  # by the run that the checkpoint is of
    log = [_log_row(step, number, state, data, config) for number, step in done]
    for step, batch, chunks in made_ahead(_composed(steps, network, data), threaded=network.device.type != "cpu"):
        if _patience_has_ended(state, config):
            break
        take_step(network, state, step, batch, chunks[network.workers.rank], num_steps=data.num_steps)
        _validate_where_due(network, state, data)
        log.append(_log_row(step, state.num_done - 1, state, data, config))
        report(_report(log[-1], state.num_done, batch, chunks, network))
        save_where_due()
    if len(log) != data.num_steps and not _patience_has_ended(state, config):
        raise ValueError(f"train: expected {data.num_steps} steps in the plan, got {len(log)}. Count them again.")
    return log


def _composed(
    steps: Iterable[PlanStep], network: Network, data: TrainingData
) -> Iterator[tuple[PlanStep, Batch, list[Chunks]]]:
    """Look up each step's texts, and cut them into every process's chunks: what needs no weights."""
    for step in steps:
        batch = compose_batch(step, data.queries, data.documents, data.teacher)
        yield step, batch, network.chunks(batch.lengths)


def _check(encoder: Encoder, data: TrainingData, recipe: Recipe) -> None:
    """Make sure that all is there that the recipe needs."""
    if data.num_steps < 1:
        raise ValueError("train: expected a batch plan with steps, got none. See hard_negatives for the reasons.")
    check_objective(recipe, embedding_size=encoder.hidden_size, has_teacher=data.teacher is not None)
    if recipe.validation_steps and data.validation is None:
        raise ValueError(
            f"train: expected validation queries for validation_steps {recipe.validation_steps}, got none. "
            "Set train.validation_steps to 0, or hold out queries at ingest."
        )


def _set_up(encoder: Encoder, used_ids: set[int], config: TrainConfig, workers: Workers) -> Network:
    """Narrow the vocabulary, add adapters where they are wanted, and switch to training."""
    new_id_V = narrow_vocabulary(encoder.backbone, used_ids).numpy()
    if config.lora_rank:
        add_adapters(encoder.backbone, rank=config.lora_rank, seed=config.seed)
    network = Network(encoder, config, new_id_V, workers)
    network.begin_training()
    return network


def _start(network: Network) -> TrainingState:
    return TrainingState(
        network.encoder,
        temperature=network.config.temperature,
        learn_temperature=network.config.temperature_learning_rate is not None,
        weight_decay=network.config.weight_decay,
        max_gradient_norm=network.config.max_gradient_norm,
        loss_scale=LossScale.for_type(network.dtype),
        workers=network.workers,
    )


def _validate_where_due(network: Network, state: TrainingState, data: TrainingData) -> None:
    """Validate every so many steps, and after the last one."""
    every = network.config.validation_steps
    if data.validation is None or not every or (state.num_done % every and state.num_done != data.num_steps):
        return

    def embed(table: TokenTable, keys: Sequence[Key]) -> Tensor:
        return network.embed_all([table[key] for key in keys])

    state.add_validation(network.workers.agree(pool_ndcg(embed, data.validation)))


def _patience_has_ended(state: TrainingState, recipe: Recipe) -> bool:
    return recipe.patience is not None and state.validations_since_best() >= recipe.patience


def _log_row(step: PlanStep, number: int, state: TrainingState, data: TrainingData, recipe: Recipe) -> LogRow:
    return LogRow(
        step=step.step,
        epoch=step.epoch,
        loss=state.losses[number],
        learning_rate=recipe.learning_rate_at(number, data.num_steps),
        gradient_norm=state.gradient_norms[number],
        language=step.language,
        temperature=state.temperatures[number],
        validation_ndcg=state.validations.get(number + 1),
    )


def _report(row: LogRow, num_done: int, batch: Batch, chunks: list[Chunks], network: Network) -> Report:
    return Report(
        num_done=num_done,
        row=row,
        num_queries=batch.num_queries,
        num_tokens=sum(batch.lengths),
        num_slots=sum(sum(share.sizes) for share in chunks),
        peak_bytes=network.peak_bytes(),
    )
