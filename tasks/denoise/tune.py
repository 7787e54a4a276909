"""Fine-tune the last layers of the encoder as a judge: questions close to the sentences that answer them.

The encoder was trained on other texts, and does not tie every wording of a question to every wording of its answer.
A document counts by its sentences, so the loss is that of sentences: InfoNCE (METHOD 3.5) in which a document's logit
is the soft maximum of its sentences' cosines. Shapes: B queries, M documents, S sentences, D vector size.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.denoise.sentences import sentences_by_document
from tasks.models.batches import length_buckets, pad
from tasks.models.encoder import Encoder
from tasks.models.top_layers import copy_top_layers, put_in

TEMPERATURE = 0.03
"""Of the cosines, in training and scoring: e5's lie close together."""

_WARM_UP, _LAST_RATE, _WEIGHT_DECAY = 0.1, 0.05, 0.01


@dataclass(frozen=True)
class Question:
    """A training query with the documents that answer it and some that do not."""

    language: str
    query: str
    relevant: tuple[str, ...]
    other: tuple[str, ...]


def draw_questions(pairs: pl.DataFrame, *, max_queries: int) -> list[Question]:
    """Turn labelled pairs into questions, of as many queries of each language as there are, up to `max_queries` in all.

    Args:
        pairs: language, query_id, key (that queries are drawn by, the smallest first), query, document, label.
        max_queries: of all languages together.

    Returns:
        Questions that have both a relevant and another document, by language and query_id.
    """
    documents = (
        pl.col("document").filter(pl.col("label") == 1).sort().alias("relevant"),
        pl.col("document").filter(pl.col("label") == 0).sort().alias("other"),
    )
    found = pairs.group_by("language", "query_id").agg(pl.col("key", "query").first(), *documents)
    found = found.filter(pl.col("relevant").list.len() > 0, pl.col("other").list.len() > 0)
    place = pl.struct("key", "query_id").rank("ordinal").over("language")
    drawn = found.with_columns(place=place).sort("place", "language").head(max_queries).sort("language", "query_id")
    rows = drawn.select("language", "query", "relevant", "other").iter_rows()
    return [Question(language, query, tuple(relevant), tuple(other)) for language, query, relevant, other in rows]


def tune_layers(
    questions: list[Question],
    encoder: Encoder,
    *,
    num_layers: int,
    num_epochs: int,
    learning_rate: float,
    queries_per_batch: int,
    max_query_tokens: int,
    max_document_tokens: int,
    batch_tokens: int,
    seed: int,
    progress: Callable[[int], None],
) -> nn.ModuleList:
    """Return tuned copies of the encoder's last layers; the encoder computes as before, but takes no more gradients.

    A batch holds one language, and each query's documents are negatives of the others. The same questions give the same
    weights on the same machine with the same number of threads.

    Args:
        questions: to learn from.
        encoder: in eval mode, so without dropout.
        num_layers: that are tuned; the others only compute.
        num_epochs: times that each question is seen.
        learning_rate: the highest, after a warm-up; then it falls to nearly nothing.
        queries_per_batch: of each step.
        max_query_tokens: queries are cut to this.
        max_document_tokens: sentences are cut to this.
        batch_tokens: tokens per pass through the network, padding included.
        seed: of the order.
        progress: called with the number of questions done since its last call.
    """
    encoder.requires_grad_(False)  # no gradients of the layers below
    layers = copy_top_layers(encoder, num_layers)
    optimizer = torch.optim.AdamW(layers.parameters(), lr=learning_rate, weight_decay=_WEIGHT_DECAY)
    batches = [batch for epoch in range(num_epochs) for batch in _batches(questions, queries_per_batch, [seed, epoch])]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, len(batches)))
    texts = _Tokens(encoder, questions, max_query_tokens, max_document_tokens, batch_tokens)
    with put_in(encoder, layers):
        for batch in batches:
            loss = _loss(batch, texts)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            optimizer.step()
            schedule.step()
            progress(len(batch))
    return layers.requires_grad_(False)


