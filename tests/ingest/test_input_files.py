"""Settings -> files, digests, sources; the hub's cache."""

import gzip
from hashlib import blake2b

import fsspec
import pytest
from support.raw_files import beir, miracl, write

from tasks.ingest.config import IngestConfig
from tasks.ingest.files import find_files, find_source, input_files
from tasks.ingest.hub import fetch
from tasks.languages import LANGUAGES, check_language, is_unspaced, name_of, script_of

COMMIT = "c0ffee" + "0" * 34
TABLE = {"corpus": "c.jsonl", "queries": "q-{split}.jsonl", "qrels": "r-{split}.jsonl"}


def test_finds_shards_in_natural_order(tmp_path):
    for number in (10, 2, 0):
        write(tmp_path / f"docs-{number}.jsonl.gz", "")
    names = [path.rpartition("/")[2] for path in find_files(f"{tmp_path}/docs-*.jsonl.gz")]
    assert names == ["docs-0.jsonl.gz", "docs-2.jsonl.gz", "docs-10.jsonl.gz"]


def test_finds_a_file_that_has_been_zipped(tmp_path):
    path = write(tmp_path / "corpus.jsonl.gz", "")
    assert find_files(f"{tmp_path}/corpus.jsonl") == [str(path)]


def test_quad16_layout_takes_five_lines(tmp_path, monkeypatch):
    monkeypatch.setenv("COLLECTION", str(tmp_path))
    write(tmp_path / "topics/topics.quad16-fi-train.tsv", "")
    write(tmp_path / "topics/topics.quad16-fi-dev.tsv", "")
    write(tmp_path / "corpus/fi/docs-0.jsonl.gz", "")
    config = IngestConfig(
        layout="miracl",
        path="${COLLECTION}",
        corpus="corpus/{language}/docs-*.jsonl.gz",
        queries="topics/topics.quad16-{language}-{split}.tsv",
        qrels="qrels/qrels.quad16-{language}-{split}.tsv",
    )
    assert input_files(config, "fi", "corpus") == [(f"{tmp_path}/corpus/fi/docs-0.jsonl.gz", "")]
    assert [split for _, split in input_files(config, "fi", "queries")] == ["train", "dev"]
    with pytest.raises(FileNotFoundError, match=r"qrels of 'fi'.*quad16-fi-train.tsv.*allow_missing_train"):
        input_files(config, "fi", "qrels")


