"""The steps of ingest, built into a store: files in, datasets out, nothing half written."""

import gzip
import logging
from pathlib import Path

import polars as pl
import pytest
from support.loom import SURROUNDINGS
from support.raw_files import DOCUMENTS, QRELS, QUERIES, beir, jsonl, miracl, passages, tsv, write

import storage
from flows.ingest import ingest_dev, ingest_languages
from tasks.engine.build import build
from tasks.ingest.config import IngestConfig


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "store")


def settings(path, **options):
    return IngestConfig(layout="miracl", path=str(path), validation_share=0.0, **options)


def promised(config, language="fi"):
    """What a language's ingest promises: corpus, queries and qrels of each split, what is left out."""
    texts = ingest_languages(config, [language])
    dev, aside = ingest_dev(config, texts)
    splits = {"train": texts.train, "validation": texts.validation, "dev": dev}
    return {
        "corpus": [texts.corpus[language]],
        **{
            kind: {split: getattr(asked, kind)[language] for split, asked in splits.items() if asked.queries}
            for kind in ("queries", "qrels")
        },
        "aside": [*texts.aside, *aside],
    }


def build_all(config, root, language="fi"):
    """Build what a language's ingest promises and read it back; all splits of a kind in one frame."""
    made = promised(config, language)
    found: dict[str, list[pl.DataFrame]] = {}
    for promises in made.values():
        for promise in promises.values() if isinstance(promises, dict) else promises:
            build(promise, root, SURROUNDINGS)
            found.setdefault(promise.step.produces, []).append(storage.read(promise.ref(root)))
    return {
        kind: pl.concat(frames).sort("query_id", maintain_order=True)
        if kind in ("queries", "qrels")
        else pl.concat(frames)
        for kind, frames in found.items()
    }


def test_miracl_layout_becomes_three_datasets(tmp_path, root):
    found = build_all(settings(miracl(tmp_path / "raw")), root)
    assert found["corpus"].rows() == [tuple(row.values()) for row in DOCUMENTS]
    assert found["queries"].select("query_id", "text", "split").rows() == [
        (*row, split) for split, rows in QUERIES.items() for row in rows
    ]
    assert found["qrels"].rows() == sorted(row for rows in QRELS.values() for row in rows)
    assert set(found) == {"corpus", "queries", "qrels"}


def test_all_layouts_become_equal_datasets(tmp_path, root):
    one = build_all(settings(miracl(tmp_path / "one")), root)
    two = build_all(IngestConfig(layout="beir", path=str(beir(tmp_path / "two")), validation_share=0.0), root)
    three = build_all(settings(passages(tmp_path / "three"), passages="{split}.jsonl.gz"), root)
    for name in ("queries", "qrels"):
        assert one[name].equals(two[name])
        assert one[name].equals(three[name])
    assert one["corpus"].equals(two["corpus"])
    assert one["corpus"].sort("doc_id").equals(three["corpus"].sort("doc_id"))


def test_moved_files_keep_every_fingerprint(tmp_path):
    one, two = (promised(settings(miracl(tmp_path / name))) for name in ("one", "two"))
    assert one["corpus"][0].fingerprint == two["corpus"][0].fingerprint
    for split, promise in one["qrels"].items():
        assert promise.fingerprint == two["qrels"][split].fingerprint


def test_seed_of_the_split_leaves_the_corpus_alone(tmp_path):
    config = settings(miracl(tmp_path))
    one, two = promised(config), promised(config.model_copy(update={"seed": 7}))
    assert one["corpus"][0].fingerprint == two["corpus"][0].fingerprint
    assert one["queries"]["dev"].fingerprint == two["queries"]["dev"].fingerprint
    assert one["queries"]["train"].fingerprint != two["queries"]["train"].fingerprint


def test_quarantine_of_sound_files_is_empty(tmp_path, root):
    found = build_all(settings(miracl(tmp_path / "raw"), on_bad_row="quarantine"), root)
    assert found["quarantine"].height == 0
    assert found["corpus"].height == 3


