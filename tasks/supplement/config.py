"""Settings of the supplement: which queries are written for queries that are short of negatives, and by whom."""

from pydantic import Field, model_validator

from tasks.engine.step import Settings
from tasks.models.chat.config import ChatConfig


class TuneConfig(Settings):
    """Instruction tuning of a local generator with LoRA."""

    instructions: str = Field(
        default="",
        exclude=True,  # a digest of the file is in the fingerprint
        description="A JSONL file, a conversation per line, in any languages. Empty: the generator as it is.",
    )
    learning_rate: float = Field(default=2e-4, gt=0, description="Peak learning rate, decaying to 0.")
    num_epochs: int = Field(default=2, ge=1, description="Passes over the instructions.")


class SupplementConfig(Settings):
    """Fill up queries that have too few hard negatives, by way of queries that an LLM writes."""

    enabled: bool = Field(default=False, description="Off: the ledger stays as denoising made it.")
    chat: ChatConfig = Field(default=ChatConfig(), description="The generator.")
    tune: TuneConfig = TuneConfig()
    max_generated: int = Field(default=3, ge=1, description="Attempts at a new query, per query, at most.")
    negatives_each: int = Field(
        default=10,
        ge=1,
        description="Negatives that one new query is expected to bring: a query short of more gets several.",
    )
    seed: int = Field(default=0, ge=0, description="Of the sampling; every attempt has a seed of its own.")

    @model_validator(mode="after")
    def _check_generator(self) -> "SupplementConfig":
        if self.enabled and not self.chat.model:
            raise ValueError("expected supplement.chat.model to name the generator, got ''. Name a model.")
        if self.tune.instructions and self.chat.client != "local":
            raise ValueError(
                f"expected supplement.chat.client 'local' for the tuning, got '{self.chat.client}'. Tune an endpoint's "
                "model where it is served, and leave supplement.tune.instructions empty."
            )
        return self