def test_unset_environment_variable_is_an_error(monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    config = IngestConfig(layout="miracl", path="${NOWHERE}/data")
    with pytest.raises(ValueError, match=r"ingest.path: expected the environment variable NOWHERE"):
        input_files(config, "fi", "corpus")


def test_missing_train_file_is_an_error_unless_allowed(tmp_path):
    config = IngestConfig(layout="miracl", path=str(miracl(tmp_path)))
    (tmp_path / "miracl-v1.0-fi/topics/topics.miracl-v1.0-fi-train.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"queries of 'fi'.*train.tsv.*set ingest.allow_missing_train"):
        input_files(config, "fi", "queries")
    allowed = config.model_copy(update={"allow_missing_train": True})
    assert [split for _, split in input_files(allowed, "fi", "queries")] == ["dev"]


def test_missing_dev_file_is_an_error_even_then(tmp_path):
    config = IngestConfig(layout="beir", path=str(beir(tmp_path)), dev_split="test", allow_missing_train=True)
    with pytest.raises(
        FileNotFoundError, match=r"qrels/test.tsv', got none. Check ingest.path and ingest.qrels, .*dev_split"
    ):
        input_files(config, "fi", "qrels")


def test_missing_split_names_those_that_are_there(tmp_path):
    root = beir(tmp_path)
    (root / "qrels/dev.tsv").rename(root / "qrels/test.tsv")
    config = IngestConfig(layout="beir", path=str(root))
    with pytest.raises(FileNotFoundError, match=r"set ingest.dev_split to what you call it \(there: test, train\)"):
        input_files(config, "fi", "qrels")
    (root / "qrels/train.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"allow_missing_train .* and ingest.dev_split to .*\(there: test\)"):
        input_files(config, "fi", "qrels")


@pytest.mark.parametrize("language", ["de", "yo"])
def test_surprise_languages_of_miracl_have_no_train(tmp_path, language):
    root = miracl(tmp_path, language)
    for what, folder in (("topics", "topics"), ("qrels", "qrels")):
        (root / f"miracl-v1.0-{language}/{folder}/{what}.miracl-v1.0-{language}-train.tsv").unlink()
    config = IngestConfig(layout="miracl", path=str(root))
    assert [split for _, split in input_files(config, language, "queries")] == ["dev"]
    assert [split for _, split in input_files(config, language, "qrels")] == ["dev"]


def test_split_names_are_settings(tmp_path):
    root = beir(tmp_path)
    (root / "qrels/dev.tsv").rename(root / "qrels/test.tsv")
    config = IngestConfig(layout="beir", path=str(root), train_split="", dev_split="test")
    assert input_files(config, "fi", "qrels") == [(f"{root}/qrels/test.tsv", "dev")]


def test_unknown_language_is_an_error():
    with pytest.raises(ValueError, match="expected a language's BCP 47 tag, got 'xx'"):
        input_files(IngestConfig(layout="miracl"), "xx", "corpus")


@pytest.mark.parametrize("tag", [*LANGUAGES, "de", "yo", "pt-BR", "zh-Hant", "sr-Latn", "es-419", "gsw", "de-1996"])
def test_any_language_tag_will_do(tag):
    assert check_language(tag) == tag


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        *(("DE", "de"), ("pt_BR", "pt-BR"), ("pt-br", "pt-BR"), ("zh-hant", "zh-Hant"), ("german", "de")),
        *(("jp", "ja"), ("deu", "de"), ("iw", "he"), ("de\n", "de"), ("Yorubaa", "yo")),
    ],
)
def test_what_is_no_tag_is_answered_with_the_nearest(given, nearest):
    with pytest.raises(ValueError, match=rf"got '{given}'. Did you mean '{nearest}'\?"):
        check_language(given)


@pytest.mark.parametrize("given", ["", "all", "日本", "x", "qqqqqq"])
def test_what_is_near_no_tag_is_answered_with_examples(given):
    with pytest.raises(ValueError, match=rf"got '{given}'. Write it like de, pt-BR or zh-Hant."):
        check_language(given)


def test_languages_are_named_and_their_scripts_known():
    names = {tag: name_of(tag) for tag in ("de", "pt-BR", "sr-Latn", "qaa")}
    assert names == {"de": "German", "pt-BR": "Brazilian Portuguese", "sr-Latn": "Serbian (Latin)", "qaa": "qaa"}
    scripts = {tag: script_of(tag) for tag in ("zh", "zh-TW", "sr-Latn", "sr", "qaa")}
    assert scripts == {"zh": "Hans", "zh-TW": "Hant", "sr-Latn": "Latn", "sr": "Cyrl", "qaa": ""}
    assert [tag for tag in (*LANGUAGES, "lo", "km", "my", "bo", "yue", "vi") if is_unspaced(tag)] == [
        *("ja", "th", "zh"),
        *("lo", "km", "my", "bo", "yue"),
    ]


def test_unknown_placeholder_is_an_error():
    with pytest.raises(ValueError, match=r"ingest.corpus: expected the placeholders .* got \['lang'\]"):
        IngestConfig(layout="miracl", corpus="docs-{lang}.jsonl")


def test_table_without_a_pattern_is_an_error():
    with pytest.raises(ValueError, match=r"none of \['queries', 'qrels'\]"):
        IngestConfig(layout="table", corpus="c.jsonl")


def test_unknown_column_is_an_error():
    with pytest.raises(ValueError, match="(?s)columns.id.*'doc_id', 'title', 'text', 'query_id'"):
        IngestConfig(layout="table", **TABLE, columns={"id": "docid"})


def test_columns_that_are_not_named_keep_the_defaults():
    config = IngestConfig(layout="table", **TABLE, columns={"query_id": "qid"})
    assert config.column_names("queries") == {"query_id": "qid", "query": "text"}
    assert config.column_names("qrels") == {"query_id": "qid", "doc_id": "doc_id", "relevance": "relevance"}


def test_queries_without_a_split_are_an_error():
    with pytest.raises(ValueError, match=r"expected {split} in the pattern of queries or of qrels"):
        IngestConfig(layout="table", corpus="c.jsonl", queries="q.jsonl", qrels="r.jsonl")


def test_table_file_of_unknown_kind_is_an_error(tmp_path):
    write(tmp_path / "c.xlsx", "")
    config = IngestConfig(layout="table", path=str(tmp_path), **{**TABLE, "corpus": "c.xlsx"})
    with pytest.raises(ValueError, match=r"c.xlsx: expected a name that ends in .jsonl"):
        find_source(config, "fi", "corpus")


def test_miracl_without_a_path_is_on_the_hub():
    config = IngestConfig(layout="miracl")
    assert config.pattern("corpus") == "miracl-corpus-v1.0-{language}/docs-*.jsonl.gz"
    assert not config.path


def test_remote_files_are_found_and_digested():
    store = fsspec.filesystem("memory")
    for number in (2, 10):
        store.pipe(f"/remote/fi/docs-{number}.jsonl.gz", gzip.compress(b"%d" % number))
    config = IngestConfig(layout="table", path="memory://remote/{language}", **{**TABLE, "corpus": "docs-*.jsonl.gz"})
    source = find_source(config, "fi", "corpus")
    assert [file.path for file in source.files] == [
        "memory:///remote/fi/docs-2.jsonl.gz",
        "memory:///remote/fi/docs-10.jsonl.gz",
    ]
    assert [file.format for file in source.files] == ["jsonl", "jsonl"]
    contents = [gzip.compress(b"%d" % number) for number in (2, 10)]
    assert [file.digest for file in source.files] == [blake2b(one, digest_size=16).hexdigest() for one in contents]


def test_source_dumps_content_and_no_path(tmp_path):
    one = find_source(IngestConfig(layout="miracl", path=str(miracl(tmp_path / "one"))), "fi", "corpus")
    two = find_source(IngestConfig(layout="miracl", path=str(miracl(tmp_path / "two"))), "fi", "corpus")
    assert one.model_dump(mode="json") == two.model_dump(mode="json")
    assert one.files[0].path != two.files[0].path
    assert str(tmp_path) not in one.model_dump_json()


@pytest.fixture
def cache(tmp_path):
    """A hub cache that holds one snapshot of a dataset."""
    repo = tmp_path / "datasets--miracl--miracl-corpus"
    write(repo / "refs/main", COMMIT)
    write(repo / f"snapshots/{COMMIT}/miracl-corpus-v1.0-fi/docs-0.jsonl.gz", "{}")
    return tmp_path


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_hub_pattern_leads_into_the_cache(cache, revision):
    url = f"hf://datasets/miracl/miracl-corpus{revision}/miracl-corpus-v1.0-fi/docs-*.jsonl.gz"
    (found,) = find_files(fetch(url, cache_dir=cache, local_files_only=True))
    assert found.endswith(f"snapshots/{COMMIT}/miracl-corpus-v1.0-fi/docs-0.jsonl.gz")


def test_hub_dataset_that_is_nowhere_is_an_error(cache):
    with pytest.raises(FileNotFoundError, match=r"hub dataset 'a/b'.*HF_HUB_OFFLINE.*ingest.path"):
        fetch("hf://datasets/a/b/c.jsonl", cache_dir=cache, local_files_only=True)


def test_hub_url_of_another_shape_is_an_error():
    with pytest.raises(ValueError, match=r"expected hf://datasets/<owner>/<name>.*got 'hf://datasets/squad/x'"):
        fetch("hf://datasets/squad/x")


def test_message_shows_a_variables_name_and_not_what_it_holds(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_DATA", str(tmp_path))
    monkeypatch.setenv("NAME", "hunter2")
    for fields, written in (
        ({"path": "${MY_DATA}", "corpus": "{language}/${NAME}.jsonl"}, "${MY_DATA}/en/${NAME}.jsonl"),
        ({"path": "elsewhere", "corpus": "${MY_DATA}/x.jsonl"}, "${MY_DATA}/x.jsonl"),
        ({"corpus": "${NAME}.jsonl"}, "${NAME}.jsonl"),
    ):
        with pytest.raises(FileNotFoundError) as missing:
            find_source(IngestConfig(layout="table", queries="q.jsonl", qrels="{split}.tsv", **fields), "en", "corpus")
        assert f"expected files at '{written}'" in str(missing.value)
