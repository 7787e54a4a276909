"""The evaluation on a store: results of queries that are documents, and how many documents are copies."""

from pathlib import Path

import polars as pl
import pytest
from support.loom import SURROUNDINGS
from support.steps import declare

import storage
from flows.configs import PipelineConfig
from flows.run.pipeline import inputs_first
from flows.show.results import result_notes
from flows.weave import weave
from tasks import steps
from tasks.engine.build import build, state
from tasks.engine.job import Job
from tasks.engine.step import Promise

TEXTS = {
    "en": ["Opening times", "opening  times ", "OPENING TIMES\u00a0", "Ope\u0301n", "Op\u00e9n", "prices"],
    "sw": ["bei", "saa"],
}


@declare(produces="corpus")
def make_faq(job: Job, *, language: str) -> None:
    """Write texts in two parts."""
    texts = TEXTS[language]
    frame = pl.DataFrame({"doc_id": [f"d{n}" for n in range(len(texts))], "title": [""] * len(texts), "text": texts})
    job.out.write(frame[:1])
    job.out.write(frame[1:])


def made(promise: Promise, root: str) -> pl.DataFrame:
    for needed in inputs_first(promise):
        if not state(needed, root).cached:
            build(needed, root, SURROUNDINGS)
    return storage.read(promise.ref(root))


def test_copies_are_counted_per_language_whatever_their_case_and_form(tmp_path):
    corpus = {language: make_faq(language, language=language) for language in TEXTS}
    found = made(steps.count_copies(corpus=corpus, text="title_and_text"), str(tmp_path))
    assert found.rows() == [("en", 6, 3), ("sw", 2, 0)]


@pytest.fixture
def beir(tmp_path: Path) -> PipelineConfig:
    """Arguments that ask for their counter-arguments, as ArguAna has them; one document is there twice."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    texts = {
        "zoo-con": "Zoos should close since wild animals suffer in cages.",
        "zoo-pro": "Without zoos many wild animals would be extinct.",
        "car-con": "Cars should be banned from cities as their smoke makes children ill.",
        "car-pro": "A ban on cars moves smoke to the suburbs, where more children live than in cities.",
        "x": "Bread rises because yeast makes gas.",
        "y": "bread rises because yeast makes gas.",
    }
    corpus = [f'{{"_id": "{name}", "title": "", "text": "{text}"}}' for name, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join(corpus))
    queries = [f'{{"_id": "{name}", "text": "{texts[name]}"}}' for name in ("zoo-con", "car-con")]
    (folder / "queries.jsonl").write_text("\n".join(queries))
    judged = "query-id\tcorpus-id\tscore\nzoo-con\tzoo-pro\t1\ncar-con\tcar-pro\t1\n"
    (folder / "qrels" / "test.tsv").write_text(judged)
    ingest = {"layout": "beir", "path": str(folder), "train_split": "", "dev_split": "test"}
    settings = {"languages": ["en"], "ingest": ingest, "storage": {"root": str(tmp_path / "store")}}
    return PipelineConfig.model_validate(settings | {"evaluate": {"metrics": ["nDCG@10", "R@1"]}})


@pytest.mark.slow
def test_query_that_is_a_document_does_not_find_itself_with_beirs_layout_and_the_results_say_so(beir):
    pipeline = weave(beir)
    (bm25,) = (promise for promise in pipeline.metrics if promise.settings["system"] == "bm25")
    (copies,) = (promise for promise in pipeline.promises if promise.step is steps.count_copies)
    root = beir.storage.location
    means = made(bm25, root).filter(language="en", query_id="all")
    assert means.select("metric", "value", "num_queries").rows() == [("nDCG@10", 1.0, 2), ("R@1", 1.0, 2)]
    made(copies, root)
    notes = result_notes(pipeline, beir)
    assert "query's own id is no hit" in notes[0]
    assert notes[1].endswith("where they are not judged: en 1 of 6.")
    plain = beir.model_copy(update={"evaluate": beir.evaluate.model_copy(update={"ignore_own_document": False})})
    (bm25, *_) = weave(plain).metrics
    means = made(bm25, root).filter(language="en", query_id="all")
    assert means["value"].to_list() == [pytest.approx(0.63093, abs=1e-5), 0.0]
    assert len(result_notes(weave(plain), plain)) == 1
