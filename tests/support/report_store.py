"""The store of a finished run in any of atlas's languages, written in a second or two: real texts, drawn rankings."""

import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from support.datasets import FACTS

from flows.configs import PipelineConfig
from storage import DatasetRef, Input, Writer, commit, load
from storage.inspect import metrics_means
from storage.runs import Run, RunDataset
from tasks.denoise.calibrate import Curve, apply_curve
from tasks.denoise.ledger import as_given
from tasks.denoise.reliability import reliability_table
from tasks.denoise.select import select_hard_negatives
from tasks.evaluate.measure import measure_language, summarise
from tasks.ingest.atlas.generate import generate

QUALITY = {"bm25": 2.0, "untrained": 1.0, "trained": 2.6}  # how far relevant documents stand above the others
STEPS = {
    "corpus": ("ingest", "generate_corpus"),
    "queries": ("ingest", "generate_queries"),
    "qrels": ("ingest", "generate_qrels"),
    "scores": ("denoise", "apply_calibration"),
    "calibration": ("denoise", "calibrate_scores"),
    "hard_negatives": ("denoise", "select_hard_negatives"),
    "topics": ("plan_batches", "find_topics"),
    "batch_plan": ("plan_batches", "plan_batches"),
    "training_log": ("train", "train_encoder"),
    "run": ("evaluate", "make_run"),
    "metrics": ("evaluate", "measure_runs"),
    "copies": ("evaluate", "count_copies"),
}
DEPTH = 40


