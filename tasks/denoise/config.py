"""Settings of denoising, one class per stage: a setting is in the fingerprint of the stage that reads it only."""

from typing import Literal

from pydantic import Field, model_validator

from tasks.engine.step import Settings
from tasks.models.chat.config import ChatConfig

Strategy = Literal["naive", "shifted", "threshold", "margin", "percent", "grade"]
Score = Literal["probability", "raw", "fused"]
Judge = Literal["cross_encoder", "llm", "cascade"]


class FitConfig(Settings):
    """How the default judge is trained on the train judgements, where no ready cross-encoder is configured."""

    num_folds: int = Field(default=5, ge=2, description="Models; each scores only queries that it was not trained on.")
    strength: float = Field(
        default=0.03,
        gt=0,
        description="Inverse ridge of the features of query and document: more trusts the data more.",
    )
    reference_strength: float = Field(
        default=0.01, gt=0, description="The same of the features that compare with a relevant document."
    )
    relation_ridge: float = Field(
        default=0.001, gt=0, description="Ridge of what is learnt about questions and the sentences that answer them."
    )
    num_steps: int = Field(default=80, ge=1, description="Steps in which it is learnt.")
    tuned_layers: int = Field(
        default=3, ge=0, description="Last layers of the encoder that are fine-tuned for judging. 0: none."
    )
    min_tuned_queries: int = Field(
        default=170, ge=1, description="Train queries of all languages together, below which none is tuned."
    )
    max_tuned_queries: int = Field(
        default=1000, ge=1, description="Queries of all languages together that a fold is tuned on, at most."
    )
    tuned_epochs: int = Field(default=2, ge=1, description="Times that each of these queries is seen.")
    tuned_learning_rate: float = Field(default=2e-4, gt=0, description="The highest learning rate of tuning.")
    tuned_batch_queries: int = Field(default=4, ge=1, description="Queries per step of tuning.")
    max_queries: int = Field(
        default=400,
        ge=1,
        description="Queries per language that are trained on, at most; the others are scored all the same.",
    )
    max_judged_negatives: int = Field(default=4, ge=0, description="Judged non-relevant documents per query, at most.")
    num_presumed: int = Field(
        default=2, ge=0, description="Unjudged candidates per query that are taken for negatives."
    )
    presumed_from_rank: int = Field(default=10, ge=1, description="Their best fused rank: above it, many are relevant.")
    presumed_to_rank: int = Field(default=40, ge=1, description="Their worst fused rank.")
    num_easy: int = Field(default=1, ge=0, description="Positives of other queries per query, as easy negatives.")
    max_query_tokens: int = Field(default=48, ge=4, description="Queries are cut to this many tokens.")
    max_document_tokens: int = Field(default=160, ge=4, description="Documents are cut to this many tokens.")
    seed: int = Field(default=0, ge=0, description="Of folds and sampled negatives.")

    @model_validator(mode="after")
    def _check_ranks(self) -> "FitConfig":
        if self.presumed_to_rank < self.presumed_from_rank:
            raise ValueError(
                f"expected presumed_to_rank of {self.presumed_from_rank} or more, got {self.presumed_to_rank}. "
                "Raise it, or lower presumed_from_rank."
            )
        return self


class ScoreConfig(Settings):
    """How pairs are scored. Nothing here is decided by a threshold."""

    max_query_tokens: int = Field(default=48, ge=4, description="Queries are cut to this many tokens.")
    max_document_tokens: int = Field(default=160, ge=4, description="Documents are cut to this many tokens.")
    shard_queries: int = Field(
        default=256, ge=1, description="Queries per checkpoint: a killed run loses one shard at most."
    )


class CalibrateConfig(Settings):
    """How raw scores become probabilities."""

    prior: float = Field(
        default=0.2, gt=0, lt=1, description="Share of candidates that are presumed relevant; the paper drops 19.5 %."
    )
    min_positive: int = Field(
        default=20, ge=1, description="A language with fewer judged relevant pairs uses all languages'."
    )
    min_negative: int = Field(default=20, ge=1, description="The same for judged non-relevant pairs.")
    presumed_from_rank: int = Field(
        default=20,
        ge=1,
        description="Where all languages lack judged negatives, unjudged candidates from this rank on count.",
    )
    num_bins: int = Field(default=5, ge=1, description="Rows per language of the reliability table.")


class GradeConfig(Settings):
    """How probabilities become grades."""

    partly: float = Field(default=0.3, ge=0, le=1, description="Grade 1, partly relevant, begins at this probability.")
    highly: float = Field(default=0.6, ge=0, le=1, description="Grade 2, highly relevant, begins at this probability.")

    @model_validator(mode="after")
    def _check_order(self) -> "GradeConfig":
        if self.highly < self.partly:
            raise ValueError(f"expected highly of {self.partly} or more, got {self.highly}. Raise it.")
        return self


