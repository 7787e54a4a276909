"""What training reads besides the plan: texts as token ids, a pool to validate on, a teacher's scores."""

import importlib.util
from typing import Any

from flows.configs import PipelineConfig
from flows.run.pipeline import Promises, each
from tasks.engine.step import Promise
from tasks.retrieve.config import FuseConfig
from tasks.steps import fuse_candidates, tokenize_documents, tokenize_queries


def training_inputs(
    config: PipelineConfig,
    *,
    encoder: Promise,
    corpus: Promises,
    queries: Promises,
    named: dict[str, list[Promise]],
    validation_queries: Promises,
    validation_qrels: Promises,
    held_out: Promises,
    scores: Promises,
) -> dict[str, Any]:
    """Promise the inputs of `train_encoder`, by the names of its arguments.

    Token ids depend on texts, candidates and judgements, not on thresholds, plan or seed: those change no token. The
    pool to validate on holds the best candidates of the held-out queries and what is judged for them.

    Args:
        config: what the training wants.
        encoder: whose tokenizer.
        corpus: the documents.
        queries: to train on.
        named: datasets with a doc_id: all documents that a batch plan may name.
        validation_queries: the held-out queries.
        validation_qrels: their judgements.
        held_out: candidates of the held-out queries.
        scores: the judges' scores, for distillation.

    Raises:
        ValueError: the training is to write TensorBoard events, and the extra for them is not installed.
    """
    settings = config.train
    if settings.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError(
            "train.tensorboard: expected the extra 'tensorboard', got no such package. Run pip install "
            "'polyloom[tensorboard]', or leave it empty."
        )
    found: dict[str, Any] = {
        "query_tokens": _of_queries(config, encoder, queries),
        "document_tokens": {
            language: _of_documents(config, encoder, language, corpus, refs) for language, refs in named.items()
        },
    }
    if settings.distillation_weight:
        found["teacher"] = scores
    if settings.validation_steps:
        found["validation_queries"] = _of_queries(config, encoder, validation_queries)
        found["validation_qrels"] = validation_qrels
        found["validation_documents"] = {
            language: _of_documents(
                config, encoder, language, corpus, [_best(config, language, candidates), validation_qrels[language]]
            )
            for language, candidates in held_out.items()
        }
    return found


def _best(config: PipelineConfig, language: str, candidates: Promise) -> Promise:
    best = FuseConfig(method="rrf", top_k=config.retrieve.fuse.top_k)  # of one system alone, so any method's ranks
    return fuse_candidates(language, candidates=[candidates], config=best)


def _of_queries(config: PipelineConfig, encoder: Promise, queries: Promises) -> Promises:
    return each(tokenize_queries, {"encoder": encoder, "max_tokens": config.text.max_query_tokens}, queries=queries)


def _of_documents(
    config: PipelineConfig, encoder: Promise, language: str, corpus: Promises, named: list[Promise]
) -> Promise:
    return tokenize_documents(
        language,
        language=language,
        corpus=corpus[language],
        named=named,
        encoder=encoder,
        text=config.text.document,
        max_tokens=config.text.max_document_tokens,
    )
