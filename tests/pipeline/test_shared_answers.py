"""Many questions per passage, and answers that are copies of each other, from raw files to a trained encoder."""

import json
from pathlib import Path

import polars as pl
import pytest
import yaml
from support.in_process import build_missing
from support.tiny_model import write_tiny_encoder

from flows.configs import load_config
from flows.weave import weave
from storage import read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

COLOURS = ["red", "green", "blue", "white", "black", "grey", "brown", "pink"]
FRUITS = ["plum", "pear", "fig", "date", "lime", "kiwi"]
WORDS = ["what", "why", "who", "where", "when"]


def copy_of(text: str, number: int) -> str:
    """Write a text as it may stand in a collection a second time."""
    return [text, text.upper(), f" {text.replace(' ', '  ')}\n", text.replace("a", "ａ")][number % 4]


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """Train on 8 passages of 5 questions each; in batches of 12. Every third question has a copy of its passage."""
    folder = tmp_path_factory.mktemp("shared")
    texts = {f"p{n}": f"{colour} was all that they had at the fair" for n, colour in enumerate(COLOURS)}
    asked = [(f"{word} {colour}", n) for n, colour in enumerate(COLOURS) for word in WORDS]
    questions = {f"q{number:02}": text for number, (text, _) in enumerate(asked)}
    answers = {f"q{number:02}": f"p{n}" for number, (_, n) in enumerate(asked)}
    for number, (query, passage) in enumerate(list(answers.items())):
        if number % 3 == 0:
            texts[f"copy{number:02}"], answers[query] = copy_of(texts[passage], number), f"copy{number:02}"
    texts |= {f"n{n}": f"{fruit} and {other}" for n, fruit in enumerate(FRUITS) for other in COLOURS[:1]}
    texts |= {f"m{n}": f"{fruit} was all that they had" for n, fruit in enumerate(FRUITS)}
    write_rows(folder / "docs.jsonl", [{"doc_id": name, "title": "", "text": text} for name, text in texts.items()])
    for split in ("train", "dev"):
        rows = [{"query_id": f"{split[0]}{name}", "text": f"{text} {split}"} for name, text in questions.items()]
        write_rows(folder / f"q-{split}.jsonl", rows)
        judged = [{"query_id": f"{split[0]}{query}", "doc_id": doc, "relevance": 1} for query, doc in answers.items()]
        write_rows(folder / f"r-{split}.jsonl", judged)
    write_tiny_encoder(folder / "model", texts=[*texts.values(), *questions.values()])
    settings = {
        "languages": ["en"],
        "storage": {"root": str(folder / "data")},
        "ingest": {
            "layout": "table",
            "path": str(folder),
            "corpus": "docs.jsonl",
            "queries": "q-{split}.jsonl",
            "qrels": "r-{split}.jsonl",
            "validation_share": 0,
        },
        "encoder": {"model": str(folder / "model")},
        "text": {"max_query_tokens": 24, "max_document_tokens": 48},
        "retrieve": {"fuse": {"top_k": 16}},
        "denoise": {"presumed_ranks": [6, 40]},
        "plan_batches": {"batch_size": 12, "num_negatives": 2, "num_epochs": 2, "topics": 2},
        "train": {"learning_rate": 1e-3, "distillation_weight": 0.5},
    }
    (folder / "shared.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    root, pipeline = str(folder / "data"), weave(load_config(folder / "shared.yaml")).until("train")
    build_missing(pipeline, root)
    kinds = ("hard_negatives", "batch_plan", "training_log", "scores")
    tables = {
        promise.step.produces: read(promise.ref(root))
        for promise in pipeline.promises
        if promise.step.produces in kinds
    }
    fold = {name: " ".join(text.replace("ａ", "a").lower().split()) for name, text in texts.items()}
    relevant = {f"t{query}": fold[doc] for query, doc in answers.items()}
    return tables | {
        "fold": pl.DataFrame({"doc_id": list(fold), "said": list(fold.values())}),
        "relevant": pl.DataFrame({"query_id": list(relevant), "answer": list(relevant.values())}),
    }


def test_no_copy_of_the_answer_is_kept_as_a_hard_negative(built: dict[str, pl.DataFrame]) -> None:
    ledger = built["hard_negatives"].join(built["fold"], on="doc_id").join(built["relevant"], on="query_id")
    copies = ledger.filter(pl.col("said") == pl.col("answer"))
    assert len(copies) > 60
    assert set(copies["decision"]) == {"dropped"}
    assert set(copies["reason"]) == {"judged_relevant", "copy_of_relevant"}
    assert "copy_of_relevant" not in set(ledger.filter(pl.col("said") != pl.col("answer"))["reason"])


def test_what_answers_a_question_of_the_batch_is_listed_for_it_and_nothing_else(built: dict[str, pl.DataFrame]) -> None:
    said, answer = dict(built["fold"].rows()), dict(built["relevant"].rows())
    likely = built["hard_negatives"].filter(pl.col("reason") == "grade_above_max").select("query_id", "doc_id").rows()
    suspect: dict[str, set[str]] = {}
    for query, doc in likely:
        suspect.setdefault(query, set()).add(said[doc])
    num_listed = 0
    for _, batch in built["batch_plan"].group_by("step"):
        rows = batch.rows(named=True)
        for row in rows:
            others = {other["positive"] for other in rows if other is not row}
            seen = others | {name for other in rows for name in other["negatives"]}
            unsafe = {answer[row["query_id"]], *suspect.get(row["query_id"], ())}
            assert row["not_negatives"] == sorted(name for name in seen if said[name] in unsafe)
            num_listed += len(row["not_negatives"])
    assert num_listed > 50  # 12 slots, 8 answers


def test_training_learns_from_the_default_judges_scores(built: dict[str, pl.DataFrame]) -> None:
    log = built["training_log"]
    assert len(log) == 8  # 40 questions in batches of 12, rounded up, twice
    assert log["loss"].is_finite().all()
    assert {judge.partition("-")[0] for judge in built["scores"]["judge"]} == {"fold"}
