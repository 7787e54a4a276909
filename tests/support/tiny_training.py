"""A tiny encoder, plan and texts: enough for a real training of some steps in a second."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.tiny_model import write_tiny_encoder
from support.token_folders import token_folder

from tasks.models.encoder import Encoder
from tasks.models.layout import Role
from tasks.train.batch import TeacherScores
from tasks.train.config import TrainConfig
from tasks.train.data import TrainingData
from tasks.train.events import LogRow, Report
from tasks.train.loop import train
from tasks.train.plan import PlanStep, Sample
from tasks.train.state import TrainingState
from tasks.train.tokens import TokenTable, open_tokens
from tasks.train.validation import ValidationPool
from tasks.train.workers import ALONE, Workers

NUM_STEPS = 8
COLOURS = ["red", "green", "blue", "white", "black", "grey"]

CONFIG = TrainConfig(
    learning_rate=1e-3, warmup_share=0.25, temperature=0.1, precision="fp32", seed=7, checkpoint_minutes=0
)

QUERIES = {("en", f"q{n}"): f"what is {colour}" for n, colour in enumerate(COLOURS)}
DOCUMENTS = {("en", f"d{n}"): f"{colour} is a colour " * (1 + n % 3) for n, colour in enumerate(COLOURS)}


def plan() -> list[PlanStep]:
    """Two queries a step; the second has d(n+2) as its positive and shares a document with the first.

    What the second brings besides, d(n+3), is no negative for the first in every other step.
    """

    def sample(number: int, negatives: int) -> Sample:
        n = number % 6
        others = tuple(f"d{(n + 1 + k) % 6}" for k in range(negatives))
        return Sample("en", f"q{n}", f"d{n}", others, 0.5 + n / 4)

    def first(number: int) -> Sample:
        return replace(sample(number, 2), not_negatives=frozenset({f"d{(number + 3) % 6}"} if number % 2 else ()))

    return [PlanStep(step // 4, step, (first(step), sample(step + 2, 1))) for step in range(NUM_STEPS)]


def tiny_encoder(folder: Path, device: str = "cpu") -> Encoder:
    """Write the encoder where it is missing, and load it."""
    if not folder.exists():
        write_tiny_encoder(folder, texts=[*QUERIES.values(), *DOCUMENTS.values(), "words that no text uses"])
    return Encoder.load(folder, device=device)


def tokens(encoder: Encoder, folder: Path) -> tuple[TokenTable, TokenTable]:
    """Tokenize queries and documents into a folder, and open them."""
    tables: list[TokenTable] = []
    role: Role
    for role, texts in (("query", QUERIES), ("document", DOCUMENTS)):
        token_ids = encoder.tokenize(list(texts.values()), role=role, max_tokens=16)
        by_id = {name: ids for (_, name), ids in zip(texts, token_ids, strict=True)}
        tables.append(
            open_tokens([token_folder(folder / role, by_id, language="en", role=role)], role=role, wanted=set(texts))
        )
    return tables[0], tables[1]


def pool(folder: Path) -> ValidationPool:
    """Every query among all documents; its own colour's is relevant, the next one's a little."""
    queries, documents = tokens(tiny_encoder(folder / "encoder"), folder / "pool")
    qrels = {("en", f"q{n}"): {f"d{n}": 2, f"d{(n + 1) % 6}": 1} for n in range(6)}
    return ValidationPool(queries, documents, qrels)


def run_training(
    folder: Path,
    *,
    steps: list[PlanStep] | None = None,
    checkpoints: str = "checkpoints",
    report: Callable[[Report], None] = lambda report: None,
    warn: Callable[[str], None] = lambda text: None,
    encoder: Encoder | None = None,
    validation: ValidationPool | None = None,
    teacher: TeacherScores | None = None,
    workers: Workers = ALONE,
    tokens_folder: str = "tokens",
    num_steps: int | None = None,
    device: str = "cpu",
    **settings: object,
) -> tuple[Encoder, list[LogRow]]:
    """Train the tiny encoder; the settings can be replaced by name."""
    encoder = encoder or tiny_encoder(folder / "encoder", device)
    queries, documents = tokens(encoder, folder / tokens_folder)
    steps = plan() if steps is None else steps
    data = TrainingData(
        steps=steps,
        num_steps=len(steps) if num_steps is None else num_steps,
        queries=queries,
        documents=documents,
        validation=validation,
        teacher=teacher,
    )
    log = train(
        encoder,
        data,
        replace(CONFIG, **settings),  # type: ignore[arg-type]  # the tests name real fields
        checkpoints=folder / checkpoints,
        report=report,
        warn=warn,
        workers=workers,
    )
    return encoder, log


def watch_scales(monkeypatch: pytest.MonkeyPatch, start: float) -> list[float]:
    """Begin with a loss scale, and list it as it is before each step of the trainings to come."""
    monkeypatch.setattr("tasks.train.state._START_SCALE", start)
    scales: list[float] = []
    take_step = TrainingState.take_step

    def watched(self: TrainingState, *arguments: float, **rest: float) -> float:
        scales.append(self.loss_scale.value)
        return take_step(self, *arguments, **rest)

    monkeypatch.setattr(TrainingState, "take_step", watched)
    return scales