def document_logits(product_BS: Tensor, end_M: NDArray[np.int64]) -> Tensor:
    """Return logits of documents from their sentences' cosines, [B, M]; sentences of a document follow one another."""
    starts = np.concatenate([[0], end_M[:-1]])
    parts = [product_BS[:, start:end] for start, end in zip(starts.tolist(), end_M.tolist(), strict=True)]
    return torch.stack([torch.logsumexp(part / TEMPERATURE, dim=1) for part in parts], dim=1)


class _Tokens:
    """The texts of all questions as token ids, made once."""

    def __init__(
        self, encoder: Encoder, questions: list[Question], query_tokens: int, document_tokens: int, batch_tokens: int
    ) -> None:
        self._encoder, self._batch_tokens = encoder, batch_tokens
        documents = pl.Series(sorted({document for one in questions for document in (*one.relevant, *one.other)}))
        self.sentences_of = sentences_by_document(documents)
        sentences = sorted({sentence for told in self.sentences_of.values() for sentence in told})
        queries = sorted({one.query for one in questions})
        self._queries = dict(
            zip(queries, encoder.tokenize(queries, role="query", max_tokens=query_tokens), strict=True)
        )
        self._sentences = dict(
            zip(sentences, encoder.tokenize(sentences, role="document", max_tokens=document_tokens), strict=True)
        )

    def embed_queries(self, queries: list[str]) -> Tensor:
        """Unit vectors with gradients, [B, D]."""
        return self._embed([self._queries[query] for query in queries])

    def embed_sentences(self, sentences: list[str]) -> Tensor:
        """Unit vectors with gradients, [S, D]."""
        return self._embed([self._sentences[sentence] for sentence in sentences])

    def _embed(self, token_ids: list[list[int]]) -> Tensor:
        device, pad_id = self._encoder.backbone.device, self._encoder.pad_id
        parts, places = [], []
        for positions in length_buckets([len(ids) for ids in token_ids], batch_tokens=self._batch_tokens):
            batch, attention = pad([token_ids[position] for position in positions], pad_id=pad_id)
            parts.append(self._encoder(batch.to(device), attention.to(device)))
            places += positions
        return torch.cat(parts)[torch.tensor(np.argsort(places), device=device)]


def _loss(batch: list[Question], texts: _Tokens) -> Tensor:
    """The mean over the queries and their relevant documents: each against everything that is not relevant."""
    documents = sorted({document for one in batch for document in (*one.relevant, *one.other)})
    told = [texts.sentences_of[document] for document in documents]
    sentences = sorted({sentence for one in told for sentence in one})
    column = {sentence: number for number, sentence in enumerate(sentences)}
    query_BD, sentence_SD = texts.embed_queries([one.query for one in batch]), texts.embed_sentences(sentences)
    product_BS = (query_BD @ sentence_SD.T)[:, [column[sentence] for one in told for sentence in one]]
    logit_BM = document_logits(product_BS, np.cumsum([len(one) for one in told]))
    losses = []
    for row, one in enumerate(batch):
        relevant_M = torch.tensor([document in one.relevant for document in documents], device=logit_BM.device)
        others = torch.logsumexp(logit_BM[row][~relevant_M], dim=0)
        losses.append(F.softplus(others - logit_BM[row][relevant_M]).mean())
    return torch.stack(losses).mean()


def _batches(questions: list[Question], size: int, seed: list[int]) -> Iterator[list[Question]]:
    """Yield batches of one language each, in a drawn order."""
    draw = np.random.default_rng(seed)
    batches = []
    for language in sorted({one.language for one in questions}):
        own = [one for one in questions if one.language == language]
        mixed = [own[place] for place in draw.permutation(len(own))]
        batches += [mixed[start : start + size] for start in range(0, len(mixed), size)]
    yield from (batches[place] for place in draw.permutation(len(batches)))


def _rate(step: int, num_steps: int) -> float:
    warm = max(math.ceil(_WARM_UP * num_steps), 1)
    return min((step + 1) / warm, 1.0 - (1.0 - _LAST_RATE) * step / num_steps)
