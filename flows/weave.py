"""The pipeline as a table of contents: one call per stage, top to bottom. Nothing runs here."""

from flows.configs import PipelineConfig
from flows.pipeline import Pipeline
from tasks.denoise.task import apply_calibration, calibrate_scores, fit_cross_encoder, score_candidates
from tasks.denoise.task import select_hard_negatives
from tasks.encoder.task import prepare_encoder
from tasks.evaluate.task import make_run, measure_runs
from tasks.ingest.task import ingest_corpus, ingest_qrels, ingest_queries
from tasks.models.digest import model_digest
from tasks.plan_batches.task import find_topics, plan_batches
from tasks.retrieve.task import embed_documents, embed_queries, fuse_candidates, retrieve_bm25, search_dense
from tasks.train.task import train_encoder


def weave(config: PipelineConfig) -> Pipeline:
    """Promise every dataset of a configuration.

    Raises:
        ValueError: the settings contradict each other or name files that are not there.
    """