@dataclass
class FinishedRun:
    """What is written, and the faults planted in it."""

    root: str
    languages: Sequence[str]
    copies: int = 1
    """How often each query of atlas is asked."""
    shuffled: str | None = None
    """The language whose dev judgements are those of other queries."""
    cut: str | None = None
    """The language with a quarter of its candidates."""
    blind: str | None = None
    """The language whose judge takes nothing for relevant."""
    title: str = ""
    """Put before each document's title."""
    seed: int = 0
    """Of the rankings and scores that are drawn; runs of several seeds share a store."""
    datasets: list[RunDataset] = field(default_factory=list)
    refs: dict[tuple[str, ...], DatasetRef] = field(default_factory=dict)

    def write(self, run_id: str = "20261126-120000-abcd", **changed: Any) -> Run:
        """Write all datasets, and return the record of the run."""
        config = PipelineConfig(languages=tuple(self.languages), name="sixteen", **changed)
        self.rng = np.random.default_rng(self.seed)
        runs: dict[str, dict[str, pl.DataFrame]] = {system: {} for system in QUALITY}
        judged, train, raw = {}, [], []
        for language in self.languages:
            dev, scored, asked = self._language(language, config, runs)
            judged[language], _ = dev, raw.append(scored)
            train.append(asked)
        curves = dict.fromkeys(self.languages, Curve(1.0, 0.0, "judged", 50, 50))
        self._put("calibration", "all", reliability_table(pl.concat(raw), curves, prior=0.2, num_bins=5))
        self._plan(pl.concat(train))
        for system, by_language in runs.items():
            values = {
                language: measure_language(run, judged[language], metrics=["nDCG@10", "R@100"]).with_columns(
                    is_new=True
                )
                for language, run in by_language.items()
            }
            inputs = [("runs", "run", system), ("qrels", "qrels", "dev"), ("queries", "queries", "dev")]
            named = {f"{name}.{one}": (kind, one, part) for name, kind, part in inputs for one in self.languages}
            self._put("metrics", "all", summarise(values, system=system), named, system=system)
        counts = [(language, 120, number) for number, language in enumerate(self.languages)]
        names = ["language", "num_documents", "num_copies"]
        self._put("copies", "all", pl.DataFrame(counts, schema=names, orient="row"))
        means = [row for key, ref in self.refs.items() if key[0] == "metrics" for row in metrics_means(ref)]
        return Run(
            id=run_id,
            name="sixteen",
            settings=config.model_dump(mode="json"),
            changed={"languages": list(self.languages)},
            datasets=self.datasets,
            metrics=means,
            state="completed",
            started_at="2026-11-26T12:00:00+00:00",
            seconds=432.1,
        )

    def _language(
        self, language: str, config: PipelineConfig, runs: dict[str, dict[str, pl.DataFrame]]
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Write what belongs to one language; return its dev judgements, judged pairs with scores, train queries."""
        atlas = generate(language, seed=0, documents_per_language=120, queries_per_language=60)
        corpus = atlas.corpus.with_columns(title=self.title + pl.col("title"))
        self._put("corpus", language, corpus)
        numbers = pl.DataFrame({"number": range(self.copies)})
        again = pl.format("{}~{}", "query_id", "number") if self.copies > 1 else pl.col("query_id")
        queries, qrels, truth = (
            frame.join(numbers, how="cross").with_columns(query_id=again).drop("number")
            for frame in (atlas.queries, atlas.qrels, atlas.truth)
        )
        answers = pl.concat([qrels.filter(pl.col("relevance") > 0).select("query_id", "doc_id"), truth.drop("reason")])
        parts = {}
        for split in ("train", "dev"):
            asked = queries.filter(pl.col("split") == split)
            known = qrels.join(asked, on="query_id", how="semi", maintain_order="left")
            if split == "dev" and language == self.shuffled:
                known = known.with_columns(doc_id=pl.col("doc_id").shuffle(seed=1)).unique(["query_id", "doc_id"])
            parts[split] = (asked, known)
            self._put("queries", language, asked, split=split)
            self._put("qrels", language, known, split=split)
        for system, quality in QUALITY.items():
            run = self._rank(parts["dev"][0], answers, corpus, quality).with_columns(system=pl.lit(system))
            runs[system][language] = run
            columns = ["system", "query_id", "doc_id", "rank", "score"]
            self._put("run", language, run.select(columns), system=system, depth=DEPTH)
        asked, known = parts["train"]
        fused = self._rank(asked, answers, corpus, 2.0)
        if language == self.cut:
            fused = fused.filter(pl.col("rank") <= DEPTH // 4)
        pairs = pl.concat([fused.select("query_id", "doc_id"), known.select("query_id", "doc_id")]).unique()
        pairs = pairs.sort("query_id", "doc_id")
        is_answer = pairs.join(answers.with_columns(yes=True), on=["query_id", "doc_id"], how="left")[
            "yes"
        ].is_not_null()
        raw = self.rng.normal(-3.0, 1.2, len(pairs)) + 4.5 * is_answer.to_numpy()
        raw = np.full(len(pairs), -6.0) if language == self.blind else raw
        scores = apply_curve(
            pairs.with_columns(judge=pl.lit("fitted"), raw=pl.Series(raw)),
            Curve(1.0, 0.0, "judged", 50, 50),
            grade_cuts=config.denoise.grade_cuts,
        )
        self._put("scores", language, scores)
        system = pl.struct(system=pl.lit("bm25"), rank="rank", score="score")
        candidates = fused.with_columns(systems=pl.concat_list(system))
        self._put(
            "hard_negatives",
            language,
            as_given(select_hard_negatives(candidates, scores, known, config.denoise.select)),
        )
        scored = scores.join(known, on=["query_id", "doc_id"]).select(
            language=pl.lit(language), raw="raw", relevance="relevance"
        )
        return parts["dev"][1], scored, asked.select(language=pl.lit(language), query_id="query_id")

    def _rank(self, asked: pl.DataFrame, answers: pl.DataFrame, corpus: pl.DataFrame, quality: float) -> pl.DataFrame:
        """Draw documents for each query; those that answer it stand higher."""
        drawn = self.rng.permuted(np.tile(np.arange(corpus.height), (asked.height, 1)), axis=1)[:, : DEPTH + 10]
        doc_ids = corpus["doc_id"].gather(drawn.ravel())
        query_ids = asked["query_id"].gather(np.repeat(np.arange(asked.height), drawn.shape[1]))
        found = answers.join(asked, on="query_id", how="semi").select("query_id", "doc_id")
        pairs = pl.concat([pl.DataFrame({"query_id": query_ids, "doc_id": doc_ids}), found]).unique(maintain_order=True)
        bonus = pairs.join(found.with_columns(yes=True), on=["query_id", "doc_id"], how="left", maintain_order="left")[
            "yes"
        ]
        noise = pl.Series(self.rng.normal(size=len(pairs)))
        scored = pairs.with_columns(score=(noise + quality * bonus.is_not_null().cast(pl.Float64)).cast(pl.Float32))
        ranked = scored.sort("query_id", "score", "doc_id", descending=[False, True, False])
        ranked = ranked.with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("query_id"))
        return ranked.filter(pl.col("rank") <= DEPTH)

    def _plan(self, train: pl.DataFrame) -> None:
        """Write topics, a batch plan that holds every query once, and the log of its training."""
        number = pl.Series(self.rng.integers(12, size=len(train)), dtype=pl.Int32)
        label = pl.Series([f"{string.ascii_lowercase[one]} words, of the topic {one}" for one in number])
        topics = train.with_columns(topic=number, label=label, confidence=pl.lit(0.5, pl.Float32))
        self._put("topics", "all", topics)
        slot = pl.int_range(pl.len()).over("language") // 8  # a step is of one language, and they take turns
        step = (slot * len(self.languages) + pl.col("language").rank("dense") - 1).cast(pl.Int32)
        masked = (
            pl.when(pl.col("topic") == 0).then(pl.concat_list("query_id")).otherwise(pl.lit([], pl.List(pl.String)))
        )
        plan = topics.select(
            epoch=pl.lit(0, pl.Int32),
            step=step,
            slot=pl.int_range(pl.len(), dtype=pl.Int32) % 8,
            query_id="query_id",
            positive=pl.col("query_id"),
            negatives=pl.concat_list("query_id"),
            language="language",
            topic="topic",
            weight=pl.lit(1.0, pl.Float32),
            not_negatives=masked,
        )
        self._put("batch_plan", "all", plan)
        log = (
            plan.sort("step")
            .group_by("step", maintain_order=True)
            .first()
            .with_columns(
                loss=(3 * (-pl.col("step") / (0.3 * pl.len())).exp() + 0.4).cast(pl.Float32)
                + pl.Series(self.rng.normal(0, 0.2, plan["step"].n_unique()), dtype=pl.Float32),
                learning_rate=pl.lit(1e-4, pl.Float32),
                gradient_norm=pl.lit(1.5, pl.Float32),
                temperature=pl.lit(0.05, pl.Float32),
                validation_ndcg=pl.when(pl.col("step") % 20 == 0).then(0.5 + pl.col("step") / 10_000).cast(pl.Float32),
                examples_per_second=pl.lit(None, pl.Float32),
            )
        )
        names = ["step", "epoch", "loss", "learning_rate", "gradient_norm", "language", "temperature"]
        self._put("training_log", "all", log.select(*names, "validation_ndcg", "examples_per_second"))

    def _put(
        self,
        kind: str,
        partition: str,
        frame: pl.DataFrame,
        inputs: dict[str, tuple[str, ...]] | None = None,
        **arguments: Any,
    ) -> None:
        part = str(arguments.get("system", arguments.get("split", "one")))
        ref = DatasetRef(kind=kind, partition=partition, fingerprint=f"{kind}-{part}-{self.seed}", root=self.root)
        made_from = [
            Input(name=name, content="", **self.refs[key].model_dump(exclude={"root"}))
            for name, key in (inputs or {}).items()
        ]
        writer = Writer(ref)
        writer.write(frame)
        stage, step = STEPS[kind]
        facts = {**FACTS, "step": step, "arguments": arguments, "inputs": made_from, "seconds": 12.5}
        commit(writer, **facts | {"peak_memory_bytes": 800_000_000})
        self.refs[kind, partition, part] = ref
        self.datasets.append(
            RunDataset(
                stage=stage,
                step=step,
                kind=kind,
                partition=partition,
                fingerprint=ref.fingerprint,
                status="built",
                rows=frame.height,
                seconds=12.5,
                content=load(ref).content,
            )
        )
