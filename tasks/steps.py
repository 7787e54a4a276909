"""Every step of the pipeline: where its body is, what kind of dataset it makes, and what it needs a share of.

Light on purpose: naming a step imports nothing of its body, so planning a pipeline loads no torch, faiss or Java.
"""

from tasks.engine.step import Step

ingest_corpus = Step("tasks.ingest.task:ingest_corpus", produces="corpus")
ingest_queries = Step("tasks.ingest.task:ingest_queries", produces="queries")
ingest_qrels = Step("tasks.ingest.task:ingest_qrels", produces="qrels")
quarantine_rows = Step("tasks.ingest.task:quarantine_rows", produces="quarantine")
generate_corpus = Step("tasks.ingest.atlas_task:generate_corpus", produces="corpus")
generate_queries = Step("tasks.ingest.atlas_task:generate_queries", produces="queries")
generate_qrels = Step("tasks.ingest.atlas_task:generate_qrels", produces="qrels")
generate_truth = Step("tasks.ingest.atlas_task:generate_truth", produces="truth")

prepare_encoder = Step("tasks.retrieve.task:prepare_encoder", produces="encoder", resource="model")

retrieve_bm25 = Step("tasks.retrieve.task:retrieve_bm25", produces="candidates", resource="jvm")
embed_documents = Step(
    "tasks.retrieve.embed_task:embed_documents", "embeddings", resource="model", sharded=True, texts=("corpus",)
)
embed_queries = Step("tasks.retrieve.embed_task:embed_queries", "embeddings", resource="model", texts=("queries",))
search_dense = Step("tasks.retrieve.task:search_dense", produces="candidates", resource="model", sharded=True)
fuse_candidates = Step("tasks.retrieve.fuse_task:fuse_candidates", produces="fused")
fuse_vectors = Step("tasks.retrieve.fuse_task:fuse_vectors", produces="fused", resource="model", sharded=True)

_PAIRS = ("candidates", "queries", "qrels", "corpus", "known")  # where the texts of pairs come from
find_features = Step(
    "tasks.denoise.fitted_task:find_features", "features", resource="model", sharded=True, texts=_PAIRS
)
fold_queries = Step("tasks.denoise.fitted_task:fold_queries", produces="folds")
fit_judge = Step("tasks.denoise.fitted_task:fit_judge", produces="judge_model")
score_features = Step("tasks.denoise.fitted_task:score_features", produces="raw_scores")
score_pairs = Step(
    "tasks.denoise.cross_encoder_task:score_pairs", "raw_scores", resource="model", sharded=True, texts=_PAIRS
)
judge_pairs = Step("tasks.denoise.llm_task:judge_pairs", produces="verdicts", resource="model")
score_verdicts = Step("tasks.denoise.llm_task:score_verdicts", produces="raw_scores")
apply_verdicts = Step("tasks.denoise.llm_task:apply_verdicts", produces="scores")
calibrate_scores = Step("tasks.denoise.decision_task:calibrate_scores", produces="calibration")
apply_calibration = Step("tasks.denoise.decision_task:apply_calibration", produces="scores")
select_hard_negatives = Step("tasks.denoise.decision_task:select_hard_negatives", produces="hard_negatives")
extend_hard_negatives = Step("tasks.denoise.decision_task:extend_hard_negatives", produces="hard_negatives")
relabel_candidates = Step("tasks.denoise.decision_task:relabel_candidates", produces="qrels")

generate_from_positives = Step("tasks.supplement.task:generate_from_positives", produces="generated", resource="model")
select_generated_queries = Step("tasks.supplement.task:select_generated_queries", produces="queries")
collect_candidates = Step("tasks.supplement.task:collect_candidates", produces="new_candidates")
count_shortfalls = Step("tasks.supplement.task:count_shortfalls", produces="shortfalls")
tune_generator = Step("tasks.supplement.tune_task:tune_generator", produces="adapter", resource="model")

find_topics = Step("tasks.plan_batches.task:find_topics", produces="topics")
classify_topics = Step("tasks.plan_batches.fasttext_task:classify_topics", produces="topics")
plan_batches = Step("tasks.plan_batches.task:plan_batches", produces="batch_plan")

tokenize_queries = Step("tasks.train.task:tokenize_queries", produces="tokens", texts=("queries",))
tokenize_documents = Step("tasks.train.task:tokenize_documents", produces="tokens", texts=("corpus", "named"))
train_encoder = Step("tasks.train.task:train_encoder", produces="training_log", resource="model")

ingest_run = Step("tasks.ingest.run_task:ingest_run", produces="candidates")
make_run = Step("tasks.evaluate.task:make_run", produces="run")
count_copies = Step("tasks.evaluate.task:count_copies", produces="copies")
measure_runs = Step("tasks.evaluate.task:measure_runs", produces="metrics")

export_model = Step("tasks.export.task:export_model", produces="model")

compare_strategies = Step("tasks.bake_off.task:compare_strategies", produces="bake_off")
