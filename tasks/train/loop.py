"""The training loop: encoder, plan and token ids in; trained encoder and log out.

Needs torch, transformers, safetensors, numpy and pyarrow alone, so that it runs on a bare GPU box.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from tasks.models.encoder import Encoder
from tasks.models.word_embeddings import narrow_vocabulary, widen_vocabulary
from tasks.train.batch import compose_batch
from tasks.train.checkpoint import newest_checkpoint, save_checkpoint
from tasks.train.lora import add_adapters, merge_adapters
from tasks.train.objective import check_objective
from tasks.train.plan import Key, PlanStep
from tasks.train.precision import LossScale
from tasks.train.recipe import Recipe
from tasks.train.state import TrainingState
from tasks.train.step import GradientCache, Network, set_inference_mode, set_training_mode, take_step
from tasks.train.teacher import TeacherScores
from tasks.train.tokens import TokenTable
from tasks.train.validation import ValidationPool, pool_ndcg
from tasks.train.workers import ALONE, Workers


@dataclass(frozen=True)
class LogRow:
    """What is kept of a step."""

    step: int
    epoch: int
    loss: float
    learning_rate: float
    gradient_norm: float
    """Before it was shortened; infinite where float16 overflowed and the step was left out."""
    language: str
    temperature: float | None = None
    validation_ndcg: float | None = None
    """Pool nDCG@10 after the step; see `pool_ndcg`."""


@dataclass(frozen=True)
class Report:
    """What a caller hears after a step: how far it is, the log row, and how much was computed."""

    num_done: int
    row: LogRow
    num_queries: int
    num_tokens: int
    """Tokens of the step's texts, each text once."""
    num_slots: int = 0
    """The same with padding: what went through the network, not counting a second time for the gradient cache."""


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
    gradient_cache: GradientCache = "auto",
    workers: Workers = ALONE,
    validation: ValidationPool | None = None,
    teacher: TeacherScores | None = None,
) -> list[LogRow]:
    """Train an encoder in place, one optimizer step per plan step.

    Where the folder holds a checkpoint of a killed run with this recipe, training goes on from it; weights and log are
    then bit for bit those of an undisturbed run (on a CPU; a GPU's sums have no fixed order). The caller sees to it
    that a folder belongs to one start, one plan and one set of texts.

    Args:
        encoder: on the device to train on. Only the embedding rows that the texts use are in training: exact, since
            embeddings have no weight decay, with many times less AdamW work.
        steps: the plan, from its beginning; the same for all processes.
        num_steps: how many steps that is.
        queries: token ids of the plan's queries.
        documents: token ids of the plan's documents.
        recipe: how a step is taken.
        checkpoint_folder: holds this training's checkpoints; all processes read it, the first one writes.
        checkpoint_steps: steps between two checkpoints.
        report: called after each step that is computed.
        warn: called for each checkpoint that is passed over, with the reason.
        gradient_cache: `on` keeps no chunk's graph and computes all twice, `off` keeps all; `auto` keeps what fits a
            bound. The result is the same.
        workers: the processes that train together, each with its own encoder of the same weights. All get the result.
        validation: held-out queries; needed where the recipe validates.
        teacher: stored scores; needed where the recipe distils.

    Returns:
        A row per step of the plan, in its order; fewer where the recipe's patience ended the training.

    Raises:
        ValueError: the plan has no step, or another number of steps than `num_steps`; the recipe needs what is not
            there.
        RuntimeError: a loss or gradient is not finite, or the GPU's memory does not suffice.
    """
    if num_steps < 1:
        raise ValueError("train: expected a batch plan with steps, got none. See hard_negatives for the reasons.")
    check_objective(recipe, embedding_size=encoder.hidden_size, has_teacher=teacher is not None)
    pool = _pool(recipe, validation)
    tables = [queries, documents, *((pool.queries, pool.documents) if pool else ())]
    used_ids = {encoder.pad_id}.union(*(table.used_ids() for table in tables))
    full_weight = next(encoder.backbone.get_input_embeddings().parameters()).detach().cpu()
    new_id = narrow_vocabulary(encoder.backbone, used_ids).numpy()
    if recipe.lora_rank:
        add_adapters(encoder.backbone, rank=recipe.lora_rank, alpha=recipe.lora_alpha, seed=recipe.seed)
    set_training_mode(encoder, recipe)
    network = Network(encoder, recipe, int(new_id[encoder.pad_id]), gradient_cache, workers)
    state = _start(encoder, recipe, workers)
    settings = {**asdict(recipe), "num_steps": num_steps}
    if found := newest_checkpoint(checkpoint_folder, settings, warn=warn):
        state.restore(found)
    workers.check_same(state.num_done, "the newest checkpoint's step")
    num_restored, rows = state.num_done, []

    def embed(table: TokenTable, keys: Sequence[Key]) -> Tensor:
        return network.embed_all([new_id[table[key]] for key in keys])

    for number, step in enumerate(_until_patience_ends(steps, state, recipe)):
        if number < num_restored:
            rows.append(_log_row(state, number, step, recipe, num_steps))
            continue
        batch = compose_batch(step, queries, documents, new_id=new_id, teacher=teacher)
        chunks = network.chunks(batch.lengths)
        take_step(network, state, step, batch, chunks[workers.rank], num_steps=num_steps)
        if pool and (state.num_done % recipe.validation_steps == 0 or state.num_done == num_steps):
            state.add_validation(workers.agree(pool_ndcg(embed, pool)))
        rows.append(_log_row(state, number, step, recipe, num_steps))
        num_slots = sum(sum(share.sizes) for share in chunks)
        report(Report(number + 1, rows[-1], batch.num_queries, sum(batch.lengths), num_slots))
        if state.num_done % checkpoint_steps == 0 and workers.rank == 0:
            save_checkpoint(checkpoint_folder, state.checkpoint(), settings)
    if len(rows) != num_steps and not _patience_has_ended(state, recipe):
        raise ValueError(f"train: expected {num_steps} steps in the plan, got {len(rows)}. Count them again.")
    state.use_best()
    merge_adapters(encoder.backbone)
    widen_vocabulary(encoder.backbone, used_ids, full_weight)
    set_inference_mode(encoder, recipe)
    return rows


