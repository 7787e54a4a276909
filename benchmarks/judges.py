"""How many known false negatives does a judge find? quad16 with hidden positives: tables in Markdown.

    python benchmarks/judges.py --quad16 FOLDER --hidden FOLDER --work FOLDER [--queries 60] [--languages ru sw …]

Of each train query with hidden positives (relevant documents that its judgements leave out) the candidates are the
first 20 of BM25 over character grams. Judges learn from the visible judgements of these queries, and each query is
scored by a model that has not seen it. A judge is as good as the share of hidden positives that it drops where it drops
a given share of the other unjudged candidates. Vectors are kept in the work folder, so that a second run takes seconds.
Nothing may be chosen on ru and sw; only tests, benchmarks and reports may read the hidden lists.
"""

import argparse
import gzip
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from tasks.denoise.calibrate import apply_curve, comparable_pairs, fit_curves
from tasks.denoise.features import find_features, find_grams
from tasks.denoise.judge_model import NUM_FOLDS, REFERENCE, fit_fold, fold_queries, score_pairs, with_relative
from tasks.denoise.pairs import PAIR, draw_key, label_pairs, pairs_to_score, with_texts
from tasks.groups import group_queries
from tasks.models.encoder import Encoder
from tasks.models.sources import write_encoder

CHOSEN_ON = ("id", "ar", "th")
SHARES = (0.05, 0.10, 0.20)
LIMITS = {"max_query_tokens": 32, "max_document_tokens": 128, "batch_tokens": 2048}
RANKS = (8, 20)


class KeptVectors:
    """An encoder that embeds no text twice, whichever run it was."""

    def __init__(self, work: Path) -> None:
        """Read what earlier runs kept."""
        self.folder, self.model = work / "vectors", work / "model"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.known = {
            (role, text): np.array(vector, dtype=np.float32)
            for path in sorted(self.folder.glob("*.parquet"))
            for role, text, vector in pl.read_parquet(path).select("role", "text", "vector").iter_rows()
        }
        self.encoder: Encoder | None = None

    def embed(self, texts: Sequence[str], *, role: str, progress: Any = None, **limits: int) -> Any:
        """Return vectors; arguments as `Encoder.embed`'s."""
        if new := [text for text in texts if (role, text) not in self.known]:
            if self.encoder is None:
                prompts = {"query_prompt": "query: ", "document_prompt": "passage: "}
                if not self.model.exists():
                    write_encoder(
                        "bundled:multilingual-e5-small", self.model, num_layers=None, pooling="mean", **prompts
                    )
                self.encoder = Encoder.load_for_inference(self.model, device="cpu")
            started = time.process_time()
            vectors = self.encoder.embed(new, role=cast(Any, role), **limits)
            sys.stderr.write(f"{len(new)} texts in {time.process_time() - started:.1f} CPU s\n")
            table = pl.DataFrame({"role": [role] * len(new), "text": new, "vector": vectors})
            table.write_parquet(self.folder / f"{time.time_ns()}.parquet")
            self.known |= {(role, text): vector for text, vector in zip(new, vectors, strict=True)}
        return np.array([self.known[role, text] for text in texts], dtype=np.float32)


