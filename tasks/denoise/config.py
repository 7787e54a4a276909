"""Settings of denoising: which candidates are safe to call negative, and by whose judgement."""

from typing import Literal

from pydantic import Field, model_validator

from tasks.engine.step import Settings
from tasks.models.chat.config import ChatConfig
from tasks.models.layout import Dtype

Strategy = Literal["naive", "shifted", "threshold", "margin", "percent", "grade"]
READ_BY_STRATEGY: dict[Strategy, tuple[str, ...]] = {
    "naive": (),
    "shifted": ("shift",),
    "threshold": ("score", "max_score"),
    "margin": ("score", "margin"),
    "percent": ("score", "percent"),
    "grade": ("max_grade_kept", "max_probability"),
}
"""The settings that a strategy reads, beside those that all read."""

Score = Literal["probability", "raw", "fused"]
Judge = Literal["fitted", "cross_encoder", "llm", "cascade"]
Vote = Literal["majority", "highest"]


class SelectConfig(Settings):
    """What makes a candidate unsafe. Only the ledger depends on it: no model runs for a change."""

    strategy: Strategy = Field(
        default="grade", description="How unsafe candidates are found; see tasks/denoise/select.py."
    )
    score: Score = Field(default="probability", description="The score of a strategy that compares one.")
    max_grade_kept: int = Field(
        default=0, ge=0, le=2, description="grade: higher grades are dropped. The paper: 0, or 1."
    )
    max_probability: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="grade: more probably relevant ones are dropped, whatever their grade. Empty: the grade decides.",
    )
    shift: int = Field(default=10, ge=0, description="shifted: the first ranks, which are dropped.")
    max_score: float = Field(default=0.6, description="threshold: higher scores are dropped.")
    margin: float = Field(default=0.15, ge=0, description="margin: how far below the best positive's score is safe.")
    percent: float = Field(
        default=90.0, ge=0, le=100, description="percent: how much of the best positive's score is safe."
    )
    num_negatives: int = Field(default=30, ge=1, description="Negatives kept per query, at most.")
    relabel: bool = Field(
        default=False,
        description="Unjudged candidates of grade 2 become positives to train on; never used to measure or calibrate.",
    )


class AskedLlm(ChatConfig):
    """The LLM as its step takes it: `chat_identity`, not the name of a folder, is in the fingerprint."""

    model: str = Field(default="", exclude=True)


class LlmConfig(Settings):
    """The LLM judge: accuracy and completeness, several samples, a vote."""

    chat: ChatConfig = ChatConfig()
    num_samples: int = Field(default=3, ge=1, description="Replies per pair, which vote. More ask only for the new.")
    max_document_characters: int = Field(
        default=2000, ge=1, description="Documents and references are cut to this many characters."
    )
    vote: Vote = Field(
        default="majority",
        description="majority: the grade most samples give, a tie to the higher; highest: the highest that any gives.",
    )

    @model_validator(mode="after")
    def _check_samples(self) -> "LlmConfig":
        if self.num_samples > 1 and self.chat.temperature == 0:
            raise ValueError(
                f"expected num_samples of 1 at temperature 0, got {self.num_samples}: all would be the same. "
                "Raise the temperature, or take one sample."
            )
        return self

    @property
    def asked(self) -> AskedLlm:
        """The LLM, as its step takes it."""
        return AskedLlm(**{name: getattr(self.chat, name) for name in AskedLlm.model_fields})


class CrossEncoderConfig(Settings):
    """A ready cross-encoder, as its step takes it."""

    model: str = Field(exclude=True)  # the digest of its bytes is in the fingerprint
    dtype: Dtype = "float32"


class DenoiseConfig(SelectConfig):
    """Which candidates are safe to call negative."""

    judge: Judge = Field(
        default="fitted",
        description="fitted: small weights, learnt from the train judgements; cross_encoder: a ready one; llm: an LLM "
        "marks every pair; cascade: the LLM marks what the first judge (cross_encoder where one is named, else fitted) "
        "leaves in the band.",
    )
    cross_encoder: str | None = Field(
        default=None,
        description="cross_encoder, cascade: a folder or hub id of a cross-encoder, with an optional @revision.",
        exclude=True,  # the digest of its bytes is in the fingerprint instead
    )
    cross_encoder_dtype: Dtype = Field(
        default="float32",
        description="In which it scores; half of it halves its memory and, on a GPU, much of the time.",
        exclude=True,  # reaches what scores, which alone it concerns, as an argument of its own
    )
    band: tuple[float, float] = Field(
        default=(0.05, 0.6),
        description="cascade: the first judge's probabilities that are uncertain, both ends included.",
    )
    llm: LlmConfig = LlmConfig()
    presumed_ranks: tuple[int, int] = Field(
        default=(10, 40),
        description="First and last fused rank of the unjudged candidates that are presumed negatives: to fit a judge, "
        "and to calibrate one where people judged too few. Above the first, many are relevant.",
    )
    prior: float = Field(
        default=0.2, gt=0, lt=1, description="Share of candidates that are presumed relevant; the paper drops 19.5 %."
    )
    grade_cuts: tuple[float, float] = Field(
        default=(0.2, 0.6), description="Probabilities from which a candidate is partly (1) and highly (2) relevant."
    )

    @model_validator(mode="after")
    def _check_judge(self) -> "DenoiseConfig":
        if self.judge in ("llm", "cascade") and not self.llm.chat.model:
            raise ValueError(f"expected llm.chat.model for judge {self.judge}, got none. Name the LLM.")
        if self.judge == "cross_encoder" and not self.cross_encoder:
            raise ValueError("expected cross_encoder for judge cross_encoder, got none. Name a folder or a hub id.")
        if self.cross_encoder and self.judge not in ("cross_encoder", "cascade"):
            raise ValueError(
                f"expected judge cross_encoder or cascade beside cross_encoder, got {self.judge}. Set judge, or leave "
                "cross_encoder empty."
            )
        return self

    @model_validator(mode="after")
    def _check_ranges(self) -> "DenoiseConfig":
        for name in ("band", "grade_cuts"):
            low, high = getattr(self, name)
            if not 0 <= low <= high <= 1:
                raise ValueError(
                    f"expected {name} of two probabilities, the lower first, got {low}, {high}. Correct it."
                )
        first, last = self.presumed_ranks
        if not 1 <= first <= last:
            raise ValueError(f"expected presumed_ranks from 1, the lower first, got {first}, {last}. Correct it.")
        return self

    @property
    def select(self) -> SelectConfig:
        """The settings of the ledger alone."""
        return SelectConfig(**{name: getattr(self, name) for name in SelectConfig.model_fields})
