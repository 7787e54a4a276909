"""From raw files to results in languages outside the sixteen: German and Ukrainian trained, Yoruba only measured.

The collection is written from CLDR: a passage per country, five questions per passage, as SQuAD has them.
"""

from pathlib import Path

import polars as pl
import pytest
import yaml
from babel import Locale
from babel.languages import get_official_languages
from babel.numbers import get_territory_currencies
from support.in_process import build_missing
from support.raw_files import jsonl, tsv, write
from support.tiny_model import write_tiny_encoder
from typer.testing import CliRunner

from flows.cli.main import app
from flows.configs import load_config
from flows.weave import weave
from storage import inspect

PASSAGES = {
    "de": "In {country} zahlt man mit {currency}. Amtssprache ist {tongue}. Das Kürzel des Landes ist {code}.",
    "uk": "{country}: валюта — {currency}. Офіційна мова — {tongue}. Код країни — {code}.",
    "yo": "{country}: owó ibẹ̀ ni {currency}. Èdè ibẹ̀ ni {tongue}. Àmì orílẹ̀-èdè náà ni {code}.",
}
QUESTIONS = {
    "de": ["Womit zahlt man in {country}?", "Was spricht man in {country}?", "Welches Kürzel hat {country}?"]
    + ["Wie heißt die Währung von {country}?", "Wie heißt die Amtssprache von {country}?"],
    "uk": ["Чим платять: {country}?", "Якою мовою говорять: {country}?", "Який код має {country}?"]
    + ["Як зветься валюта: {country}?", "Як зветься офіційна мова: {country}?"],
    "yo": ["Kí ni owó {country}?", "Èdè wo ni wọ́n ń sọ ní {country}?", "Kí ni àmì {country}?"]
    + ["Owó wo ni {country} ń ná?", "Kí ni èdè {country}?"],
}
COUNTRIES = [code for code in sorted(Locale("en").territories) if code.isalpha() and get_official_languages(code)][:60]
NUM_TRAIN = 45


def facts(language: str, code: str) -> dict[str, str]:
    """Name a country and what it uses in a language."""
    names, tongue = Locale(language), get_official_languages(code)[0]
    money = get_territory_currencies(code)[0] if get_territory_currencies(code) else "USD"
    return {
        "country": names.territories.get(code, code),
        "currency": names.currencies.get(money, money),
        "tongue": names.languages.get(tongue, tongue),
        "code": code,
    }


def write_collection(root: Path, language: str, splits: dict[str, list[str]]) -> None:
    documents, known = [], {code: facts(language, code) for code in COUNTRIES}
    for code, fact in known.items():
        documents.append({"doc_id": code, "title": fact["country"], "text": PASSAGES[language].format(**fact)})
    write(root / f"{language}/corpus.jsonl.gz", jsonl(documents))
    for split, codes in splits.items():
        asked = [
            (f"{code}-{n}", q.format(**known[code]), code) for code in codes for n, q in enumerate(QUESTIONS[language])
        ]
        queries, qrels = [row[:2] for row in asked], [(query, code, 1) for query, _, code in asked]
        write(root / f"{language}/queries-{split}.tsv", tsv([("query_id", "text"), *queries]))
        write(root / f"{language}/qrels-{split}.tsv", tsv([("query_id", "doc_id", "relevance"), *qrels]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the files, a tiny encoder and the configuration."""
    folder = tmp_path_factory.mktemp("any")
    write_tiny_encoder(folder / "model")
    train, dev = COUNTRIES[:NUM_TRAIN], COUNTRIES[NUM_TRAIN:]
    for language in ("de", "uk"):
        write_collection(folder / "raw", language, {"train": train, "dev": dev})
    write_collection(folder / "raw", "yo", {"dev": dev})
    settings = {
        "languages": ["de", "uk", "yo"],
        "storage": {"root": str(folder / "data")},
        "ingest": {
            "layout": "table",
            "path": f"{folder}/raw/{{language}}",
            "corpus": "corpus.jsonl.gz",
            "queries": "queries-{split}.tsv",
            "qrels": "qrels-{split}.tsv",
            "allow_missing_train": True,
        },
        "encoder": {"model": str(folder / "model")},
        "retrieve": {"fuse": {"top_k": 12}},
        "denoise": {"presumed_ranks": [6, 40]},
        "plan_batches": {"batch_size": 4, "num_negatives": 2, "num_epochs": 1, "topics": 4},
        "text": {"max_query_tokens": 24, "max_document_tokens": 48},
        "train": {"learning_rate": 1e-3},
    }
    (folder / "any.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder


def test_plan_knows_them(folder: Path) -> None:
    planned = CliRunner().invoke(app, ["plan", str(folder / "any.yaml")], catch_exceptions=False).output
    assert "yo: no train queries, so only measured" in planned


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_languages_outside_the_sixteen_go_from_files_to_results(folder: Path) -> None:
    pipeline, root = weave(load_config(folder / "any.yaml")), str(folder / "data")
    build_missing(pipeline, root)
    means = pl.DataFrame([row for promise in pipeline.metrics for row in inspect.metrics_means(promise.ref(root))])
    for system in ("bm25", "untrained", "trained"):
        measured = means.filter(system=system).select("language", "num_queries").unique().sort("language")
        assert measured.rows() == [("all", 225), ("de", 75), ("uk", 75), ("yo", 75)]
    found = means.filter(system="bm25", metric="nDCG@10")["value"].to_list()
    assert min(found) > 0.5
