"""Settings of topics and batch plans."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tasks.engine.step import Settings


class FastTextModels(Settings):
    """Where the two classifiers are; a step that reads them has the digests of their bytes for its fingerprint."""

    folder: str = Field(exclude=True)

    @property
    def files(self) -> tuple[Path, Path]:
        """DBpedia's and Yahoo's, as fastText's authors name them.

        Raises:
            FileNotFoundError: one is not there.
        """
        dbpedia, yahoo = Path(self.folder) / "dbpedia.bin", Path(self.folder) / "yahoo_answers.bin"
        for file in (dbpedia, yahoo):
            if not file.is_file():
                raise FileNotFoundError(
                    f"plan_batches.topics: expected a fastText model at {file}, got no file. Download dbpedia.bin and "
                    "yahoo_answers.bin from fasttext.cc (supervised models), or set a number of clusters."
                )
        return dbpedia, yahoo


class PlanBatchesConfig(Settings):
    """Which queries and documents go into which training step."""

    batch_size: int = Field(default=24, ge=2, description="Queries per training step, over all ranks together.")
    num_negatives: int = Field(default=7, ge=0, description="Hard negatives per query and step.")
    num_epochs: int = Field(default=1, ge=1, description="Epochs; hard negatives and positives are drawn anew in each.")
    num_steps: int | None = Field(
        default=None, ge=1, description="Steps per epoch; empty = train queries / batch_size, rounded up."
    )
    seed: int = Field(default=13, ge=0, description="Seed of the plan; topics do not depend on it.")
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
        default=0.45,
        ge=0.0,
        le=1.0,
        description="Weight of a language ~ share^(alpha - 1): 1 = all alike, smaller favours small ones.",
    )
    beta: float = Field(
        default=0.40,
        ge=0.0,
        le=1.0,
        description="Weight of a topic ~ share^(beta - 1): 1 = all alike, smaller favours rare ones.",
    )
    topics: Annotated[int, Field(ge=1, le=1000)] | str = Field(
        default=12,
        exclude=True,  # concerns the steps that find topics, which have it as an argument of their own
        description="Number of clusters of the positives' embeddings, in any language; or a folder with fastText's own "
        "dbpedia.bin and yahoo_answers.bin, the paper's English classifiers of twelve topics.",
    )
