"""One training step: a batch through the network, its loss, its gradients, and what to do where that fails."""

import math

import torch

from tasks.models.memory import ran_out_of_memory
from tasks.train.batch import Batch, Chunks
from tasks.train.gradient_cache import backpropagate
from tasks.train.network import Network
from tasks.train.objective import batch_loss
from tasks.train.plan import PlanStep
from tasks.train.state import TrainingState


def take_step(
    network: Network, state: TrainingState, step: PlanStep, batch: Batch, chunks: Chunks, *, num_steps: int
) -> None:
    """Take one optimizer step, and log it in the state.

    Args:
        network: computes the embeddings.
        state: its weights are changed.
        step: names the step in errors.
        batch: the step's texts.
        chunks: this process's share of them.
        num_steps: of the whole training, for the learning rate.

    Raises:
        RuntimeError: the loss or a gradient is not finite (but for an overflow that a lower loss scale may cure), or
            memory does not suffice.
    """
    where, config = f"train: epoch {step.epoch} step {step.step}", network.config
    mean_weight = batch.weight_B.mean().item() if config.weighting == "query" else 1.0
    try:
        batch = batch.on(network.device)
        loss = backpropagate(
            lambda texts: network.embed([batch.token_ids[text] for text in texts]),
            chunks,
            lambda text_UD: batch_loss(text_UD, batch, config, temperature=state.temperature),
            num_texts=len(batch.token_ids),
            graph_tokens=network.graph_tokens,
            scale=state.loss_scale.value,
            size=network.encoder.hidden_size,
            device=network.device,
            workers=network.workers,
        )
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        raise RuntimeError(
            f"{where}: expected chunks of up to {max(chunks.sizes, default=0)} tokens to fit into memory, "
            f"got '{error}'. {_remedy(network)}"
        ) from error
    norm = state.take_step(
        network.workers.agree(loss),
        learning_rate=config.learning_rate_at(state.num_done, num_steps),
        temperature_rate=config.temperature_rate_at(state.num_done, num_steps),
        mean_weight=mean_weight,
    )
    _check_finite(loss, norm, state, step, where, is_scaled=network.dtype == torch.float16)


def _remedy(network: Network) -> str:
    """Name the setting that helps most and has not been used yet."""
    if network.config.gradient_cache != "on":
        return "Set train.gradient_cache to on: the same result, in the memory of one chunk."
    if not network.config.gradient_checkpointing:
        return "Lower train.chunk_tokens, or set train.gradient_checkpointing."
    return "Lower train.chunk_tokens, plan_batches.batch_size or text.max_document_tokens."


def _check_finite(
    loss: float, norm: float, state: TrainingState, step: PlanStep, where: str, *, is_scaled: bool
) -> None:
    is_finite = math.isfinite(norm)
    if is_scaled and math.isfinite(loss) and (is_finite or state.loss_scale.can_fall):
        state.loss_scale.update(overflowed=not is_finite)
        return
    if not (math.isfinite(loss) and is_finite):
        ids = ", ".join(sample.query_id for sample in step.samples)
        raise RuntimeError(
            f"{where}: expected a finite loss and gradient, got loss {loss} and gradient norm {norm} for the queries "
            f"{ids}. Lower train.learning_rate, raise train.temperature, or look at these queries' texts."
        )
