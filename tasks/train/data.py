"""What a training reads: the folders, the name of the training that they make, and what is in them."""

from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from tasks.train import plan as plans
from tasks.train.batch import TeacherScores
from tasks.train.config import Recipe
from tasks.train.folders import identity, iter_tables, partition
from tasks.train.plan import Key, PlanStep, plan_content
from tasks.train.tokens import TokenTable, open_tokens
from tasks.train.validation import ValidationPool


def _folders(description: str, default: Any = MISSING) -> Any:
    return field(default=default, metadata={"description": f"folders of the dataset {description}"})


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The folders that a training reads; each is a dataset's. They are the options of `tasks.train.launch`."""

    plan: tuple[Path, ...] = _folders("batch_plan, one")
    tokens: tuple[Path, ...] = _folders("tokens: the plan's texts, of all languages")
    encoder: tuple[Path, ...] = _folders("encoder, one: where training starts")
    validation_tokens: tuple[Path, ...] = _folders(
        "tokens: held-out queries, and the documents among which theirs are", default=()
    )
    validation_qrels: tuple[Path, ...] = _folders("qrels, of the held-out queries", default=())
    teacher: tuple[Path, ...] = _folders("scores: the judge's, to be distilled", default=())

    def identity(self, recipe: Recipe) -> str:
        """Name the training of these inputs by this recipe, wherever the folders lie."""
        return identity((folder for folders in self.named().values() for folder in folders), recipe.facts())

    def named(self) -> dict[str, tuple[Path, ...]]:
        """Return the folders by their option, such as `validation-tokens`."""
        return {one.name.replace("_", "-"): getattr(self, one.name) for one in fields(self)}

    def arguments(self) -> list[str]:
        """Write the options of `tasks.train.launch`."""
        return [text for name, folders in self.named().items() if folders for text in (f"--{name}", *map(str, folders))]


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What is in the folders, without the encoder."""

    steps: Iterable[PlanStep]
    """The plan, from its beginning; the same for all processes."""
    num_steps: int
    """How many steps that is."""
    queries: TokenTable
    """Token ids of the plan's queries."""
    documents: TokenTable
    """Token ids of the plan's documents."""
    validation: ValidationPool | None = None
    """Held-out queries; needed where the recipe validates."""
    teacher: TeacherScores | None = None
    """Stored scores; needed where the recipe distils."""

    def used_ids(self) -> set[int]:
        """Return the token ids that occur in any of the texts."""
        pool = () if self.validation is None else (self.validation.queries, self.validation.documents)
        return set().union(*(table.used_ids() for table in (self.queries, self.documents, *pool)))


def read_data(inputs: Inputs) -> TrainingData:
    """Read what the folders hold; token ids stay on disk until they are used.

    Raises:
        FileNotFoundError: a folder is no whole dataset.
        ValueError: plan and texts don't go together.
    """
    content = plan_content(iter_tables(inputs.plan[0], plans.CONTENT_COLUMNS))
    return TrainingData(
        steps=plans.iter_steps(iter_tables(inputs.plan[0], plans.COLUMNS)),
        num_steps=content.num_steps,
        queries=open_tokens(inputs.tokens, role="query", wanted=content.queries),
        documents=open_tokens(inputs.tokens, role="document", wanted=content.documents),
        validation=read_pool(inputs.validation_tokens, inputs.validation_qrels) if inputs.validation_tokens else None,
        teacher=read_scores(inputs.teacher) if inputs.teacher else None,
    )


def read_pool(tokens: Iterable[Path], qrels: Iterable[Path]) -> ValidationPool:
    """Read held-out queries, the documents among which theirs are to be found, and what is relevant.

    Args:
        tokens: `tokens` datasets of held-out queries and of the pool's documents; all of their texts are taken.
        qrels: `qrels` datasets of the same languages; judgements of other queries are passed over.

    Raises:
        FileNotFoundError: a folder is no whole dataset.
    """
    folders = list(tokens)
    queries = open_tokens(folders, role="query", wanted=None)
    documents = open_tokens(folders, role="document", wanted=None)
    judged: dict[Key, dict[str, int]] = {key: {} for key in queries.keys()}  # noqa: SIM118 - a table, not a dict
    for language, query_id, doc_id, relevance in _rows(qrels, "query_id", "doc_id", "relevance"):
        if (language, query_id) in judged:
            judged[language, query_id][doc_id] = relevance
    return ValidationPool(queries, documents, judged)


def read_scores(folders: Iterable[Path]) -> TeacherScores:
    """Read the raw scores of `scores` datasets, a language each; rows without a score are passed over.

    A query's raw scores are one judge's, whatever the column `judge` says: in a cascade the first judge's. The LLM's
    verdict takes the place of its grade, not of its score; a pair that the LLM alone has judged has none.

    Raises:
        FileNotFoundError: a folder is no whole dataset.
    """
    scores: dict[Key, dict[str, float]] = {}
    for language, query_id, doc_id, raw in _rows(folders, "query_id", "doc_id", "raw"):
        if raw is not None:
            scores.setdefault((language, query_id), {})[doc_id] = raw
    return scores


def _rows(folders: Iterable[Path], *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of datasets, the language first."""
    for folder in folders:
        language = partition(folder)
        for table in iter_tables(folder, columns):
            yield from ((language, *row) for row in zip(*(one.to_pylist() for one in table.columns), strict=True))
