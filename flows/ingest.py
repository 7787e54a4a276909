"""Promise what ingest makes of each language: files or atlas -> corpus; queries and qrels, by split; truth; quarantine.

What belongs to dev is promised apart: until a training there may be no dev files, and what they hold changes nothing.
"""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from flows.run.pipeline import Promises
from tasks.engine.step import Promise
from tasks.ingest.config import FileSplit, IngestConfig, Source, What
from tasks.ingest.files import find_source, input_files
from tasks.languages import check_language
from tasks.steps import (
    generate_corpus,
    generate_qrels,
    generate_queries,
    generate_truth,
    ingest_corpus,
    ingest_qrels,
    ingest_queries,
    quarantine_rows,
)


@dataclass(frozen=True)
class Asked:
    """The queries of one split and their judgements, by language."""

    queries: Promises = field(default_factory=dict)
    qrels: Promises = field(default_factory=dict)


@dataclass(frozen=True)
class Texts:
    """The datasets that ingest makes before evaluation, by language."""

    corpus: Promises
    train: Asked
    validation: Asked
    """Held out of train."""
    aside: list[Promise]
    """What no other stage reads: the truth of atlas, rows in quarantine."""

    @property
    def trained(self) -> "Texts":
        """Those of the languages with train queries; others are only measured."""
        return replace(self, corpus={language: self.corpus[language] for language in self.train.queries})


def ingest_languages(config: IngestConfig, languages: Sequence[str]) -> Texts:
    """Promise the datasets of all languages but for dev; reads nothing but new input files once, for their digests.

    Args:
        config: the settings of ingest.
        languages: BCP 47. One without train files has dev queries alone.

    Raises:
        ValueError: unknown language, or an environment variable of a path is not set.
        FileNotFoundError: an input file is missing.
    """
    texts = Texts({}, Asked(), Asked(), [])
    for language in map(check_language, languages):
        if config.layout == "atlas":
            texts.corpus[language] = generate_corpus(language, **_facts(config, language))
            texts.aside.append(generate_truth(language, **_facts(config, language)))
        else:
            texts.corpus[language] = ingest_corpus(language, source=find_source(config, language, "corpus"))
        drawn = {"validation_share": config.validation_share, "seed": config.seed}
        known = {"train": texts.train, "validation": texts.validation}
        if config.layout == "atlas" or _has_train(config, language):
            texts.aside.extend(_ask(config, language, "train", texts.corpus[language], known, known, drawn))
    return texts


def ingest_dev(config: IngestConfig, texts: Texts) -> tuple[Asked, list[Promise]]:
    """Promise the dev queries and their judgements, and what is in quarantine of them; `Raises` as the others."""
    dev, aside = Asked(), []
    known = {"train": texts.train, "validation": texts.validation, "dev": dev}
    for language, corpus in texts.corpus.items():
        aside.extend(_ask(config, language, "dev", corpus, {"dev": dev}, known, {}))
    return dev, aside


def _ask(
    config: IngestConfig,
    language: str,
    part: FileSplit,
    corpus: Promise,
    made: dict[str, Asked],
    known: dict[str, Asked],
    drawn: dict[str, Any],
) -> list[Promise]:
    """Promise the queries and judgements of the splits to be `made`, and return what is in quarantine."""
    if config.layout == "atlas":
        _generate(config, language, made, drawn)
        return []
    measured_only = language not in known["train"].queries and part == "dev"
    parts: tuple[FileSplit, ...] = (part,) if part == "train" or measured_only else get_args(FileSplit)
    queries, qrels = _sources(config, language, "queries", parts), _sources(config, language, "qrels", parts)
    if not qrels[part].files and part == "dev":
        raise FileNotFoundError(
            f"ingest qrels of '{language}': expected judgements to evaluate on, got an empty ingest.dev_split. Name "
            "the split of these files, or stop before with --until train."
        )
    from_grade = {"relevant_from": config.relevant_from} if part == "train" else {}
    # Judgements tell which queries are of this split, or which train queries belong together, or nothing.
    naming = qrels if not config.split_by_queries or drawn.get("validation_share") else {}
    for split, asked in made.items():
        asked.queries[language] = ingest_queries(
            language,
            language=language,
            queries=queries,
            qrels=naming,
            split=split,
            **drawn,
            **(from_grade if naming else {}),
        )
    asked_of = {split: asked.queries[language] for split, asked in known.items() if language in asked.queries}
    for split, asked in made.items():
        asked.qrels[language] = ingest_qrels(
            language,
            source=qrels[part],
            corpus=corpus,
            queries=asked_of,
            split=split,
            **from_grade,
        )
    if config.on_bad_row != "quarantine":
        return []
    return [
        quarantine_rows(
            language,
            texts=find_source(config, language, "corpus") if part == "train" or measured_only else None,
            queries=queries,
            naming=naming,
            qrels=qrels[part],
            corpus=corpus,
            known=asked_of,
            part=part,
        )
    ]


def _has_train(config: IngestConfig, language: str) -> bool:
    """Say whether both queries and judgements to train on are there; `input_files` refuses where they must be."""
    return all(input_files(config, language, what, ("train",)) for what in ("queries", "qrels"))


def _generate(config: IngestConfig, language: str, made: dict[str, Asked], drawn: dict[str, Any]) -> None:
    for split, asked in made.items():
        arguments = {**_facts(config, language), "split": split, **drawn}
        asked.queries[language] = generate_queries(language, **arguments)
        asked.qrels[language] = generate_qrels(language, **arguments)


def _sources(config: IngestConfig, language: str, what: What, parts: Sequence[FileSplit]) -> dict[str, Source]:
    return {part: find_source(config, language, what, (part,)) for part in parts}


def _facts(config: IngestConfig, language: str) -> dict[str, Any]:
    """What atlas is made of. Babel brings the facts, so its version is an input like a file's digest."""
    return {"language": language, "config": config.atlas, "babel": importlib.metadata.version("babel")}
