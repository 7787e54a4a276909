"""Settings of the training."""

from typing import Literal

from pydantic import Field

from tasks.engine.step import Settings


class TrainConfig(Settings):
    """How the encoder is trained on a batch plan. The number of epochs and the batch size are the plan's."""

    learning_rate: float = Field(2e-5, gt=0, description="Peak learning rate. The paper: 2e-6 to 3e-6.")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="How the learning rate falls after the warm-up."
    )
    weight_decay: float = Field(0.01, ge=0, description="AdamW's; embeddings, biases and LayerNorm have none.")
    temperature: float = Field(0.02, gt=0, description="Divides the cosines in the loss.")
    temperature_learning_rate: float | None = Field(
        None, gt=0, description="Peak rate at which the temperature's logarithm is learned, 1e-3 say; none: it stays."
    )
    weighting: Literal["query", "negative", "none"] = Field(
        "query", description="What a sample's weight scales: its loss, its documents as negatives, or nothing."
    )
    max_gradient_norm: float | None = Field(
        1.0, gt=0, description="Longer gradients are shortened to this; none: left as they are."
    )
    matryoshka_dimensions: tuple[int, ...] = Field(
        (), description="The loss is the mean over embeddings cut to these sizes, and whole; good when cut later."
    )
    distillation_weight: float = Field(
        0.0, ge=0, description="Weight of the distance to the cross-encoder's stored scores beside the loss; 0: none."
    )
    distillation_temperature: float = Field(1.0, gt=0, description="Divides the cross-encoder's scores.")
    lora_rank: int = Field(0, ge=0, description="Train low-rank adapters of this rank alone; 0: the whole network.")
    lora_alpha: float = Field(16.0, gt=0, description="The adapters count alpha / rank times.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: bf16 autocast on CUDA, fp32 on a CPU. Weights are fp32 always."
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Of all dropout layers.")
    gradient_checkpointing: bool = Field(
        False, description="Compute activations twice instead of storing them: slower, less memory."
    )
    chunk_tokens: int | None = Field(
        None,
        ge=1,
        description="Tokens that go through the network at once, padding included; none: 1024 on a CPU, 16384 on CUDA.",
    )
    packing: bool = Field(
        False, description="No padding: texts in one row. For BERT and RoBERTa kinds, without dropout; made for GPUs."
    )
    validation_steps: int = Field(
        0, ge=0, description="Steps between validations; the best one's weights are kept. 0: none, the last weights."
    )
    patience: int | None = Field(
        None, ge=1, description="Stop after so many validations without a new best; none: all of the plan."
    )
    seed: int = Field(0, ge=0, description="Of the dropout and of the adapters' start.")
    gradient_cache: Literal["auto", "on", "off"] = Field(
        "auto",
        exclude=True,
        description="on: embed twice, in the memory of one chunk; off: once; auto: twice beyond a bound. Same result.",
    )
    result: str | None = Field(
        None,
        exclude=True,
        description="Folder with the result of this training, done on another machine; see `polyloom pack`.",
    )
    num_processes: int = Field(
        1,
        ge=1,
        exclude=True,
        description="Processes that train together, one per GPU. As with the device, the last bits may differ.",
    )
    checkpoint_steps: int = Field(
        200,
        ge=1,
        exclude=True,
        description="Steps between checkpoints. Does not change the result; not in the fingerprint.",
    )