class AskConfig(ChatConfig):
    """The LLM as the judging stage takes it: `chat_identity`, not the name of a folder, is in the fingerprint."""

    model: str = Field(default="", exclude=True)


class RubricConfig(Settings):
    """What the LLM judge is asked."""

    num_samples: int
    seed: int
    max_document_characters: int
    shard_queries: int


class VoteConfig(Settings):
    """How verdicts become grades. No LLM is asked again for it."""

    vote: Literal["majority", "highest"] = "majority"


class LlmConfig(Settings):
    """The LLM judge: accuracy and completeness, several samples, a vote."""

    chat: ChatConfig = ChatConfig()
    num_samples: int = Field(default=3, ge=1, description="Replies per pair, which vote. More ask only for the new.")
    seed: int = Field(default=0, ge=0, description="Of the first sample; the others count on from it.")
    max_document_characters: int = Field(
        default=2000, ge=1, description="Documents and references are cut to this many characters."
    )
    shard_queries: int = Field(default=128, ge=1, description="Queries whose questions are held in memory at a time.")
    vote: Literal["majority", "highest"] = Field(
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
    def asked(self) -> AskConfig:
        """The LLM, as the judging stage takes it."""
        return AskConfig(**{name: getattr(self.chat, name) for name in AskConfig.model_fields})

    @property
    def rubric(self) -> RubricConfig:
        """What it is asked."""
        return RubricConfig(**{name: getattr(self, name) for name in RubricConfig.model_fields})

    @property
    def votes(self) -> VoteConfig:
        """How its verdicts are counted."""
        return VoteConfig(vote=self.vote)


class SelectConfig(Settings):
    """What makes a candidate unsafe. Only the ledger depends on it."""

    strategy: Strategy
    score: Score
    shift: int
    max_score: float
    margin: float
    percent: float
    max_grade_kept: int
    max_probability: float | None
    num_negatives: int
    relabel: bool


class ReadyConfig(Settings):
    """The ready cross-encoder, where one is configured."""

    cross_encoder: str | None = Field(default=None, exclude=True)  # the digest of its bytes is in the fingerprint


class DenoiseConfig(Settings):
    """Which candidates are safe to call negative."""

    strategy: Strategy = Field(
        default="grade", description="How unsafe candidates are found; see tasks/denoise/select.py."
    )
    score: Score = Field(default="probability", description="What threshold, margin and percent compare.")
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
    margin: float = Field(default=0.15, ge=0, description="margin: how far below the positive's score is safe.")
    percent: float = Field(default=90.0, ge=0, le=100, description="percent: how much of the positive's score is safe.")
    num_negatives: int = Field(default=30, ge=1, description="Negatives kept per query, at most.")
    relabel: bool = Field(
        default=False,
        description="Unjudged candidates of grade 2 become positives to train on; never used to measure or calibrate.",
    )
    judge: Judge = Field(
        default="cross_encoder",
        description="cross_encoder; llm: an LLM marks every pair; cascade: the LLM marks what lies in the band.",
    )
    band: tuple[float, float] = Field(
        default=(0.05, 0.6),
        description="cascade: the cross-encoder's probabilities that are uncertain, both ends included.",
    )
    llm: LlmConfig = LlmConfig()
    cross_encoder: str | None = Field(
        default=None,
        description="A folder or hub id of a ready cross-encoder, with an optional @revision. Empty: one is trained.",
        exclude=True,  # the digest of its bytes is in the fingerprint instead
    )
    num_layers: int | None = Field(
        default=None,
        ge=1,
        description="Layers of the encoder that the trained judge starts from. Empty: all that it has.",
    )
    fit: FitConfig = FitConfig()
    rerank: ScoreConfig = ScoreConfig()
    calibrate: CalibrateConfig = CalibrateConfig()
    grade: GradeConfig = GradeConfig()

    @model_validator(mode="after")
    def _check_judge(self) -> "DenoiseConfig":
        low, high = self.band
        if not 0 <= low <= high <= 1:
            raise ValueError(f"expected a band of two probabilities, the lower first, got {low}, {high}. Correct it.")
        if self.judge != "cross_encoder" and not self.llm.chat.model:
            raise ValueError(f"expected llm.chat.model for judge {self.judge}, got none. Name the LLM.")
        return self

    @property
    def select(self) -> SelectConfig:
        """The settings of the ledger alone."""
        return SelectConfig(**{name: getattr(self, name) for name in SelectConfig.model_fields})

    @property
    def ready(self) -> ReadyConfig:
        """The ready cross-encoder, as scoring takes it."""
        return ReadyConfig(cross_encoder=self.cross_encoder)
