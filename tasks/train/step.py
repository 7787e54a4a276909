"""One training step: a batch through the network, its loss, its gradients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tasks.models.encoder import Encoder
from tasks.train.batch import Batch, Ids, embed_chunk
from tasks.train.chunks import Chunks, compose_chunks
from tasks.train.gradient_cache import backpropagate
from tasks.train.memory import ran_out
from tasks.train.objective import batch_loss
from tasks.train.packed import embed_packed, pack_chunks, use_packed_attention, use_padded_attention
from tasks.train.plan import PlanStep
from tasks.train.recipe import Recipe
from tasks.train.schedule import step_seed
from tasks.train.state import TrainingState
from tasks.train.workers import Workers

GradientCache = Literal["auto", "on", "off"]

_CHUNK_TOKENS = {"cpu": 1024, "cuda": 16_384}  # small enough to stay in cache or memory, large enough to be fast
_OVERHEAD_TOKENS = {"cpu": 32, "cuda": 1024}  # what the calls of one more chunk cost
_GRAPH_TOKENS = {"cpu": 16_384, "cuda": 32_768}  # graphs kept by `auto`: some 10 GB for a base-sized network


@dataclass(frozen=True)
class Network:
    """The encoder in training and how texts go through it."""

    encoder: Encoder
    recipe: Recipe
    pad_id: int
    """The padding's id in the narrowed vocabulary."""
    gradient_cache: GradientCache
    workers: Workers

    @property
    def device(self) -> torch.device:
        """Where the encoder is."""
        return self.encoder.backbone.device

    @property
    def graph_tokens(self) -> float:
        """Tokens whose graphs are kept; the others go through the network twice."""
        return {"on": 0.0, "off": math.inf, "auto": float(_GRAPH_TOKENS[self.device.type])}[self.gradient_cache]

    def chunks(self, lengths: Sequence[int]) -> list[Chunks]:
        """Return each process's chunks of a list of texts."""
        chunk_tokens = self.recipe.chunk_tokens or _CHUNK_TOKENS[self.device.type]
        if self.recipe.packing:
            return [pack_chunks(lengths, texts, chunk_tokens=chunk_tokens) for texts in self.workers.share(lengths)]
        overhead_tokens = _OVERHEAD_TOKENS[self.device.type]
        return [
            compose_chunks(lengths, texts, chunk_tokens=chunk_tokens, overhead_tokens=overhead_tokens)
            for texts in self.workers.share(lengths)
        ]

    def embed(self, token_ids: Sequence[Ids]) -> Tensor:
        """Return the embeddings of a chunk, [C, D]."""
        dtype = self.recipe.dtype(self.device)
        if self.recipe.packing:
            return embed_packed(self.encoder, token_ids, dtype=dtype)
        return embed_chunk(self.encoder, token_ids, pad_id=self.pad_id, dtype=dtype)

    def embed_all(self, token_ids: Sequence[Ids]) -> Tensor:
        """Return the embeddings of any number of texts, [U, D], without gradients or dropout, with all processes."""
        self.encoder.eval()
        chunks = self.chunks([len(ids) for ids in token_ids])[self.workers.rank].texts
        with torch.no_grad():
            parts = [self.embed([token_ids[text] for text in chunk]) for chunk in chunks]
        self.encoder.train()
        own_SD = torch.cat([torch.zeros(0, self.encoder.hidden_size, device=self.device), *parts])
        return self.workers.gather(own_SD, [text for chunk in chunks for text in chunk], num_texts=len(token_ids))


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
    where, recipe, device = f"train: epoch {step.epoch} step {step.step}", network.recipe, network.device
    seed = step_seed(recipe.seed, state.num_done, rank=network.workers.rank)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)  # dropout depends on the step, not on what ran before
        try:
            loss = backpropagate(
                lambda texts: network.embed([batch.token_ids[text] for text in texts]),
                chunks.texts,
                lambda text_UD: batch_loss(text_UD, batch, recipe, temperature=state.temperature),
                num_texts=len(batch.token_ids),
                chunk_sizes=chunks.sizes,
                graph_tokens=network.graph_tokens,
                scale=state.loss_scale.value,
                size=network.encoder.hidden_size,
                device=device,
                workers=network.workers,
            )
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            raise RuntimeError(
                f"{where}: expected chunks of up to {max(chunks.sizes, default=0)} tokens to fit into memory, "
                f"got '{error}'. {_remedy(network)}"
            ) from error
    norm = state.take_step(
        network.workers.agree(loss),
        learning_rate=recipe.learning_rate_at(state.num_done, num_steps),
        max_gradient_norm=recipe.max_gradient_norm,
        temperature_rate=recipe.temperature_rate_at(state.num_done, num_steps),
    )
    _check_finite(loss, norm, state, step, where, is_scaled=recipe.dtype(device) == torch.float16)


def set_training_mode(encoder: Encoder, recipe: Recipe) -> None:
    """Switch on what training needs: dropout as the recipe has it, gradient checkpointing, packed attention.

    Raises:
        ValueError: packing does not go with the network or with dropout.
    """
    encoder.train()
    if recipe.packing:
        if recipe.dropout:
            raise ValueError(f"train: expected dropout 0 with packing, got {recipe.dropout}. Set train.dropout to 0.")
        use_packed_attention(encoder.backbone)
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = recipe.dropout
        if isinstance(getattr(module, "attention_dropout", None), float):  # some backbones keep it as a number
            setattr(module, "attention_dropout", recipe.dropout)  # noqa: B010 - nn.Module's types know no floats
    if recipe.gradient_checkpointing:
        encoder.backbone.activation_checkpointing_enable()


def set_inference_mode(encoder: Encoder, recipe: Recipe) -> None:
    """Switch off dropout and what else `set_training_mode` has changed for good."""
    encoder.eval()
    if recipe.packing:
        use_padded_attention(encoder.backbone)
    if recipe.gradient_checkpointing:
        encoder.backbone.activation_checkpointing_disable()  # type: ignore[no-untyped-call]  # transformers gives no types


def _remedy(network: Network) -> str:
    """Name the setting that helps most and has not been used yet."""
    if network.gradient_cache != "on":
        return "Set train.gradient_cache to on: the same result, in the memory of one chunk."
    if not network.recipe.gradient_checkpointing:
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
