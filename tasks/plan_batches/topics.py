"""Find what each train query is about: the cluster, or the class, of its first positive."""

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from tasks.plan_batches.clusters import fit_clusters

LABEL_LANGUAGE = "en"
NUM_TITLES = 3
LABEL_CHARACTERS = 40


def first_positives(queries: pl.DataFrame, qrels: pl.DataFrame) -> pl.DataFrame:
    """Choose the document that stands for each train query: its most relevant one, by id among equals.

    Args:
        queries: the train queries: query_id.
        qrels: query_id, doc_id, relevance.

    Returns:
        query_id, doc_id; sorted by query_id. A query without a positive has no row.
    """
    return (
        qrels.filter(pl.col("relevance") > 0)
        .join(queries, on="query_id", how="semi")
        .sort("query_id", pl.col("relevance") * -1, "doc_id")
        .unique("query_id", keep="first", maintain_order=True)
        .select("query_id", "doc_id")
    )


def gather_vectors(parts: Iterable[pl.DataFrame], positives: pl.DataFrame, *, language: str) -> np.ndarray:
    """Pick the positives' embeddings out of a corpus's, part by part.

    Args:
        parts: id, vector.
        positives: query_id, doc_id.
        language: names the corpus in errors.

    Returns:
        One vector per row of `positives`, in its order, [N, D] float16.

    Raises:
        ValueError: a positive has no embedding.
    """
    documents = positives.select(pl.col("doc_id").unique())
    picked = [
        part.select("id", "vector").join(documents, left_on="id", right_on="doc_id", how="semi") for part in parts
    ]
    embedded = pl.concat([frame["id"] for frame in picked]) if picked else pl.Series("id", dtype=pl.String)
    missing = documents.filter(~pl.col("doc_id").is_in(embedded.implode())).sort("doc_id")
    if missing.height:
        raise ValueError(
            f"topics: expected an embedding of every positive of '{language}', got none of {missing.height}, the first "
            f"'{missing['doc_id'][0]}'. Embed the corpus that the qrels were made for."
        )
    if not picked:
        return np.empty((0, 0), dtype=np.float16)
    vectors = np.concatenate([frame["vector"].to_numpy() for frame in picked])
    row = positives.join(
        embedded.to_frame().with_row_index("row"), left_on="doc_id", right_on="id", how="left", maintain_order="left"
    )["row"]
    return np.asarray(vectors[row.to_numpy()], dtype=np.float16)


def cluster_topics(
    positives: Mapping[str, pl.DataFrame], vectors: Mapping[str, np.ndarray], *, num_topics: int, seed: int
) -> pl.DataFrame:
    """Cluster the queries of all languages by their first positives.

    Args:
        positives: query_id, doc_id of each language, sorted by query_id.
        vectors: embedding of each row, [N, D].
        num_topics: clusters.
        seed: seed.

    Returns:
        language, query_id, doc_id, topic (0 = the most queries), confidence (0 = between two topics, 1 = at the
        centre of one), cosine (to the centre); sorted by language and query_id.

    Raises:
        ValueError: fewer queries than topics.
    """
    filled = {language: rows for language, rows in vectors.items() if len(rows)}
    clusters = fit_clusters(filled, num_topics=num_topics, seed=seed)
    assigned = []
    for language in sorted(filled):
        cluster, confidence, cosine = clusters.assign(language, filled[language])
        assigned.append(
            positives[language].select(
                pl.lit(language).alias("language"),
                *("query_id", "doc_id"),
                pl.Series("cluster", cluster),
                pl.Series("confidence", confidence),
                pl.Series("cosine", cosine),
            )
        )
    queries = pl.concat(assigned)
    sizes = queries.group_by("cluster", maintain_order=True).len().sort("len", descending=True, maintain_order=True)
    topic = sizes.select("cluster", topic=pl.int_range(pl.len(), dtype=pl.Int32))
    return queries.join(topic, on="cluster", maintain_order="left").select(
        "language", "query_id", "doc_id", "topic", "confidence", "cosine"
    )


def label_topics(assigned: pl.DataFrame, corpus: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    """Name each topic by the titles of the documents nearest to its centre, English ones where there are any.

    Args:
        assigned: what `cluster_topics` returns.
        corpus: doc_id, title, text of each language.

    Returns:
        language, query_id, topic, label, confidence: the topics dataset.
    """
    nearest = (
        assigned.sort(pl.col("language") != LABEL_LANGUAGE, -pl.col("cosine"), "language", "doc_id")
        .unique(["topic", "language", "doc_id"], keep="first", maintain_order=True)
        .group_by("topic", maintain_order=True)
        .head(NUM_TITLES * 4)  # passages of one article share its title
        .sort("topic", maintain_order=True)
    )
    first_words = pl.col("text").str.strip_chars().str.slice(0, LABEL_CHARACTERS).str.strip_chars()
    titles = nearest.join(pick_documents(corpus, nearest), on=["language", "doc_id"], maintain_order="left").select(
        "topic", title=pl.when(pl.col("title").str.strip_chars() == "").then(first_words).otherwise("title")
    )
    labels = (
        titles.unique(maintain_order=True)
        .group_by("topic", maintain_order=True)
        .agg(label=pl.col("title").head(NUM_TITLES).str.join(" · "))
    )
    return assigned.join(labels, on="topic", how="left", maintain_order="left").select(
        "language", "query_id", "topic", pl.col("label").fill_null(""), "confidence"
    )


def pick_documents(corpus: Mapping[str, pl.LazyFrame], chosen: pl.DataFrame) -> pl.DataFrame:
    """Read some documents.

    Args:
        corpus: doc_id, title, text of each language.
        chosen: language, doc_id.

    Returns:
        language, doc_id, title, text; each document once.
    """
    documents = [
        corpus[str(language)]
        .join(rows.lazy(), on="doc_id", how="semi")
        .select(pl.lit(language).alias("language"), "doc_id", "title", "text")
        .collect()
        for (language,), rows in sorted(chosen.partition_by("language", as_dict=True).items())
    ]
    return pl.concat(documents)