def _pool(recipe: Recipe, validation: ValidationPool | None) -> ValidationPool | None:
    if not recipe.validation_steps:
        return None
    if validation is None:
        raise ValueError(
            f"train: expected validation queries for validation_steps {recipe.validation_steps}, got none. "
            "Set train.validation_steps to 0, or hold out queries at ingest."
        )
    return validation


def _start(encoder: Encoder, recipe: Recipe, workers: Workers) -> TrainingState:
    return TrainingState(
        encoder,
        weight_decay=recipe.weight_decay,
        temperature=recipe.temperature,
        learn_temperature=recipe.temperature_learning_rate is not None,
        loss_scale=LossScale.for_type(recipe.dtype(encoder.backbone.device)),
        workers=workers,
    )


def _until_patience_ends(steps: Iterable[PlanStep], state: TrainingState, recipe: Recipe) -> Iterator[PlanStep]:
    """Yield steps; after those that a checkpoint held, each only if the validations so far let training go on."""
    for number, step in enumerate(steps):
        if number >= state.num_done and _patience_has_ended(state, recipe):
            return
        yield step


def _patience_has_ended(state: TrainingState, recipe: Recipe) -> bool:
    return recipe.patience is not None and state.validations_since_best() >= recipe.patience


def _log_row(state: TrainingState, number: int, step: PlanStep, recipe: Recipe, num_steps: int) -> LogRow:
    return LogRow(
        step=step.step,
        epoch=step.epoch,
        loss=state.losses[number],
        learning_rate=recipe.learning_rate_at(number, num_steps),
        gradient_norm=state.gradient_norms[number],
        language=step.language,
        temperature=state.temperatures[number],
        validation_ndcg=state.validations.get(number + 1),
    )
