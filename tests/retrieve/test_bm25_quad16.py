"""BM25 on real text in 16 languages gives the figures measured apart from the project (../shared/DATA.md)."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import ir_measures
import polars as pl
import pytest
from ir_measures import R, nDCG

from tasks.retrieve.analyzers import analyzer_of
from tasks.retrieve.bm25 import rank_documents

# nDCG@10 and R@100 of the dev queries; sw: its lower-cased words, not by Lucene's tokenizer; fa, id and th are ours,
# better than .9213, .6662 and .8728 / .9893: canonically equal text is one text, ’ is ', Thai punctuation no term
MEASURED = {
    "ar": (0.7325, 0.9527),
    "bn": (0.7239, 0.9731),
    "en": (0.7920, 0.9600),
    "es": (0.6668, 0.8720),
    "fa": (0.9251, 0.9940),
    "fi": (0.8012, 0.9597),
    "fr": (0.7531, 0.9320),
    "hi": (0.8205, 0.9541),
    "id": (0.6677, 0.9409),
    "ja": (0.8667, 0.9940),
    "ko": (0.5072, 0.9140),
    "ru": (0.7187, 0.9415),
    "sw": (0.571, 0.906),
    "te": (0.7079, 0.9178),
    "th": (0.8757, 0.9900),
    "zh": (0.8794, 0.9730),
}


def corpus_parts(folder: Path) -> Iterator[pl.DataFrame]:
    for file in sorted(folder.glob("docs-*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            yield pl.DataFrame([json.loads(line) for line in lines]).rename({"docid": "doc_id"})


def read_topics(file: Path) -> pl.DataFrame:
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
    return pl.DataFrame(rows, schema=["query_id", "text"], orient="row")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", sorted(MEASURED))
def test_bm25_reaches_the_measured_figures(lucene, shared, tmp_path, language):
    folder = shared / "quad16"
    found = rank_documents(
        corpus_parts(folder / "corpus" / language),
        read_topics(folder / "topics" / f"topics.quad16-{language}-dev.tsv"),
        lucene=lucene,
        index=tmp_path / "index",
        analyzer=analyzer_of(language),
        text="title_and_text",
        k1=0.9,
        b=0.4,
        depth=100,
        advance=lambda done: None,
    )
    qrels = ir_measures.read_trec_qrels(str(folder / "qrels" / f"qrels.quad16-{language}-dev.tsv"))
    run = [ir_measures.ScoredDoc(*row) for row in found.select("query_id", "doc_id", -pl.col("rank")).iter_rows()]
    reached = ir_measures.calc_aggregate([nDCG @ 10, R @ 100], qrels, run)
    tolerance = 0.01 if language == "sw" else 0.0006
    assert (reached[nDCG @ 10], reached[R @ 100]) == pytest.approx(MEASURED[language], abs=tolerance)