def rows_that_are_bad(root):
    """One row of each bad kind to append to a file: dataset -> (file, [(bytes of the row, reason)])."""
    corpus, topics, qrels = "miracl-corpus-v1.0-fi/docs-1.jsonl.gz", "topics/topics", "qrels/qrels"
    return {
        "corpus": (
            root / corpus,
            [
                (b'{"docid": "9"\n', "broken JSON"),
                ('{"docid": "ä"}\n'.encode("latin1"), "not UTF-8"),
                (b'{"title": "", "text": "x"}\n', "missing id"),
                (b'{"docid": "9", "text": ""}\n', "empty text"),
                (jsonl(DOCUMENTS[:1]).encode(), "duplicate id, same content"),
                (b'{"docid": "1#0", "text": "x"}\n', "duplicate id, other content"),
            ],
        ),
        "queries": (
            root / f"miracl-v1.0-fi/{topics}.miracl-v1.0-fi-dev.tsv",
            [
                (b"q9\n", "wrong number of columns"),
                (b"q9\t\n", "empty text"),
                (tsv(QUERIES["train"][:1]).encode(), "duplicate id, same content"),
                (b"q1\tother\n", "duplicate id, other content"),
            ],
        ),
        "qrels": (
            root / f"miracl-v1.0-fi/{qrels}.miracl-v1.0-fi-dev.tsv",
            [
                (b"q3\tQ0\t1#0\n", "wrong number of columns"),
                (b"q3\tQ0\t1#0\tone\n", "relevance not an integer"),
                (b"q3\tQ0\t2#0\t1\n", "duplicate judgement"),
                (b"q3\tQ0\t2#0\t0\n", "contradictory judgement"),
                (b"q9\tQ0\t2#0\t1\n", "unknown query"),
                (b"q1\tQ0\t1#1\t1\n", "unknown query"),
                (b"q3\tQ0\t9#9\t1\n", "unknown document"),
            ],
        ),
    }


def spoil(path, content):
    before = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    write(path, before + content)


