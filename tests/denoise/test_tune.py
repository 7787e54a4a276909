"""Tuning the encoder's last layers: who is learnt from, what is learnt, and that it repeats itself."""

import numpy as np
import polars as pl
import pytest
import torch
from support.tiny_model import write_tiny_encoder
from torch import nn

from tasks.denoise.tune import TEMPERATURE, Question, document_logits, draw_questions, tune_layers
from tasks.models.encoder import Encoder
from tasks.models.top_layers import put_in

ASKED = {"currency": "coins", "capital": "town", "river": "water"}
NAMES = ["Kenya", "Chad", "Peru", "Guinea", "Belize", "Norway"]
LIMITS = {"max_query_tokens": 16, "max_document_tokens": 16, "batch_tokens": 256}
SETTINGS = {"num_layers": 2, "num_epochs": 3, "learning_rate": 2e-3, "queries_per_batch": 4, "seed": 0}


def questions(names: list[str] = NAMES) -> list[Question]:
    """Each kind of question is answered in words of its own, of which the question has none."""
    return [
        Question(
            "en",
            f"{kind} of {name}",
            (f"{name} has {answer} there.",),
            tuple(f"{name} has {other} there." for other in ASKED.values() if other != answer),
        )
        for name in names
        for kind, answer in ASKED.items()
    ]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    words = [*ASKED, *ASKED.values(), *NAMES, "has", "there", "of", "."]
    return Encoder.load(write_tiny_encoder(tmp_path_factory.mktemp("encoder"), texts=words), device="cpu")


def tune(encoder: Encoder, given: list[Question], **changes: float) -> nn.ModuleList:
    return tune_layers(given, encoder, progress=lambda _: None, **(SETTINGS | LIMITS | changes))  # type: ignore[arg-type]


def share_right(encoder: Encoder, given: list[Question]) -> float:
    """Share of questions whose answer is the closest of their documents."""

    def embed(texts: list[str], role: str) -> np.ndarray:
        return encoder.embed(texts, role=role, max_tokens=16, batch_tokens=256)  # type: ignore[arg-type]

    right = [
        (embed([one.query], "query") @ embed([*one.relevant, *one.other], "document").T).argmax() == 0 for one in given
    ]
    return float(np.mean(right))


def test_learns_which_words_answer_which_questions(encoder: Encoder):
    unseen = questions(NAMES[4:])
    before = share_right(encoder, unseen)
    with put_in(encoder, tune(encoder, questions(NAMES[:4]), num_epochs=20)):
        assert share_right(encoder, unseen) > max(before, 0.6)
    assert share_right(encoder, unseen) == before  # the encoder itself has learnt nothing


def test_the_same_questions_give_the_same_weights_and_other_seeds_others(encoder: Encoder):
    one, two, other = (tune(encoder, questions(), seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_progress_counts_every_question_once_per_epoch(encoder: Encoder):
    done: list[int] = []
    tune_layers(questions(), encoder, progress=done.append, **(SETTINGS | LIMITS))  # type: ignore[arg-type]
    assert sum(done) == 3 * len(questions())
    assert max(done) <= 4


def test_a_documents_logit_is_the_soft_maximum_of_its_sentences():
    product_BS = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    logits = document_logits(product_BS, np.array([1, 4]))
    expected = [0.1 / TEMPERATURE, float(torch.logsumexp(product_BS[0, 1:] / TEMPERATURE, 0))]
    torch.testing.assert_close(logits, torch.tensor([expected]))


def labelled(counts: dict[str, int]) -> pl.DataFrame:
    rows = [
        (language, f"{language}-{n}", f"{(7 * n) % 10}", f"query {n}", f"document {label}", label)
        for language, count in counts.items()
        for n in range(count)
        for label in (0, 1)
    ]
    return pl.DataFrame(rows, schema=["language", "query_id", "key", "query", "document", "label"], orient="row")


def test_languages_are_drawn_from_evenly_by_the_smallest_keys():
    drawn = draw_questions(labelled({"en": 9, "fi": 2, "sw": 9}), max_queries=8)
    assert [one.language for one in drawn] == ["en"] * 3 + ["fi"] * 2 + ["sw"] * 3
    assert [one.query for one in drawn if one.language == "sw"] == ["query 0", "query 3", "query 6"]  # keys 0, 1, 2


def test_draw_does_not_depend_on_the_order_of_rows():
    pairs = labelled({"en": 5, "sw": 5})
    assert draw_questions(pairs.reverse(), max_queries=6) == draw_questions(pairs, max_queries=6)


def test_queries_without_a_relevant_or_another_document_teach_nothing():
    pairs = labelled({"en": 3}).filter(~((pl.col("query_id") == "en-1") & (pl.col("label") == 0)))
    pairs = pairs.filter(~((pl.col("query_id") == "en-2") & (pl.col("label") == 1)))
    assert [one.query for one in draw_questions(pairs, max_queries=9)] == ["query 0"]
