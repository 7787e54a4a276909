"""Settings of atlas, the generated sample."""

from pydantic import Field

from tasks.engine.step import Settings


class AtlasConfig(Settings):
    """How much of atlas to generate."""

    seed: int = Field(default=0, description="Decides which facts, wordings and judgements are drawn.")
    documents_per_language: int = Field(default=400, ge=10, description="Documents in each corpus.")
    queries_per_language: int = Field(default=100, ge=4, description="Queries of each language, train and dev.")
    dev_share: float = Field(default=0.35, ge=0.0, le=0.5, description="Share of the queries that are dev queries.")
    train_judged: float = Field(
        default=0.3, ge=0.0, le=1.0, description="Share of a train query's answers that its judgements name."
    )
    dev_judged: float = Field(
        default=0.7, ge=0.0, le=1.0, description="Share of a dev query's answers that its judgements name."
    )
