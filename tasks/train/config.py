"""Settings of the training."""

from typing import Literal

from pydantic import Field

from tasks.stage import Settings


class TrainConfig(Settings):
    """How the encoder is trained on a batch plan. The number of epochs and the batch size are the plan's."""

    learning_rate: float = Field(2e-5, gt=0, description="Peak learning rate. The paper: 2e-6 to 3e-6.")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="How the learning rate falls after the warm-up."
    )
    weight_decay: float = Field(0.01, ge=0, description="AdamW's; embeddings, biases and LayerNorm have none.")
    temperature: float = Field(0.02, gt=0, description="Divides the cosines in the loss.")
    weighting: Literal["query", "negative", "none"] = Field(
        "query", description="What a sample's weight scales: its loss, its documents as negatives, or nothing."
    )
    max_gradient_norm: float | None = Field(
        1.0, gt=0, description="Longer gradients are shortened to this; none: left as they are."
    )
    max_query_tokens: int = Field(64, ge=4, description="Queries are cut to this many tokens.")
    max_document_tokens: int = Field(256, ge=4, description="Documents are cut to this many tokens.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 autocast on CUDA, fp32 on a CPU. Weights are fp32 always."
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Of all dropout layers.")
    gradient_checkpointing: bool = Field(
        False, description="Compute activations twice instead of storing them: slower, less memory."
    )
    seed: int = Field(0, ge=0, description="Of the dropout.")
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
