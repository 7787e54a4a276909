"""Settings of topics and batch plans."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tasks.engine.step import Settings


class TopicsConfig(Settings):
    """How the topics of the train queries are found."""

    method: Literal["clusters", "fasttext"] = Field(
        default="clusters",
        description="clusters of the positives' embeddings (any language), or the paper's two English fastText models.",
    )
    num_topics: int = Field(default=12, ge=1, le=1000, description="Number of clusters; fasttext always has 12.")
    num_starts: int = Field(default=4, ge=1, le=100, description="Seeded starts of k-means; the tightest is kept.")
    seed: int = Field(default=13, ge=0, description="Seed of the clusters.")
    dbpedia_model: str | None = Field(
        default=None, exclude=True, description="fastText's dbpedia.bin; its content counts, not its path."
    )
    yahoo_model: str | None = Field(
        default=None, exclude=True, description="fastText's yahoo_answers.bin; its content counts, not its path."
    )

    @model_validator(mode="after")
    def _models_are_named(self) -> Self:
        if self.method == "fasttext" and not (self.dbpedia_model and self.yahoo_model):
            raise ValueError(
                "plan_batches.topics: expected dbpedia_model and yahoo_model for method 'fasttext', got "
                f"{self.dbpedia_model!r} and {self.yahoo_model!r}. Name both .bin files, or use method 'clusters'."
            )
        return self

    @property
    def model_files(self) -> tuple[str, ...]:
        """The files whose content decides the topics."""
        if self.method == "fasttext" and self.dbpedia_model and self.yahoo_model:
            return (self.dbpedia_model, self.yahoo_model)
        return ()


class PlanBatchesConfig(Settings):
    """Which queries and documents go into which training step."""

    batch_size: int = Field(default=24, ge=2, description="Queries per training step, over all ranks together.")
    num_negatives: int = Field(default=7, ge=0, description="Hard negatives per query and step.")
    num_epochs: int = Field(default=1, ge=1, description="Epochs; hard negatives and positives are drawn anew in each.")
    num_steps: int | None = Field(
        default=None, ge=1, description="Steps per epoch; empty = train queries / batch_size, rounded up."
    )
    seed: int = Field(default=13, ge=0, description="Seed of the plan; topics have their own.")
    language_temperature: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="How languages are drawn: 0 = uniformly, 1 = by their number of queries.",
    )
    same_language: bool = Field(
        default=True,
        description="A batch holds one language; false: the language of each slot is drawn. For ablations.",
    )
    topic_balance: bool = Field(
        default=True, description="Queries are dealt by topic; false: they come in random order. For ablations."
    )
    alpha: float = Field(
        default=0.45, ge=0.0, le=1.0, description="Weight of a language ~ share^alpha; smaller favours small languages."
    )
    beta: float = Field(
        default=0.40, ge=0.0, le=1.0, description="Weight of a topic ~ share^beta; smaller favours rare topics."
    )
    topics: TopicsConfig = Field(default=TopicsConfig(), description="How topics are found.")