KINDS = [(name, number) for name, (_, rows) in rows_that_are_bad(Path()).items() for number in range(len(rows))]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A store that holds the datasets of the sound files, and those datasets."""
    folder = tmp_path_factory.mktemp("sound")
    return str(folder / "store"), build_all(settings(miracl(folder / "raw")), str(folder / "store"))


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_bad_row_is_an_error_and_commits_nothing(tmp_path, sound, name, kind):
    path, bad = rows_that_are_bad(miracl(tmp_path / "raw"))[name]
    row, reason = bad[kind]
    spoil(path, row)
    made = promised(settings(tmp_path / "raw"))[name]  # its inputs are in the store of the sound files
    step = made["dev"] if isinstance(made, dict) else made[0]
    with pytest.raises(ValueError, match=rf"raw/.*, line 2.*: expected .*, got .*\({reason}\)\. .*on_bad_row"):
        build(step, sound[0], SURROUNDINGS)
    assert storage.find(step.ref(sound[0])) is None


def test_bad_rows_go_to_quarantine_and_the_rest_stays(tmp_path, root, sound, caplog):
    spoiled = rows_that_are_bad(miracl(tmp_path / "raw"))
    expected = []
    for path, bad in spoiled.values():
        spoil(path, b"".join(row for row, _ in bad))
        expected += [(str(path), line, reason) for line, (_, reason) in enumerate(bad, start=2)]
    with caplog.at_level(logging.WARNING):
        found = build_all(settings(tmp_path / "raw", on_bad_row="quarantine"), root)
    quarantine = found.pop("quarantine")
    rows = quarantine.with_columns(pl.col("reason").str.extract("^([^:]+): ")).select("source", "line", "reason").rows()
    assert rows == expected
    missing = ("q3", "9#9", 1)  # of a dev query: it counts where dev is measured
    assert found["qrels"].rows() == sorted([*sound[1]["qrels"].rows(), missing])
    assert [found[name].equals(sound[1][name]) for name in ("corpus", "queries")] == [True, True]
    assert [(record.name, record.args[0]) for record in caplog.records] == [
        (f"polyloom.ingest_{name}", len(bad)) for name, (_, bad) in spoiled.items()
    ]
    assert "7 rows quarantined: 1 × contradictory judgement, " in caplog.records[-1].getMessage()
    assert "2 × unknown query" in caplog.records[-1].getMessage()


def truncate(root):
    path = write(
        root / "miracl-corpus-v1.0-fi/docs-1.jsonl", jsonl({**DOCUMENTS[2], "docid": f"{n}#0"} for n in range(2, 999))
    )
    whole = gzip.compress(path.read_bytes())
    path.unlink()
    (root / "miracl-corpus-v1.0-fi/docs-1.jsonl.gz").write_bytes(whole[:-20])


@pytest.mark.parametrize("on_bad_row", ["error", "quarantine"])
def test_truncated_gzip_is_an_error_that_names_the_file(tmp_path, root, on_bad_row):
    truncate(miracl(tmp_path / "raw"))
    (corpus,) = promised(settings(tmp_path / "raw", on_bad_row=on_bad_row))["corpus"]
    with pytest.raises(ValueError, match=r"docs-1.jsonl.gz, line \d+: expected a complete gzip file"):
        build(corpus, root, SURROUNDINGS)
    assert storage.find(corpus.ref(root)) is None


def test_document_in_quarantine_takes_its_judgements_along_but_those_of_dev(tmp_path, root):
    write(miracl(tmp_path / "raw") / "miracl-corpus-v1.0-fi/docs-1.jsonl.gz", jsonl([{**DOCUMENTS[2], "text": " "}]))
    found = build_all(settings(tmp_path / "raw", on_bad_row="quarantine"), root)
    reasons = [reason.partition(":")[0] for reason in found["quarantine"]["reason"]]
    assert reasons == ["empty text", "unknown document", "unknown document"]
    assert found["qrels"].rows() == [("q1", "1#0", 1), ("q2", "1#1", 1), ("q3", "2#0", 1)]


def test_beir_queries_of_other_splits_are_left_out_and_counted(tmp_path, root, caplog):
    with caplog.at_level(logging.INFO):
        found = build_all(IngestConfig(layout="beir", path=str(beir(tmp_path / "raw"))), root)
    assert "t1" not in found["queries"]["query_id"]
    assert "1 queries without a judgement in train or dev left out" in caplog.text


def test_beir_query_in_two_splits_is_an_error(tmp_path, root):
    path = beir(tmp_path / "raw") / "qrels/dev.tsv"
    path.write_text(tsv([("query-id", "corpus-id", "score"), ("q3", "2#0", 1), ("q1", "1#0", 1)]))
    made = promised(IngestConfig(layout="beir", path=str(tmp_path / "raw"), validation_share=0.0))["queries"]
    build(made["train"], root, SURROUNDINGS)
    assert storage.read(made["train"].ref(root))["query_id"].to_list() == ["q1", "q2"]
    with pytest.raises(ValueError, match=r"queries.jsonl, line 1.*'q1' in dev and train"):
        build(made["dev"], root, SURROUNDINGS)


def test_broken_row_of_a_file_of_all_splits_is_in_quarantine_once(tmp_path, root):
    spoil(beir(tmp_path / "raw") / "queries.jsonl", b'{"_id": "q8"\n')
    found = build_all(IngestConfig(layout="beir", path=str(tmp_path / "raw"), on_bad_row="quarantine"), root)
    assert [reason.partition(":")[0] for reason in found["quarantine"]["reason"]] == ["broken JSON"]


def one_qrels_file(folder, *more):
    """The collection as tables, with the judgements of both splits in one file."""
    rows = [row for judged in QRELS.values() for row in judged]
    write(folder / "corpus.jsonl", jsonl(DOCUMENTS))
    for split, asked in QUERIES.items():
        write(folder / f"queries-{split}.tsv", tsv([("query_id", "text"), *asked]))
    write(folder / "qrels.tsv", tsv([("query_id", "doc_id", "relevance"), *rows, *more]))
    patterns = {"corpus": "corpus.jsonl", "queries": "queries-{split}.tsv", "qrels": "qrels.tsv"}
    return IngestConfig(layout="table", path=str(folder), columns={"doc_id": "docid"}, validation_share=0.0, **patterns)


def test_one_file_of_all_judgements_becomes_a_dataset_per_split(tmp_path, root):
    config = one_qrels_file(tmp_path / "raw")
    write(tmp_path / "raw/qrels.tsv", (tmp_path / "raw/qrels.tsv").read_text().replace("doc_id", "docid"))
    build_all(config, root)
    made = promised(config)["qrels"]
    for split in ("train", "dev"):
        assert storage.read(made[split].ref(root)).rows() == QRELS[split]


@pytest.mark.parametrize(
    ("row", "part"), [(("q3", "1#0", "x"), "train"), (("q3", "2#0", 0), "dev"), (("q9", "2#0", 1), "dev")]
)
def test_bad_row_of_a_file_of_all_judgements_is_told_once(tmp_path, root, row, part):
    config = one_qrels_file(tmp_path / "raw", row)
    write(tmp_path / "raw/qrels.tsv", (tmp_path / "raw/qrels.tsv").read_text().replace("doc_id", "docid"))
    made = promised(config)
    for promise in (*made["corpus"], *made["queries"].values()):
        build(promise, root, SURROUNDINGS)
    for split in ("train", "dev"):
        if split == part:
            with pytest.raises(ValueError, match=r"qrels.tsv, line 6"):
                build(made["qrels"][split], root, SURROUNDINGS)
        else:
            build(made["qrels"][split], root, SURROUNDINGS)


def test_shuffled_files_give_the_same_queries_and_judgements(tmp_path):
    ids = [f"q{number:02}" for number in range(40)]
    queries = {split: [(f"{split}-{one}", f"{split} {one}") for one in ids] for split in ("train", "dev")}
    judged = {
        split: [(name, "1#0" if number < 8 else f"{number // 3}#0", 1) for number, (name, _) in enumerate(rows)]
        for split, rows in queries.items()
    }
    documents = [{"docid": f"{number}#0", "title": "", "text": f"text {number}"} for number in range(40)]
    found = []
    for name, step in (("one", 1), ("two", -1)):
        shuffled = [{split: rows[::step] for split, rows in parts.items()} for parts in (queries, judged)]
        raw = miracl(tmp_path / name, "fi", documents, *shuffled)
        config = IngestConfig(layout="miracl", path=str(raw), validation_share=0.4)
        found.append(build_all(config, str(tmp_path / f"{name}-store")))
    for kind in ("queries", "qrels"):
        assert found[0][kind].equals(found[1][kind])
    parts = found[0]["queries"].filter(pl.col("query_id").str.contains("train-q0[0-7]"))["split"]
    assert parts.n_unique() == 1  # they share a document
    assert set(found[0]["queries"]["split"]) == {"train", "validation", "dev"}


@pytest.mark.parametrize(("relevant_from", "num_groups"), [(1, 1), (2, 9)])
def test_what_counts_as_relevant_decides_who_is_held_out_together(tmp_path, root, relevant_from, num_groups):
    """Nine queries share a document of grade 1, and each has one of grade 2 of its own."""
    ids = [f"q{number}" for number in range(9)]
    documents = [{"docid": f"{number}#0", "title": "", "text": f"text {number}"} for number in range(10)]
    queries = {"train": [(one, f"about {one}") for one in ids], "dev": []}
    graded = [row for number, one in enumerate(ids) for row in ((one, "9#0", 1), (one, f"{number}#0", 2))]
    raw = miracl(tmp_path / "raw", "fi", documents, queries, {"train": graded, "dev": []})
    splits = set()
    for seed in range(8):
        config = IngestConfig(
            layout="miracl", path=str(raw), validation_share=0.5, seed=seed, relevant_from=relevant_from
        )
        train = promised(config)["queries"]["train"]
        build(train, root, SURROUNDINGS)
        splits.add(storage.read(train.ref(root)).height)
    assert (splits <= {0, 9}) == (num_groups == 1)


def test_counts_of_each_split_are_logged(tmp_path, root, caplog):
    with caplog.at_level(logging.INFO):
        build_all(settings(miracl(tmp_path / "raw")), root)
    assert "fi: the 2 train queries have 3 judgements, 2 of them relevant; 0 queries have none" in caplog.text


@pytest.mark.slow
def test_atlas_becomes_four_datasets(root):
    found = build_all(IngestConfig(), root, language="sw")
    assert set(found) == {"corpus", "queries", "qrels", "truth"}
    assert set(found["queries"]["split"]) == {"train", "validation", "dev"}


def test_unknown_language_is_an_error_in_every_layout(tmp_path):
    for config in (IngestConfig(), settings(tmp_path)):
        with pytest.raises(ValueError, match="got 'xx'"):
            ingest_languages(config, ["xx"])


def test_title_alone_is_a_document_and_counts(shared, root):
    path = shared / "cases/title_only_documents"
    config = IngestConfig(
        layout="beir", path=str(path), train_split="", dev_split="test", allow_missing_train=True, validation_share=0.0
    )
    found = build_all(config.model_copy(update={"on_bad_row": "quarantine"}), root)
    assert found["corpus"]["doc_id"].to_list() == ["a1", "a2", "a3"]
    assert found["qrels"]["query_id"].to_list() == ["1", "2"]
    assert found["quarantine"]["reason"].str.extract("^([^:]+): ").to_list() == ["empty text"]


def test_relevance_below_0_is_judged_and_not_relevant(shared, root):
    config = IngestConfig(
        layout="beir", path=str(shared / "cases/negative_relevance"), train_split="", dev_split="test"
    )
    found = build_all(config, root)
    assert sorted(found["qrels"]["relevance"].to_list()) == [0, 2]


def test_quoted_tsv_is_read_as_it_was_written(shared, root):
    config = IngestConfig(
        layout="table",
        path=str(shared / "cases/tsv_quoted"),
        corpus="docs.tsv",
        queries="q-{split}.tsv",
        qrels="r-{split}.tsv",
        train_split="",
    )
    found = build_all(config, root)
    assert found["corpus"].row(0) == ("1", 'The "Blue" Door', 'He said "come in" and left.')
    assert found["queries"]["text"].to_list() == ['who said "come in"?']


def test_language_without_train_files_has_dev_alone(tmp_path, root):
    raw = miracl(tmp_path / "raw", "de")
    for path in raw.glob("miracl-v1.0-de/*/*-train.tsv"):
        path.unlink()
    found = build_all(settings(raw), root, language="de")
    assert found["queries"]["split"].to_list() == ["dev"]
    assert found["qrels"].rows() == QRELS["dev"]
    assert found["corpus"].height == 3


def test_bad_rows_of_a_language_without_train_files_are_found(tmp_path, root):
    raw = beir(tmp_path / "raw")
    (raw / "qrels/train.tsv").unlink()
    spoil(raw / "queries.jsonl", b"{\n")
    spoil(raw / "corpus.jsonl", b"[]\n")
    config = IngestConfig(layout="beir", path=str(raw), allow_missing_train=True)
    with pytest.raises(ValueError, match=r"queries.jsonl, line 5.*broken JSON"):
        build(promised(config)["queries"]["dev"], root, SURROUNDINGS)
    found = build_all(config.model_copy(update={"on_bad_row": "quarantine"}), root)
    assert found["quarantine"]["source"].str.extract("([^/]*)$").to_list() == ["corpus.jsonl", "queries.jsonl"]
    assert found["queries"]["query_id"].to_list() == ["q3"]


def test_parquet_as_mteb_has_it_is_read_under_the_layout_beir(tmp_path, root):
    raw = tmp_path / "raw"
    for name, rows in {
        "corpus": {"_id": [1, 2], "title": ["Bones", ""], "text": ["", "Skin."]},
        "queries": {"_id": ["q1", "q2"], "text": ["bones", "skin"]},
        "test-00000-of-00001": {
            "query-id": ["q1", "q1", "q2"],
            "corpus-id": [1.0, 2.0, 2.0],
            "score": [2.0, -1.0, 1.0],
        },
    }.items():
        raw.mkdir(exist_ok=True)
        pl.DataFrame(rows).write_parquet(raw / f"{name}.parquet")
    config = IngestConfig(
        layout="beir",
        path=str(raw),
        corpus="corpus.parquet",
        queries="queries.parquet",
        qrels="{split}-*.parquet",
        train_split="",
        dev_split="test",
    )
    found = build_all(config, root)
    assert found["corpus"].rows() == [("1", "Bones", ""), ("2", "", "Skin.")]
    assert found["qrels"].rows() == [("q1", "1", 2), ("q1", "2", 0), ("q2", "2", 1)]


def test_threshold_of_relevance_is_nothing_to_dev(tmp_path, root):
    raw = miracl(tmp_path / "raw", qrels={"train": [("q1", "1#0", 1), ("q2", "1#1", 2)], "dev": [("q3", "2#0", 1)]})
    one, two = (settings(raw, relevant_from=grade) for grade in (1, 2))
    assert build_all(two, root)["qrels"].rows() == [("q1", "1#0", 0), ("q2", "1#1", 2), ("q3", "2#0", 1)]
    fingerprints = [promised(config)["corpus"][0].fingerprint for config in (one, two)]
    assert fingerprints[0] == fingerprints[1]
