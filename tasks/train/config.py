"""Settings of the training, declared once, for the configuration and for the process that trains.

Plain dataclasses, because a bare GPU box has no pydantic. Where there is one, it takes bounds and descriptions from the
fields' metadata as if they were its own; `exclude` keeps a setting out of the fingerprint.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

GradientCache = Literal["auto", "on", "off"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Weighting = Literal["query", "negative", "none"]

_T = TypeVar("_T")


def _setting(default: _T, description: str, **rules: Any) -> _T:
    """Declare a field; the rules are pydantic's (`gt`, `ge`, `lt`, `exclude`)."""
    return field(default=default, metadata={"description": description, **rules})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides the result of a training besides its start, its plan and its texts."""

    learning_rate: float = _setting(2e-5, "Peak learning rate; falls linearly. The paper: 2e-6 to 3e-6.", gt=0)
    warmup_share: float = _setting(0.1, "Share of the steps in which the rate rises.", ge=0, lt=1)
    weight_decay: float = _setting(0.01, "AdamW's, of matrices alone; 0: Adam.", ge=0)
    max_gradient_norm: float | None = _setting(
        1.0, "Longer gradients are shortened to it, times the step's mean weight; none: they stay.", gt=0
    )
    temperature: float = _setting(0.02, "Divides the cosines in the loss.", gt=0)
    temperature_learning_rate: float | None = _setting(
        None, "Peak rate at which the temperature's logarithm is learned, 1e-3 say; none: it stays.", gt=0
    )
    weighting: Weighting = _setting(
        "query", "What a sample's weight scales: its loss, its documents as negatives, or nothing."
    )
    matryoshka_dimensions: tuple[int, ...] = _setting(
        (), "The loss is the mean over embeddings cut to these sizes, and whole; good when cut later."
    )
    distillation_weight: float = _setting(
        0.0, "Weight of the distance to the judge's stored scores beside the loss; 0: none.", ge=0
    )
    lora_rank: int = _setting(0, "Train low-rank adapters of this rank alone; 0: the whole network.", ge=0)
    precision: Precision = _setting(
        "auto", "Of the network's products. auto: bf16 on CUDA, fp32 on a CPU. Weights and loss are fp32 always."
    )
    gradient_checkpointing: bool = _setting(
        False, "Compute activations twice instead of storing them: slower, less memory."
    )
    chunk_tokens: int | None = _setting(
        None,
        "Tokens that go through the network at once, padding included; none: 1024 on a CPU, 16384 on CUDA.",
        ge=1,
    )
    validation_steps: int = _setting(
        0, "Steps between validations; the best one's weights are kept. 0: none, the last weights.", ge=0
    )
    patience: int | None = _setting(
        None, "Stop after so many validations without a new best; none: all of the plan.", ge=1
    )
    seed: int = _setting(0, "Of the adapters' start, the only thing that is drawn.", ge=0)

    def __post_init__(self) -> None:
        """See that embeddings can be cut to the sizes.

        Raises:
            ValueError: one is below 1.
        """
        if any(size < 1 for size in self.matryoshka_dimensions):
            raise ValueError(
                f"train.matryoshka_dimensions: expected sizes of 1 or more, got {list(self.matryoshka_dimensions)}. "
                "Name sizes below the encoder's own, such as 64 and 128."
            )

    def facts(self) -> dict[str, Any]:
        """Return what decides the result, as plain values: names a training, and is written into its checkpoints."""
        return {one.name: getattr(self, one.name) for one in fields(Recipe)}

    def learning_rate_at(self, step: int, num_steps: int) -> float:
        """Rise linearly to the peak over the warm-up, then fall linearly towards 0.

        A function of the step alone, so that a resumed run needs no state for it.

        Args:
            step: which step, from 0.
            num_steps: steps of the whole training.

        Returns:
            The learning rate, above 0; the step after the last would have 0.

        Raises:
            ValueError: the step is not one of the training.
        """
        if not 0 <= step < num_steps:
            raise ValueError(f"train: expected a step in 0..{num_steps - 1}, got {step}. Count the plan's steps again.")
        warmup = round(self.warmup_share * num_steps)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * (1 - (step - warmup) / (num_steps - warmup))

    def temperature_rate_at(self, step: int, num_steps: int) -> float:
        """Return the learning rate of the temperature's logarithm: it rises and falls as the network's."""
        return self.learning_rate_at(step, num_steps) / self.learning_rate * (self.temperature_learning_rate or 0.0)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Recipe):
    """How the encoder is trained on a batch plan. The number of epochs and the batch size are the plan's."""

    gradient_cache: GradientCache = _setting(
        "auto",
        "on: embed twice, in the memory of one chunk; off: once; auto: twice beyond a bound. Same result.",
        exclude=True,
    )
    num_processes: int = _setting(
        1,
        "Processes that train together, one per GPU. As with the device, the last bits may differ.",
        ge=1,
        exclude=True,
    )
    checkpoint_minutes: float = _setting(
        2.0, "Minutes between checkpoints, 0: one after each step. Does not change the result.", ge=0, exclude=True
    )
    result: str | None = _setting(
        None, "Folder with the result of this training, done on another machine; see `polyloom pack`.", exclude=True
    )
    tensorboard: str | None = _setting(
        None,
        "Folder for TensorBoard events, a folder in it for each training from now on; needs the extra `tensorboard`.",
        exclude=True,
    )


def write_settings(config: TrainConfig, path: Path) -> None:
    """Write the file that `tasks.train.launch` reads."""
    path.write_text(json.dumps(asdict(config), indent=1) + "\n", encoding="utf-8")


def read_settings(path: Path) -> TrainConfig:
    """Read what `write_settings` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return TrainConfig(**content | {"matryoshka_dimensions": tuple(content["matryoshka_dimensions"])})
