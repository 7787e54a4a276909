"""Scoring with the folds' models: who judges whom, and in whose company."""

import numpy as np
import polars as pl
import pytest
from support.tiny_model import write_tiny_encoder

from tasks.denoise.fit import fit_evidence_model
from tasks.denoise.gather import gather_evidence
from tasks.denoise.rerank import score_beside, score_with_folds
from tasks.models.encoder import Encoder
from tasks.models.evidence_model import EvidenceModel

WORDS = ["apple", "river", "stone", "cloud", "horse", "piano"]
LIMITS = {"max_query_tokens": 16, "max_document_tokens": 32, "batch_tokens": 512}


def table(query_id: str, words: list[str] = WORDS, relevant: tuple[str, ...] = ("apple",)) -> pl.DataFrame:
    rows = [(query_id, word, "apple river?", f"{word}. Much {word}.", int(word in relevant) or None) for word in words]
    schema = {name: pl.String for name in ("query_id", "doc_id", "query", "document")} | {"relevance": pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder.load(write_tiny_encoder(tmp_path_factory.mktemp("encoder"), texts=WORDS), device="cpu")


@pytest.fixture(scope="module")
def model(encoder: Encoder) -> EvidenceModel:
    rows = pl.concat([table(f"q{n}", relevant=("apple", "river")) for n in range(6)]).with_columns(in_pool=True)
    evidence = gather_evidence(rows, encoder, progress=lambda _: None, **LIMITS)
    labels = rows["relevance"].fill_null(0).to_numpy().astype(np.int32)
    settings = {"strength": 1.0, "reference_strength": 1.0, "relation_ridge": 0.01}
    return fit_evidence_model(evidence, labels, num_steps=3, progress=lambda _: None, **settings)[0]


def score(rows: pl.DataFrame, model: EvidenceModel, encoder: Encoder) -> pl.DataFrame:
    folded = rows.with_columns(fold=pl.lit(0, dtype=pl.Int32))
    return score_with_folds(folded, {0: model}, encoder, progress=lambda _: None, **LIMITS)


def test_only_the_relevant_document_without_another_is_judged_alone(model: EvidenceModel, encoder: Encoder):
    scored = score(table("q"), model, encoder)
    assert scored.filter(pl.col("judge") == "fold-0-alone")["doc_id"].to_list() == ["apple"]
    assert scored["doc_id"].to_list() == sorted(WORDS)
    without = score(table("q").drop("relevance"), model, encoder)
    assert without["judge"].unique().to_list() == ["fold-0-alone"]


def test_scores_do_not_depend_on_other_queries_or_the_order(model: EvidenceModel, encoder: Encoder):
    both = pl.concat([table("q"), table("r", relevant=("stone",))]).reverse()
    together = score(both, model, encoder).filter(pl.col("query_id") == "q")
    assert together.equals(score(table("q"), model, encoder))


def test_new_pairs_are_judged_in_the_pool_and_leave_it_as_it_is(model: EvidenceModel, encoder: Encoder):
    pool, new = table("q"), table("q", words=["river", "piano"]).drop("relevance")
    new = new.with_columns(doc_id=pl.lit("new-") + pl.col("doc_id"))
    scored = score_beside(new, pool, lambda rows: score(rows, model, encoder))
    known = dict(score(pool, model, encoder).select("doc_id", "raw").rows())
    assert dict(scored.select("doc_id", "raw").rows()) == pytest.approx(
        {"new-river": known["river"], "new-piano": known["piano"]}, abs=2e-3
    )
    alone = score_beside(new[:1], pool, lambda rows: score(rows, model, encoder))
    assert alone["raw"][0] == pytest.approx(known["river"], abs=2e-3)


def test_pairs_that_are_judged_by_themselves_need_no_pool():
    rows = table("q")
    assert score_beside(rows, None, lambda given: given).equals(rows)


def test_no_pairs_give_no_scores(model: EvidenceModel, encoder: Encoder):
    assert score(table("q").clear(), model, encoder).is_empty()


def test_rejects_a_fold_without_a_model(model: EvidenceModel, encoder: Encoder):
    with pytest.raises(ValueError, match=r"expected a model for every fold, got none for \[0\] of \[1\]"):
        score_with_folds(table("q").with_columns(fold=0), {1: model}, encoder, progress=lambda _: None, **LIMITS)
