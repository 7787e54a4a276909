"""The supplement's stages: a ledger -> generated queries -> their candidates -> a ledger that is filled up."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.configs import PipelineConfig
from flows.run.pipeline import Promises, each
from storage import file_digest
from tasks.engine.step import Promise
from tasks.models.chat.client import chat_identity
from tasks.models.chat.config import ChatConfig
from tasks.steps import (
    collect_candidates,
    count_shortfalls,
    extend_hard_negatives,
    generate_from_positives,
    select_generated_queries,
    tune_generator,
)
from tasks.supplement.config import SupplementConfig


@dataclass(frozen=True)
class Given:
    """What is there before, by language."""

    corpus: Promises
    queries: Promises
    qrels: Promises
    scores: Promises
    hard_negatives: Promises


def supplement(
    config: PipelineConfig, given: Given, *, find: Callable[[Promises], Promises], score: Callable[[Promises], Promises]
) -> tuple[Promises, list[Promise]]:
    """Fill the ledgers up by way of generated queries, if the settings say so.

    Args:
        config: all settings.
        given: what is there before.
        find: queries -> fused candidates, as retrieval does it.
        score: new candidates of the given queries -> their scores, as the judge does it.

    Returns:
        The ledgers to train on, and the last Promises of the stage; none where it is off.

    Raises:
        FileNotFoundError: the generator or the file of instructions is not there.
    """
    if not config.supplement.enabled:
        return given.hard_negatives, []
    generated = _generate(config, given)
    new_queries = each(select_generated_queries, generated=generated)
    new_candidates = each(
        collect_candidates,
        config.own_document_arguments(),
        fused=find(new_queries),
        queries=new_queries,
        hard_negatives=given.hard_negatives,
        qrels=given.qrels,
    )
    scores = score(new_candidates)
    extended = {
        language: extend_hard_negatives(
            language,
            hard_negatives=given.hard_negatives[language],
            new_candidates=candidates,
            scores=[given.scores[language], scores[language]],
            qrels=given.qrels[language],
            queries=given.queries[language],
            corpus=given.corpus[language],
            text=config.text.document,
            config=config.denoise.select,
        )
        for language, candidates in new_candidates.items()
    }
    shortfalls = each(
        count_shortfalls,
        {"num_negatives": config.denoise.num_negatives},
        before=given.hard_negatives,
        after=extended,
        generated=generated,
        queries=given.queries,
    )
    return extended, [*extended.values(), *shortfalls.values()]


def _generate(config: PipelineConfig, given: Given) -> Promises:
    settings = config.supplement
    identity = chat_identity(settings.chat)
    shared = {
        "text": config.text.document,
        "num_negatives": config.denoise.num_negatives,
        "chat": settings.chat,
        "identity": identity,
        "max_generated": settings.max_generated,
        "negatives_each": settings.negatives_each,
        "seed": settings.seed,
        "adapter": _tune(settings, identity),
    }
    asked = {"queries": given.queries, "qrels": given.qrels, "corpus": given.corpus}
    return each(generate_from_positives, shared, hard_negatives=given.hard_negatives, **asked)


def _tune(settings: SupplementConfig, identity: str) -> Promise | None:
    file = Path(settings.tune.instructions)
    if not settings.tune.instructions:
        return None
    if not file.is_file():
        raise FileNotFoundError(
            f"supplement.tune.instructions: expected a JSONL file, got '{file}'. Correct the path, or leave it empty."
        )
    return tune_generator(
        chat=ChatConfig(client="local", model=settings.chat.model),  # how it samples is nothing to the tuning
        identity=identity,
        instructions=file_digest(file),
        config=settings.tune,
    )
