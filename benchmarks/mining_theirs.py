"""The peer's side of `benchmarks/mining.py` and `mining_scale.py`: sentence_transformers.util.mine_hard_negatives."""

from types import SimpleNamespace
from typing import Any

import drawn_inputs as drawn
import numpy as np
import torch
from datasets import Dataset
from mining_inputs import TEXT, Inputs, Part
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.util import dot_score, mine_hard_negatives, pairwise_dot_score

from storage import folder, read
from tasks.models.texts import document_text

Pairs = list[tuple[str, str]]


def mine(part: dict[str, Any], root: str, *, judged: bool) -> Pairs:
    """Mine by sentence-transformers, at its defaults but for texts, lengths, float32 and k."""
    return _mine(Part(**part), root, judged=judged)


def _mine(part: Part, root: str, *, judged: bool) -> Pairs:
    torch.set_num_threads(part.threads)
    given = Inputs.of(part)
    corpus = read(given.corpus.ref(root)).select("doc_id", text=document_text(TEXT))
    queries = read(given.queries.ref(root)).select("query_id", query="text")
    pairs = read(given.qrels.ref(root)).join(queries, on="query_id").join(corpus, on="doc_id")
    float32 = {"dtype": torch.float32}
    model = SentenceTransformer(str(folder(given.encoder.ref(root)) / "model"), device="cpu", model_kwargs=float32)
    model.max_seq_length = part.max_tokens
    cross_encoder = None
    if judged:
        cross_encoder = CrossEncoder(
            f"{root}/cross_encoder",
            device="cpu",
            max_length=part.max_query_tokens + part.max_tokens,
            model_kwargs=float32,
            activation_fn=torch.nn.Identity(),
        )
    mined = mine_hard_negatives(
        Dataset.from_dict({"query": pairs["query"].to_list(), "positive": pairs["text"].to_list()}),
        model,
        corpus=corpus["text"].to_list(),
        cross_encoder=cross_encoder,
        range_max=part.top_k - 1,  # it retrieves, and scores, as many more as a query has positives
        num_negatives=part.top_k - 1,
        absolute_margin=0.0 if judged else None,
        verbose=False,
    )
    query_ids = dict(queries.select("query", "query_id").rows())
    doc_ids = dict(corpus.select("text", "doc_id").rows())
    return sorted((query_ids[row["query"]], doc_ids[row["negative"]]) for row in mined)


def search_drawn(root: str, num_documents: int, num_queries: int) -> int:
    """Mine over the random vectors: the model is a stand-in that returns them."""
    documents, asked, _ = drawn.inputs(num_documents, num_queries)

    def load(step: Any) -> np.ndarray:
        return read(step.ref(root))["vector"].to_numpy().astype(np.float32)

    model = SimpleNamespace(
        device=torch.device("cpu"),
        encode_document=lambda *_args, **_kwargs: load(documents),
        encode_query=lambda *_args, **_kwargs: load(asked),
        similarity=dot_score,
        similarity_pairwise=pairwise_dot_score,
    )
    corpus = [f"document {number}" for number in range(num_documents)]
    queries = [f"query {number}" for number in range(num_queries)]
    mined = mine_hard_negatives(
        Dataset.from_dict({"query": queries, "positive": corpus[:num_queries]}),
        model,  # type: ignore[arg-type] # all that is used of it
        corpus=corpus,
        range_max=drawn.TOP_K - 1,
        num_negatives=drawn.TOP_K - 1,
        verbose=False,
    )
    return len(mined)
