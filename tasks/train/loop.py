"""The training loop: encoder, plan and token ids in; trained encoder and log out.

Needs torch, transformers, safetensors, numpy and pyarrow alone, so that it runs on a bare GPU box.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tasks.models.encoder import Encoder
from tasks.models.vocabulary import narrow_vocabulary, widen_vocabulary
from tasks.train.batch import Batch, compose_batch, embed_texts
from tasks.train.checkpoint import newest_checkpoint, save_checkpoint
from tasks.train.losses import info_nce
from tasks.train.plan import PlanStep
from tasks.train.recipe import Recipe
from tasks.train.schedule import step_seed
from tasks.train.state import TrainingState
from tasks.train.tokens import TokenTable

_CHUNK_TOKENS = {"cpu": 1024, "cuda": 65_536}  # small enough to save padding, large enough to be fast


@dataclass(frozen=True)
class LogRow:
    """What is kept of a step."""

    step: int
    epoch: int
    loss: float
    learning_rate: float
    gradient_norm: float
    language: str


@dataclass(frozen=True)
class Report:
    """What a caller hears after a step: how far it is, the log row, and how much was computed."""

    num_done: int
    row: LogRow
    num_queries: int
    num_tokens: int


def train(
    encoder: Encoder,
    steps: Iterable[PlanStep],
    *,
    num_steps: int,
    queries: TokenTable,
    documents: TokenTable,
    recipe: Recipe,
    checkpoint_folder: Path,
    checkpoint_steps: int,
    report: Callable[[Report], None],
    warn: Callable[[str], None],
) -> list[LogRow]:
    """Train an encoder in place, one optimizer step per plan step.

    Where the folder holds a checkpoint of a killed run with this recipe, training goes on from it; weights and log are
    then bit for bit those of an undisturbed run (on a CPU; a GPU's sums have no fixed order). The caller sees to it
    that a folder belongs to one start, one plan and one set of texts.

    Args:
        encoder: on the device to train on. Only the embedding rows that the texts use are in training: exact, since
            embeddings have no weight decay, with many times less AdamW work.
        steps: the plan, from its beginning.
        num_steps: how many steps that is.
        queries: token ids of the plan's queries.
        documents: token ids of the plan's documents.
        recipe: how a step is taken.
        checkpoint_folder: holds this training's checkpoints.
        checkpoint_steps: steps between two checkpoints.
        report: called after each step that is computed.
        warn: called for each checkpoint that is passed over, with the reason.

    Returns:
        A row per step of the plan, in its order.

    Raises:
        ValueError: the plan has no step, or another number of steps than `num_steps`.
        RuntimeError: a loss or gradient is not finite, or the GPU's memory does not suffice.
    """
    if num_steps < 1:
        raise ValueError("train: expected a batch plan with steps, got none. See hard_negatives for the reasons.")
    used_ids = queries.used_ids() | documents.used_ids() | {encoder.pad_id}
    full_weight = next(encoder.backbone.get_input_embeddings().parameters()).detach().cpu()
    new_id = narrow_vocabulary(encoder.backbone, used_ids).numpy()
    _set_training_mode(encoder, recipe)
    state = TrainingState(encoder, weight_decay=recipe.weight_decay)
    settings = {**asdict(recipe), "num_steps": num_steps}
    if found := newest_checkpoint(checkpoint_folder, settings, warn=warn):
        state.restore(found)
    num_restored, rows = state.num_done, []
    for number, step in enumerate(steps):
        rate = recipe.learning_rate_at(number, num_steps)
        if number < num_restored:
            rows.append(_log_row(state, number, step, rate))
            continue
        batch = compose_batch(step, queries, documents, new_id=new_id, pad_id=encoder.pad_id)
        _take_step(encoder, state, step, batch, recipe, learning_rate=rate)
        rows.append(_log_row(state, number, step, rate))
        report(Report(number + 1, rows[-1], batch.num_queries, batch.num_tokens))
        if state.num_done % checkpoint_steps == 0:
            save_checkpoint(checkpoint_folder, state.checkpoint(), settings)
    if len(rows) != num_steps:
        raise ValueError(f"train: expected {num_steps} steps in the plan, got {len(rows)}. Count them again.")
    widen_vocabulary(encoder.backbone, used_ids, full_weight)
    encoder.eval()
    return rows


def step_loss(encoder: Encoder, batch: Batch, recipe: Recipe) -> Tensor:
    """Compute a batch's loss, ready for `backward`."""
    device = encoder.backbone.device
    dtype = recipe.dtype(device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        text_UD = embed_texts(encoder, batch, chunk_tokens=_CHUNK_TOKENS[device.type])
    return info_nce(
        text_UD[: batch.num_queries],
        text_UD[batch.doc_N.to(device)],
        temperature=recipe.temperature,
        num_docs=batch.num_docs,
        weight_B=batch.weight_B.to(device),
        weighting=recipe.weighting,
        ignore_BN=batch.ignore_BN.to(device),
    )


def _take_step(
    encoder: Encoder, state: TrainingState, step: PlanStep, batch: Batch, recipe: Recipe, *, learning_rate: float
) -> None:
    where = f"train: epoch {step.epoch} step {step.step}"
    device = encoder.backbone.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(step_seed(recipe.seed, state.num_done))  # dropout depends on the step, not on what ran before
        try:
            loss = step_loss(encoder, batch, recipe)
            loss.backward()  # type: ignore[no-untyped-call]  # torch declares no types here
        except torch.OutOfMemoryError as error:
            raise RuntimeError(
                f"{where}: expected {len(batch.token_ids)} texts of together {batch.num_tokens} tokens to fit the "
                f"GPU's memory, got '{error}'. Lower plan_batches.batch_size or train.max_document_tokens, or set "
                "train.gradient_checkpointing."
            ) from error
    value = loss.item()
    norm = state.take_step(value, learning_rate=learning_rate, max_gradient_norm=recipe.max_gradient_norm)
    if not (math.isfinite(value) and math.isfinite(norm)):
        ids = ", ".join(sample.query_id for sample in step.samples)
        raise RuntimeError(
            f"{where}: expected a finite loss and gradient, got loss {value} and gradient norm {norm} for the queries "
            f"{ids}. Lower train.learning_rate, raise train.temperature, or look at these queries' texts."
        )


def _log_row(state: TrainingState, number: int, step: PlanStep, learning_rate: float) -> LogRow:
    return LogRow(
        step=step.step,
        epoch=step.epoch,
        loss=state.losses[number],
        learning_rate=learning_rate,
        gradient_norm=state.gradient_norms[number],
        language=step.language,
    )


def _set_training_mode(encoder: Encoder, recipe: Recipe) -> None:
    encoder.train()
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = recipe.dropout
        if isinstance(getattr(module, "attention_dropout", None), float):  # some backbones keep it as a number
            setattr(module, "attention_dropout", recipe.dropout)  # noqa: B010 - nn.Module's types know no floats
    if recipe.gradient_checkpointing:
        encoder.backbone.activation_checkpointing_enable()
