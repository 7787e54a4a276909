"""One question to what a run has stored, and texts into vectors as a run embeds them; writes no dataset."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from storage import DatasetRef, MissingDataset, folder, iter_parts
from tasks.models.encoder import shared_encoder
from tasks.models.layout import Role
from tasks.models.texts import document_text
from tasks.retrieve import bm25, embed, lucene, products
from tasks.retrieve import search as dense
from tasks.retrieve.config import Bm25Config
from tasks.retrieve.task import bm25_index


def rank_by_terms(
    question: str, *, corpus: DatasetRef, analyzer: str, text: str, config: Bm25Config, depth: int, threads: int
) -> list[dict[str, Any]]:
    """Rank a corpus as `retrieve_bm25` does, whose arguments these are: doc_id, rank and score of the best documents.

    Raises:
        MissingDataset: this user's cache holds no index of the corpus.
    """
    index = bm25_index(corpus, text=text, analyzer=analyzer)
    if not index.exists():
        raise MissingDataset("this user's cache has no index of the corpus: add `--refresh retrieve_bm25` to its run.")
    asked = pl.DataFrame({"query_id": [""], "text": [question]})
    settings: dict[str, Any] = {"analyzer": analyzer, "text": text, "k1": config.k1, "b": config.b, "depth": depth}
    with contextlib.closing(lucene.Lucene(threads)) as java:
        candidates = bm25.rank_documents((), asked, lucene=java, index=index, advance=lambda _: None, **settings)
    return candidates.select("doc_id", "rank", "score").to_dicts()


def rank_by_vectors(
    question: str, *, documents: DatasetRef, depth: int, threads: int, device: str, **encoder: Any
) -> list[dict[str, Any]]:
    """Rank a corpus by its stored vectors, exactly, for a question that `embed_rows` embeds; returns as the other."""
    asked = embed_rows([{"id": "", "text": question}], role="query", device=device, **encoder)
    search = products.top_products(_device(device), threads)
    shards = iter_parts(documents)
    candidates = dense.search_shards(shards, asked, system="", depth=depth, top_products=search, advance=lambda _: None)
    return candidates.select("doc_id", "rank", "score").to_dicts()


def embed_rows(
    rows: Sequence[Mapping[str, str]],
    *,
    encoder: DatasetRef | Path,
    role: Role,
    max_tokens: int,
    device: str,
    dtype: str = "float32",
    text: str = "title_and_text",
    batch_tokens: int = 2048,
    draw: Callable[[int], None] = lambda _: None,
) -> pl.DataFrame:
    """Embed texts as `embed_queries` and `embed_documents` do, whose arguments these are.

    `rows` have id and text, of documents also the title, if any; `encoder` is its dataset, or the folder of a model
    with its pooling and prompts; `device` may be `auto`, too; `draw` is told how many texts are done.
    """
    done = 0

    def advance(number: int) -> None:
        nonlocal done
        draw(done := done + number)

    model = encoder if isinstance(encoder, Path) else folder(encoder) / "model"
    frame = pl.DataFrame({name: [row.get(name, "") for row in rows] for name in ("id", "title", "text")})
    if role == "document":
        frame = frame.select("id", document_text(text))
    embedded = embed.embed_shards(
        [frame],
        encoder=shared_encoder(model, _device(device), dtype),
        role=role,
        max_tokens=max_tokens,
        batch_tokens=batch_tokens,
        progress=advance,
    )
    return next(embedded)


def write_vectors(vectors: pl.DataFrame, path: Path) -> None:
    """Write embeddings as Parquet, or as NumPy's .npy: float32, a row per text; the file appears when it is whole."""
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        if path.suffix == ".npy":
            np.save(file, vectors["vector"].to_numpy().astype(np.float32))
        else:
            vectors.write_parquet(file)
    temporary.replace(path)


def _device(setting: str) -> str:
    return setting if setting != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
