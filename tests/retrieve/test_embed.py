"""Shards of texts into vectors."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.tiny_model import write_tiny_encoder

from tasks.models.encoder import Encoder
from tasks.retrieve.embed import embed_shards
from tasks.retrieve.vectors import split_shards

TEXTS = ["red", "a much longer text about red apples and green pears", "blue sky", ""]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder: Path = tmp_path_factory.mktemp("encoder")
    return Encoder.load(write_tiny_encoder(folder, texts=TEXTS), device="cpu")


PLAIN = {"role": "document", "max_tokens": 32, "batch_tokens": 64, "progress": lambda newly: None}


def rows(texts: list[str], first: int = 0) -> pl.DataFrame:
    ids = [f"d{number + first}" for number in range(len(texts))]
    return pl.DataFrame({"id": ids, "text": texts}, schema={"id": pl.String, "text": pl.String})


def embed(encoder: Encoder, texts: list[str], **settings) -> pl.DataFrame:
    (frame,) = embed_shards([rows(texts)], encoder=encoder, **PLAIN | settings)
    return frame


@pytest.mark.parametrize("part_sizes", [[7], [1, 1, 5], [3, 0, 4], [2, 2, 2, 1], []])
@pytest.mark.parametrize("shard_size", [1, 3, 7, 10])
def test_shards_hold_the_rows_in_order_whatever_the_parts(part_sizes, shard_size):
    rows = pl.DataFrame({"n": range(sum(part_sizes))}, schema={"n": pl.Int64})
    starts = [sum(part_sizes[:position]) for position in range(len(part_sizes))]
    parts = [rows[start : start + size] for start, size in zip(starts, part_sizes, strict=True)]
    shards = [shard["n"].to_list() for shard in split_shards(parts, shard_size)]
    expected = list(range(sum(part_sizes)))
    assert shards == [expected[start : start + shard_size] for start in range(0, len(expected), shard_size)]


def test_vectors_are_float16_unit_vectors_in_the_order_given(encoder):
    frame = embed(encoder, TEXTS)
    assert frame.schema == {"id": pl.String, "vector": pl.Array(pl.Float16, 32)}
    assert frame["id"].to_list() == ["d0", "d1", "d2", "d3"]
    vectors = frame["vector"].to_numpy()
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1.0, atol=2e-3)
    np.testing.assert_allclose(vectors[2], embed(encoder, ["blue sky"])["vector"].to_numpy()[0], atol=2e-3)


def test_queries_and_documents_have_prompts_of_their_own(encoder):
    as_query, as_document = (embed(encoder, ["red"], role=role)["vector"].to_numpy() for role in ("query", "document"))
    assert not np.array_equal(as_query, as_document)


def test_no_texts_give_an_empty_table_of_the_right_size(encoder):
    assert embed(encoder, []).schema == {"id": pl.String, "vector": pl.Array(pl.Float16, 32)}


def test_progress_tells_what_is_newly_done(encoder):
    told = []
    embed(encoder, TEXTS, batch_tokens=8, progress=told.append)
    assert len(told) > 1
    assert sum(told) == len(TEXTS)


def test_broken_vector_is_an_error_that_names_its_text(encoder, monkeypatch):
    broken = np.array([[0.0, 1.0], [np.nan, 0.0]], dtype=np.float32)
    monkeypatch.setattr(encoder, "embed_each", lambda shards, **_: (broken for _ in shards))
    with pytest.raises(RuntimeError, match="expected finite vectors, got 1 that are not, the first for 'd1'"):
        embed(encoder, ["a", "b"])


@pytest.mark.parametrize("ahead", [False, True])
def test_shards_keep_their_ids_however_they_are_fed(encoder, ahead):
    shards = [rows(TEXTS), rows([], 4), rows(TEXTS[::-1], 4)]
    found = list(embed_shards(iter(shards), encoder=encoder, **PLAIN, ahead=ahead))
    assert [frame["id"].to_list() for frame in found] == [shard["id"].to_list() for shard in shards]
    np.testing.assert_allclose(found[0]["vector"].to_numpy(), found[2]["vector"].to_numpy()[::-1], atol=2e-3)


def test_a_shard_that_cannot_be_read_is_an_error_after_those_before_it(encoder):
    def shards():
        yield rows(TEXTS)
        raise OSError("the disk is gone")

    found = embed_shards(shards(), encoder=encoder, **PLAIN, ahead=True)
    assert len(next(found)) == len(TEXTS)
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)