def rank(queries: dict[str, str], documents: dict[str, str], depth: int) -> pl.DataFrame:
    """BM25 (k1 0.9, b 0.4) over character grams: query_id, doc_id, rank."""
    grams = [find_grams(text) for text in documents.values()]
    size = np.array([len(one) for one in grams])
    weight = 1.9 / (1.0 + 0.9 * (0.6 + 0.4 * size / size.mean()))
    places: dict[str, list[int]] = {}
    for number, one in enumerate(grams):
        for gram in one:
            places.setdefault(gram, []).append(number)
    ids, rows = list(documents), []
    for query_id, text in queries.items():
        score = np.zeros(len(ids))
        for gram in sorted(find_grams(text)):
            holders = places.get(gram, [])
            score[holders] += np.log(1.0 + (len(ids) - len(holders) + 0.5) / (len(holders) + 0.5)) * weight[holders]
        best = np.argsort(-score, kind="stable")[:depth]
        rows += [(query_id, ids[place], number) for number, place in enumerate(best, start=1)]
    schema = {"query_id": pl.String, "doc_id": pl.String, "rank": pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def read_language(quad16: Path, hidden: Path, language: str, num_queries: int, encoder: KeptVectors) -> pl.DataFrame:
    """Features of one language's pairs, with relevance, rank, label (null: not learnt from), language and hidden."""
    lines = [
        line
        for path in (quad16 / "corpus" / language).glob("*.gz")
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    rows = sorted((json.loads(line) for line in lines), key=lambda row: str(row["docid"]))
    documents = {
        row["docid"]: f"{row['title']}\n{row['text']}" if row["title"].strip() else row["text"] for row in rows
    }
    topics = (quad16 / "topics" / f"topics.quad16-{language}-train.tsv").read_text().splitlines()
    positives = {tuple(line.split("\t")) for line in (hidden / f"hidden.{language}.tsv").read_text().splitlines()}
    asked = {query_id for query_id, _ in positives}
    queries = dict(line.split("\t") for line in topics if line.split("\t")[0] in asked)
    queries = {key: queries[key] for key in sorted(queries, key=draw_key)[:num_queries]}
    judged = (
        line.split() for line in (quad16 / "qrels" / f"qrels.quad16-{language}-train.tsv").read_text().splitlines()
    )
    visible = [(q, d, int(grade)) for q, _, d, grade in judged if q in queries and (q, d) not in positives]
    qrels = pl.DataFrame(visible, schema=[*PAIR, "relevance"], orient="row").cast({"relevance": pl.Int32})
    candidates = rank(queries, documents, RANKS[1])
    pairs = pairs_to_score(candidates, qrels, pl.Series(list(queries)))
    tables = [
        pl.DataFrame({name: list(texts), "text": list(texts.values())})
        for name, texts in (("query_id", queries), ("doc_id", documents))
    ]
    texts = with_texts(pairs, *tables)
    references = with_texts(qrels.filter(pl.col("relevance") > 0), *tables)
    features = find_features(texts, references, cast(Encoder, encoder), progress=lambda _: None, **LIMITS)
    labels = label_pairs(features, candidates, qrels, presumed_ranks=RANKS).select(*PAIR, "label")
    names = pl.DataFrame(sorted(positives), schema=list(PAIR), orient="row").with_columns(hidden=pl.lit(True))
    for table in (labels, qrels, candidates, names):
        features = features.join(table, on=PAIR, how="left", maintain_order="left")
    return features.with_columns(pl.col("hidden").fill_null(False), language=pl.lit(language))


def cross_fit(pairs: pl.DataFrame, change: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """Score every pair by the fitted judge of its fold; `change` is applied to the weights."""
    table = with_relative(pairs, pairs, folds_of(pairs))
    learnt = table.filter(pl.col("label").is_not_null())
    model = pl.concat([fit_fold(learnt, fold) for fold in range(NUM_FOLDS)])
    scores = score_pairs(table, change(model))
    return pairs.drop("judge", "raw", strict=False).join(scores, on=PAIR, maintain_order="left")


def folds_of(pairs: pl.DataFrame) -> pl.DataFrame:
    """Put queries that belong together into one fold."""
    asked = pairs.select("language", "query_id", text="query_id").unique(maintain_order=True)
    judged = pairs.filter(pl.col("relevance") > 0).select("language", *PAIR, "relevance")
    return fold_queries(group_queries(asked, judged))


def dropped(scored: pl.DataFrame, languages: Sequence[str]) -> list[str]:
    """Per language: the share of hidden positives dropped where so many of the others are."""
    cells = []
    for language in languages:
        own = scored.filter((pl.col("language") == language) & pl.col("relevance").is_null() & (pl.col("rank") > 0))
        hidden, others = (own.filter(pl.col("hidden") == flag)["raw"].to_numpy() for flag in (True, False))
        shares = [(hidden > np.quantile(others, 1.0 - share)).mean() for share in SHARES]
        cells.append(" / ".join(f"{share:.1%}" for share in shares))
    return cells


def at_cut(scored: pl.DataFrame, languages: Sequence[str], cut: float) -> list[str]:
    """Per language: hidden positives and others dropped from this probability on, with the pipeline's calibration."""
    judged = scored.filter(pl.col("relevance").is_not_null())
    presumed = scored.filter(pl.col("relevance").is_null() & pl.col("rank").is_between(*RANKS))
    curves = fit_curves(
        comparable_pairs(judged, min_positive=20), presumed, prior=0.2, min_positive=20, min_negative=20
    )
    cells = []
    for language in languages:
        own = scored.filter((pl.col("language") == language) & pl.col("relevance").is_null() & (pl.col("rank") > 0))
        is_dropped = apply_curve(own, curves[language], grade_cuts=(cut, 1.0))["probability"] >= cut
        shares = [is_dropped.filter(own["hidden"] == flag).mean() for flag in (True, False)]
        cells.append(" / ".join(f"{share:.1%}" for share in shares))
    return cells


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("quad16", "hidden", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--languages", nargs="+", default=["ru", "sw", *CHOSEN_ON])
    given = parser.parse_args()
    encoder = KeptVectors(given.work)
    parts = [read_language(given.quad16, given.hidden, name, given.queries, encoder) for name in given.languages]
    pairs = pl.concat(parts)
    no_reference = pl.when(pl.col("term") == f"relative_{REFERENCE}").then(0.0).otherwise("weight").alias("weight")
    judges = {
        "cosine": pairs.with_columns(raw="cosine", without_reference=pl.lit(False)),
        "fitted, no reference": cross_fit(pairs, lambda model: model.with_columns(no_reference)),
        "fitted": cross_fit(pairs, lambda model: model),
    }
    header = [f"| | {' | '.join(given.languages)} |", "|---" * (len(given.languages) + 1) + "|"]
    found = pairs.filter(pl.col("hidden") & (pl.col("rank") > 0)).group_by("language").len()
    sizes = dict(found.iter_rows())
    lines = [*header, "| hidden among candidates | " + " | ".join(str(sizes[name]) for name in given.languages) + " |"]
    lines += [f"| {name} | {' | '.join(dropped(scored, given.languages))} |" for name, scored in judges.items()]
    lines += ["", *header]
    for cut in (0.1, 0.15, 0.2, 0.3, 0.4):
        lines.append(f"| fitted, from {cut} | {' | '.join(at_cut(judges['fitted'], given.languages, cut))} |")
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
