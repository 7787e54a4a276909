"""Two real encoders and BM25 mine together: each keeps its say, and concatenation is what numpy makes of it."""

import numpy as np
import polars as pl
import pytest
from support.loom import SURROUNDINGS

import storage.inspect
from flows.configs import PipelineConfig
from flows.weave import weave
from tasks.engine.build import build, state

WEIGHTS = {"minilm": 0.5, "untrained": 2.0}


def mined(root: str, **fuse) -> pl.DataFrame:
    """Build up to the fused candidates, and read them."""
    config = PipelineConfig.model_validate(
        {
            "languages": ["en"],
            "ingest": {"atlas": {"documents_per_language": 80, "queries_per_language": 20}},
            "encoder": {"num_layers": 2},
            "retrieve": {
                "ensemble": [
                    {"name": "minilm", "model": "bundled:all-minilm-l6-v2", "max_document_tokens": 64}
                ],
                "search": {"depth": 20},
                "fuse": {"top_k": 10, "weights": WEIGHTS} | fuse,
            },
            "evaluate": {"metrics": ["nDCG@10"]},
        }
    )  # fmt: skip
    promises = weave(config).until("fused").promises
    for promise in promises:
        if not state(promise, root).cached:
            build(promise, root, SURROUNDINGS)
    return storage.read(promises[-1].ref(root))


def embeddings(root: str, stage: str, system: str, ids: pl.Series) -> np.ndarray:
    """Read an encoder's vectors in the order of some ids."""
    for ref, manifest in storage.inspect.datasets(root, "candidates"):
        if manifest.arguments.get("system") == system:
            source = {entry.name: entry for entry in manifest.inputs}[stage]
            frame = storage.read(ref.model_copy(update={"kind": "embeddings", "fingerprint": source.fingerprint}))
            order = ids.to_frame("id").join(frame, on="id", how="left", maintain_order="left")
            return order["vector"].to_numpy().astype(float)
    raise AssertionError(f"no candidates of {system} in {root}")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_real_encoders_and_bm25_are_fused(tmp_path):
    root = str(tmp_path)
    fused = mined(root)
    told = fused["systems"].explode().struct.unnest()
    assert told["system"].unique().sort().to_list() == ["bm25", "minilm", "untrained"]
    assert told.group_by("system").agg(pl.col("rank").count())["rank"].min() > 0

    exact = mined(root, method="concat", standardise="none")
    documents = storage.read(next(ref for ref, _ in storage.inspect.datasets(root, "corpus")))["doc_id"].sort()
    queries = exact["query_id"].unique().sort()
    total = sum(
        weight * embeddings(root, "queries", name, queries) @ embeddings(root, "documents", name, documents).T
        for name, weight in WEIGHTS.items()
    )
    for query, query_id in enumerate(queries):
        rows = exact.filter(query_id=query_id)
        best = np.argsort(-total[query], kind="stable")[:10]
        assert rows["doc_id"].to_list() == documents.gather(best).to_list()
        np.testing.assert_allclose(rows["score"].to_numpy(), total[query][best], rtol=1e-6)
