"""Nothing of dev changes anything before evaluation: the fingerprints of the whole pipeline, woven over files."""

import random
from pathlib import Path

import pytest
from support.raw_files import jsonl, tsv, write

from flows.configs import PipelineConfig
from flows.run.pipeline import Pipeline
from flows.weave import weave

LANGUAGES = ("fi", "sw")
VARIANTS: dict[str, dict] = {
    "quickstart": {},
    "validated": {"train": {"validation_steps": 5}},
    "relabelled": {"denoise": {"relabel": True}},
    "ensemble": {"retrieve": {"ensemble": [{"name": "minilm", "model": "bundled:all-minilm-l6-v2"}]}},
    "supplemented": {"supplement": {"enabled": True, "chat": {"client": "endpoint", "model": "m"}}},
}


def collection(root: Path, language: str, *, beir: bool = False) -> None:
    """Write documents and queries; the question of dev query 0 is also train's, with another answer."""
    queries = {
        split: [(f"{split}{n}", f"{split if n else 'the same'} question {n}") for n in range(8)]
        for split in ("train", "dev")
    }
    judged = {split: [(f"{split}{n}", f"{split}-d{n}", 1) for n in range(8)] for split in queries}
    ids = [doc_id for rows in judged.values() for _, doc_id, _ in rows]
    names = ("_id", "_id") if beir else ("doc_id", "query_id")
    write(root / language / "corpus.jsonl", jsonl({names[0]: one, "title": "", "text": f"about {one}"} for one in ids))
    rows = {split: [{names[1]: name, "text": text} for name, text in pairs] for split, pairs in queries.items()}
    if beir:
        write(root / language / "queries.jsonl", jsonl([*rows["train"], *rows["dev"]]))
    for split in queries:
        if not beir:
            write(root / language / f"queries-{split}.jsonl", jsonl(rows[split]))
        header = ("query-id", "corpus-id", "score") if beir else ("query_id", "doc_id", "relevance")
        write(root / language / f"qrels-{split}.tsv", tsv([header, *judged[split]]))


def woven(root: Path, until: str | None = None, *, layout: str = "table", **settings) -> Pipeline:
    patterns = {"corpus": "{language}/corpus.jsonl", "qrels": "{language}/qrels-{split}.tsv"}
    patterns["queries"] = "{language}/queries.jsonl" if layout == "beir" else "{language}/queries-{split}.jsonl"
    ingest = {"layout": layout, "path": str(root), "validation_share": 0.3, **patterns}
    return weave(PipelineConfig.model_validate({"languages": LANGUAGES, "ingest": ingest, **settings}), until)


def fingerprints(pipeline: Pipeline) -> dict[str, tuple[str, str]]:
    """Every promise: its name, with stage and step."""
    return {f"{one.promise} {one.promise.fingerprint}": (one.stage, one.promise.step.name) for one in pipeline.staged}


def change(root: Path, how: str) -> None:
    for path in root.glob("*/*-dev.*"):
        lines = path.read_text().splitlines(keepends=True)
        match how:
            case "absent":
                path.unlink()
            case "shuffled":
                first, rest = (lines[:1], lines[1:]) if path.suffix == ".tsv" else ([], lines)
                random.Random(1).shuffle(rest)
                path.write_text("".join([*first, *rest]))
            case "judged otherwise" if path.suffix == ".tsv":
                path.write_text(path.read_text().replace("dev-d0", "train-d0"))
            case "asked otherwise" if path.suffix == ".jsonl":
                path.write_text(path.read_text().replace("dev question", "train question"))


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("how", ["absent", "shuffled", "judged otherwise", "asked otherwise"])
def test_changed_dev_files_leave_everything_up_to_the_trained_weights(tmp_path, settings, how):
    for language in LANGUAGES:
        collection(tmp_path, language)
    before = fingerprints(woven(tmp_path, "train", **settings))
    whole = fingerprints(woven(tmp_path, **settings))
    assert before.items() <= whole.items()
    assert {step for _, step in before.values()} >= {"train_encoder", "plan_batches", "fit_judge"}
    change(tmp_path, how)
    assert fingerprints(woven(tmp_path, "train", **settings)) == before
    if how == "absent":
        return
    after = fingerprints(woven(tmp_path, **settings))
    gone = {whole[name] for name in whole.keys() - after.keys()}
    evaluated = {step for stage, step in gone if stage in ("evaluate", "export")}
    assert {step for stage, step in gone if stage == "ingest"} <= {"ingest_queries", "ingest_qrels"}
    assert {stage for stage, _ in gone} == {"ingest", "evaluate", "export"}
    assert "measure_runs" in evaluated
    if how == "judged otherwise":  # nothing is searched again
        assert evaluated == {"measure_runs", "export_model"}


def test_changed_dev_judgements_of_beir_leave_everything_up_to_the_trained_weights(tmp_path):
    for language in LANGUAGES:
        collection(tmp_path, language, beir=True)
    before = fingerprints(woven(tmp_path, "train", layout="beir"))
    for how in ("shuffled", "judged otherwise", "absent"):
        change(tmp_path, how)
        assert fingerprints(woven(tmp_path, "train", layout="beir")) == before


@pytest.mark.parametrize("until", [None, "evaluate", "metrics", "make_run"])
def test_what_needs_dev_files_names_the_missing_ones_at_once(tmp_path, until):
    for language in LANGUAGES:
        collection(tmp_path, language)
    change(tmp_path, "absent")
    with pytest.raises(FileNotFoundError, match=r"queries-dev.jsonl', got none"):
        woven(tmp_path, until)


def test_an_empty_dev_split_is_enough_until_training(tmp_path):
    for language in LANGUAGES:
        collection(tmp_path, language)
    config = PipelineConfig.model_validate(
        {
            "languages": LANGUAGES,
            "ingest": {
                "layout": "table",
                "path": str(tmp_path),
                "corpus": "{language}/corpus.jsonl",
                "queries": "{language}/queries-{split}.jsonl",
                "qrels": "{language}/qrels-{split}.tsv",
                "dev_split": "",
            },
        }
    )
    assert weave(config, "train").promises
    with pytest.raises(FileNotFoundError, match=r"expected judgements to evaluate on, got an empty ingest.dev_split"):
        weave(config)
