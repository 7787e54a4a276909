"""First stage of all that is dense: the base encoder, as a folder that transformers and sentence-transformers load."""

import polars as pl

from tasks.encoder.config import EncoderConfig
from tasks.engine.job import Job
from tasks.models import sources


def prepare_encoder(job: Job, *, config: EncoderConfig, digest: str) -> None:
    """Bring the base encoder into the store, with its pooling and prompts."""
    folder = job.scratch / "model"
    facts = sources.write_encoder(
        config.model,
        folder,
        num_layers=config.num_layers,
        pooling=config.pooling,
        query_prompt=config.query_prompt,
        document_prompt=config.document_prompt,
    )
    job.out.write(
        pl.DataFrame(
            {
                "name": [config.model],
                "num_layers": [facts.num_layers],
                "hidden_size": [facts.hidden_size],
                "num_parameters": [facts.num_parameters],
                "vocabulary_size": [facts.vocabulary_size],
                "digest": [digest],
            }
        )
    )
    job.out.add_folder(folder, "model")
