"""`polyloom search` and `polyloom encode` on the tiny pipeline: as the run ranks and embeds, and nothing is built."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from flows.cli.carry import export_model
from flows.cli.main import app
from flows.weave import weave
from storage import inspect, latest, read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def call(woven):
    """Return a function that calls the command on the tiny pipeline, and gives its output and its JSON."""
    places = [f"--set=storage.root={woven.folder / 'data'}", f"--set=encoder.model={woven.folder / 'model'}"]

    def run(command: str, *arguments: str, texts: bytes | str | None = None) -> str:
        words = [command, str(woven.folder / "tiny.yaml"), *arguments, *places]
        return CliRunner().invoke(app, words, input=texts, catch_exceptions=False, env={"COLUMNS": "80"}).output

    return run


@pytest.fixture(scope="module")
def stored(woven):
    """Return a function that reads a dataset of the pipeline: by kind, partition and arguments."""
    promises = weave(woven.settings()).promises

    def one(kind: str, partition: str, **arguments: object) -> pl.DataFrame:
        (found,) = [
            promise
            for promise in promises
            if (promise.step.produces, promise.partition) == (kind, partition)
            and arguments.items() <= promise.settings.items()
        ]
        return read(found.ref(str(woven.folder / "data")))

    return one


def test_search_ranks_as_the_run_does_and_marks_judgements(call, stored, tmp_path, woven):
    before = {ref for ref, _ in inspect.datasets(str(woven.folder / "data"))}
    query = stored("queries", "sw", split="dev").row(3, named=True)
    judged = dict(
        stored("qrels", "sw", split="dev").filter(pl.col("query_id") == query["query_id"])["doc_id", "relevance"].rows()
    )
    output = call("search", query["query_id"], "--top", "100", "--json", str(tmp_path / "a.json"))
    answer = json.loads((tmp_path / "a.json").read_text())
    assert (answer["text"], answer["split"], answer["language"]) == (query["text"], "dev", "sw")
    assert list(answer["systems"]) == ["bm25", "untrained", "trained"]
    for system, rows in answer["systems"].items():
        run = stored("run", "sw", system=system).filter(pl.col("query_id") == query["query_id"])
        assert [(row["rank"], row["doc_id"]) for row in rows] == run["rank", "doc_id"].rows()
        assert [row["score"] for row in rows] == pytest.approx(run["score"].to_list(), abs=1e-6)
        assert all(row["relevance"] == judged.get(row["doc_id"]) for row in rows)
    assert any(row["relevance"] for rows in answer["systems"].values() for row in rows)
    assert max(map(len, output.splitlines())) <= 80
    assert {ref for ref, _ in inspect.datasets(str(woven.folder / "data"))} == before


def test_search_knows_a_query_by_its_text_and_says_where_the_relevant_ones_are(call, stored, tmp_path):
    query = stored("queries", "sw", split="train").row(0, named=True)
    output = call("search", query["text"], "--top", "1", "--system", "untrained", "--json", str(tmp_path / "a.json"))
    answer = json.loads((tmp_path / "a.json").read_text())
    assert (answer["query_id"], list(answer["systems"]), len(answer["systems"]["untrained"])) == (
        query["query_id"],
        ["untrained"],
        1,
    )
    relevant = stored("qrels", "sw", split="train").filter(
        (pl.col("query_id") == query["query_id"]) & (pl.col("relevance") > 0)
    )["doc_id"]
    hidden = set(relevant) - {answer["systems"]["untrained"][0]["doc_id"]}
    assert hidden
    assert all(name in output.partition("untrained: relevant, but not shown:")[2] for name in hidden)


def test_words_of_no_query_need_a_language(call):
    with pytest.raises(ValueError, match="search: expected --language, one of en, sw, got none"):
        call("search", "where is it")
    with pytest.raises(ValueError, match="search: expected a question, or the id of one of the run's queries, got no"):
        call("search", " ", "--language", "en")
    assert call("search", "qqqq", "--language", "en", "--system", "bm25") == "qqqq (en)\nbm25: found no document\n"
    output = call("search", "where is it", "--language", "en", "--system", "bm25")
    assert "where is it (en)" in output
    assert "judged" not in output
    with pytest.raises(ValueError, match="--language: expected one of en, sw, got 'fi'"):
        call("search", "x", "--language", "fi")
    with pytest.raises(ValueError, match="--system: expected one of bm25, untrained, trained, got 'dense'"):
        call("search", "x", "--system", "dense")


def test_what_is_missing_is_named_with_the_command_that_builds_it(call, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    output = call("search", "x", "--language", "en", "--set", "train.learning_rate=0.5")
    assert "bm25: this user's cache has no index of the corpus: add `--refresh retrieve_bm25` to its run." in output
    assert "is not built: `polyloom run" in output.partition("trained: training_log/all/")[2]
    assert "\nuntrained " in output
    with pytest.raises(FileNotFoundError, match="search: expected what a system needs .* for trained: training_log"):
        call("search", "x", "--language", "en", "--system", "trained", "--set", "train.learning_rate=0.5")


def test_markup_in_a_question_is_shown(call):
    assert "[red]x[/red]" in call("search", "[red]x[/red]", "--language", "en", "--system", "bm25")


@pytest.mark.parametrize("role", ["query", "document"])
def test_encode_gives_the_runs_own_vectors(call, stored, tmp_path, role, woven):
    if role == "query":
        texts = stored("queries", "sw", split="dev").select(id="query_id", text="text")
        of_run = stored_embeddings(woven, "embed_queries", "trained", texts["id"])
    else:
        texts = stored("corpus", "sw").select("title", "text", id="doc_id").head(20)
        of_run = stored_embeddings(woven, "embed_documents", "trained", texts["id"])
    lines = "\n".join(map(json.dumps, texts.to_dicts()))
    assert f"{texts.height} vectors are in" in call(
        "encode", "--as", role, "--to", str(tmp_path / "v.parquet"), texts=lines
    ).replace("\n", "")
    made = pl.read_parquet(tmp_path / "v.parquet")
    assert made["id"].to_list() == texts["id"].to_list()
    np.testing.assert_allclose(made["vector"].to_numpy(), of_run, atol=2e-3)


def stored_embeddings(woven, step: str, system: str, ids: pl.Series) -> np.ndarray:
    runs = [one for one in weave(woven.settings()).promises if one.step.name == "make_run" and one.partition == "sw"]
    (ranked,) = [one.arguments["candidates"] for one in runs if one.arguments["system"] == system]
    (made,) = [one for one in ranked.inputs.values() if one.step.name == step]
    vectors = read(made.ref(str(woven.folder / "data")))
    return ids.to_frame("id").join(vectors, on="id", how="left", maintain_order="left")["vector"].to_numpy()


def test_encode_reads_plain_lines_and_an_exported_model(call, woven, tmp_path):
    settings = woven.settings()
    export_model(settings, tmp_path / "model")
    plain = "wapi?\nlini hasa\n"
    call("encode", "--as", "query", "--to", str(tmp_path / "a.npy"), texts=f"\ufeff{plain}")  # as Windows marks UTF-8
    of_folder = ["encode", str(tmp_path / "model"), "--as", "query", "--to", str(tmp_path / "b.npy")]
    assert CliRunner().invoke(app, of_folder, input=plain, catch_exceptions=False).exit_code == 0
    ours, theirs = np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy")
    assert (ours.shape[0], ours.dtype) == (2, np.float32)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=2e-3)
    np.testing.assert_array_equal(ours, theirs)


def test_encode_takes_the_last_good_model_of_the_pipelines_name(call, woven, tmp_path):
    model, metrics = (
        next(one for one in weave(woven.settings()).promises if one.step.produces == kind).ref("")
        for kind in ("model", "metrics")
    )
    names = [f"{ref.kind}/{ref.partition}/{ref.fingerprint}" for ref in (model, metrics)]
    latest.write(
        str(woven.folder / "data"),
        latest.Latest(name="tiny", run="r", model=names[0], metrics=names[1], metric="nDCG@10", value=0.5),
    )
    words = ["encode", "--as", "query", "--to", str(tmp_path / "v.npy")]
    other = ["--set", "train.learning_rate=0.5"]  # which nothing has trained
    with pytest.raises(FileNotFoundError, match="training_log/all/.* is not built"):
        call(*words, *other, texts="wapi?")
    call(*words, *other, "--latest", texts="wapi?")
    last_good = np.load(tmp_path / "v.npy")
    call(*words, texts="wapi?")
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), last_good)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (b"", "standard input: expected texts, got none"),
        (b"good\n\xff\n", "standard input, line 2: expected UTF-8, got"),
        (b'{"text": "a"}\nplain\n', "standard input, line 2: expected JSON such as"),
        (b'{"id": "a"}\n', "standard input, line 1: expected JSON such as .* got 'text'"),
        (
            b'{"text": "a"}\n\n{"text": 5}\n',
            "standard input, line 3: expected JSON such as .* got a text that is no text",
        ),
        (b'{"text": "a", "title": ["b"]}\n', "standard input, line 1: .* got a title that is no text"),
        (b'{"text": "\\ud800"}\n', "standard input, line 1: expected JSON such as .* surrogate"),
    ],
)
def test_encode_refuses_what_is_no_text(call, tmp_path, texts, message):
    with pytest.raises(ValueError, match=message):
        call("encode", "--as", "query", "--to", str(tmp_path / "v.npy"), texts=texts)
    assert not (tmp_path / "v.npy").exists()
    with pytest.raises(ValueError, match=r"--to: expected a file that ends in \.parquet or \.npy, got .*v\.csv"):
        call("encode", "--as", "query", "--to", str(tmp_path / "v.csv"), texts=texts)
    with pytest.raises(ValueError, match=r"--to: expected a file that can be written, got .*: No such file"):
        call("encode", "--as", "query", "--to", str(tmp_path / "nowhere/v.npy"), texts=texts)
