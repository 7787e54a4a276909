"""`polyloom init`: from a folder of files to a configuration that reads them all."""

import json
import re

import polars as pl
import pytest
from support import raw_files
from support.raw_files import jsonl, tsv, write

from flows.cli.main import app
from flows.configs import load_config
from flows.weave import weave

TEXTS = [{"id": f"d{n}", "heading": "T", "body": f"Text {n}."} for n in range(12)]
QUESTIONS = {split: [(f"{split}{n}", f"{split} question {n}?") for n in range(6)] for split in ("train", "dev")}
JUDGED = {split: [(qid, f"d{n + 6 * (split == 'dev')}", 1) for n, (qid, _) in enumerate(rows)]
          for split, rows in QUESTIONS.items()}  # fmt: skip


def polyloom(*arguments):
    app([str(one) for one in arguments], standalone_mode=False)


def initialised(folder, *arguments):
    """Run init, check and weave; return the settings."""
    polyloom("init", folder, *arguments)
    polyloom("check", folder / "polyloom.yaml", "--json", folder / "check.json")
    settings = load_config(folder / "polyloom.yaml")
    assert {promise.partition for promise in weave(settings).promises} >= {*settings.languages}
    found = json.loads((folder / "check.json").read_text())["languages"]
    assert all(one["num_documents"] and {row["split"] for row in one["splits"]} >= {"dev"} for one in found)
    return settings


def test_miracl_s_layout_is_recognised_with_its_languages(tmp_path):
    for language in ("fi", "de"):
        raw_files.miracl(tmp_path, language)
    settings = initialised(tmp_path)
    assert settings.languages == ("de", "fi")
    assert settings.ingest.layout == "miracl"
    assert (settings.ingest.corpus, settings.ingest.queries, settings.ingest.qrels) == ("", "", "")


def test_files_of_miracl_s_form_under_other_names_have_patterns(tmp_path):
    write(tmp_path / "corpus/sw/docs-0.jsonl.gz", jsonl(raw_files.DOCUMENTS))
    for split, rows in raw_files.QUERIES.items():
        write(tmp_path / f"topics/topics.quad-sw-{split}.tsv", tsv(rows))
        judged = [(query, "Q0", document, grade) for query, document, grade in raw_files.QRELS[split]]
        write(tmp_path / f"qrels/qrels.quad-sw-{split}.tsv", tsv(judged))
    settings = initialised(tmp_path)
    assert (settings.ingest.layout, settings.languages) == ("miracl", ("sw",))
    assert settings.ingest.queries == "topics/topics.quad-{language}-{split}.tsv"


def test_beir_s_layout_is_recognised_and_its_language_is_said_to_be_a_guess(tmp_path, capsys):
    write(tmp_path / "data/corpus/en/0123/manifest.json", "{}")  # a store is no input
    write(tmp_path / "data/corpus/en/0123/part-0.parquet", "")
    settings = initialised(raw_files.beir(tmp_path))
    assert (settings.ingest.layout, settings.languages) == ("beir", ("en",))
    assert "en is a guess" in capsys.readouterr().out
    assert "# No language in the names of files: en is a guess." in (tmp_path / "polyloom.yaml").read_text()


def test_test_only_beir_is_measured_on_test(tmp_path):
    raw_files.beir(tmp_path)
    (tmp_path / "qrels/train.tsv").unlink()
    (tmp_path / "qrels/dev.tsv").rename(tmp_path / "qrels/test.tsv")
    settings = initialised(tmp_path, "--language", "fi")
    assert (settings.ingest.train_split, settings.ingest.dev_split, settings.languages) == ("", "test", ("fi",))


@pytest.mark.parametrize("form", ["jsonl", "tsv", "parquet"])
def test_tables_with_usual_columns_are_recognised_in_any_format(tmp_path, form):
    for language in ("uk", "pt-BR"):
        documents = [row | {"id": f"{language}-{row['id']}"} for row in TEXTS]
        rows = {f"{language}/docs": documents}
        for split in ("train", "dev"):
            rows[f"{language}/queries-{split}"] = [{"qid": qid, "question": text} for qid, text in QUESTIONS[split]]
            rows[f"{language}/qrels-{split}"] = [
                {"qid": qid, "id": f"{language}-{document}", "label": grade} for qid, document, grade in JUDGED[split]
            ]
        for name, entries in rows.items():
            path = tmp_path / f"{name}.{form}"
            path.parent.mkdir(exist_ok=True)
            if form == "parquet":
                pl.DataFrame(entries).write_parquet(path)
            else:
                write(path, jsonl(entries) if form == "jsonl" else tsv([[*entries[0]], *(r.values() for r in entries)]))
    settings = initialised(tmp_path)
    assert (settings.ingest.layout, settings.languages) == ("table", ("pt-BR", "uk"))
    assert settings.ingest.columns["doc_id"] == "id"
    assert settings.ingest.corpus == f"{{language}}/docs.{form}"
    assert settings.plan_batches.batch_size <= 6
    assert settings.plan_batches.topics <= 12
    assert settings.plan_batches.num_negatives == 3


@pytest.mark.parametrize(
    ("place", "languages", "said"),
    [
        ("ceb/{}", ("ceb",), "ceb (Cebuano)"),
        ("{}/ceb/data", ("ceb",), "ceb (Cebuano)"),
        ("zh-Hant-TW/{}", ("zh-Hant-TW",), "have no letter of Chinese (Traditional, Taiwan)'s script: is"),
        ("my-{}", ("my",), "12 of 12 documents have no letter of Burmese's script: is 'my' right?"),
        ("raw/{}", ("en",), "en is a guess"),
        ("nq-new-{}", ("en",), "en is a guess"),
    ],
)
def test_languages_are_named_and_doubted_where_the_documents_are_of_another_script(
    tmp_path, capsys, place, languages, said
):
    def file(name, suffix):
        return tmp_path / f"{place.format(name)}.{suffix}"

    write(file("docs", "jsonl"), jsonl(TEXTS))
    for split in ("train", "dev"):
        write(file(f"queries-{split}", "tsv"), tsv([("qid", "question"), *QUESTIONS[split]]))
        write(file(f"qrels-{split}", "tsv"), tsv([("qid", "id", "label"), *JUDGED[split]]))
    assert initialised(tmp_path).languages == languages
    assert said in " ".join(capsys.readouterr().out.split())


def test_a_tag_that_is_none_is_answered_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"^[^\n]*languages.0: .*got 'EN'\. Did you mean 'en'\?$"):
        polyloom("init", raw_files.beir(tmp_path), "--language", "EN")
    assert not (tmp_path / "polyloom.yaml").exists()


def test_shards_are_one_pattern(tmp_path):
    raw_files.beir(tmp_path)
    (tmp_path / "corpus.jsonl").rename(tmp_path / "corpus-0.jsonl")
    write(tmp_path / "corpus-1.jsonl", jsonl([{"_id": "x", "title": "", "text": "More."}]))
    assert initialised(tmp_path).ingest.corpus == "corpus-*.jsonl"


def test_shards_of_the_hub_are_one_pattern(tmp_path):
    raw_files.beir(tmp_path)
    documents = pl.read_ndjson(tmp_path / "corpus.jsonl")
    (tmp_path / "corpus.jsonl").unlink()
    documents.write_parquet(tmp_path / "corpus-00000-of-00002.parquet")
    documents.head(1).with_columns(_id=pl.lit("x")).write_parquet(tmp_path / "corpus-00001-of-00002.parquet")
    assert initialised(tmp_path).ingest.corpus == "corpus-*.parquet"


@pytest.mark.parametrize(
    ("files", "got"),
    [
        ({}, "none for corpus, queries, qrels"),
        ({"docs.jsonl": "{}\n", "queries.jsonl": "{}\n"}, "none for qrels"),
        ({"docs.jsonl": '{"id": "a"}\n', "queries.tsv": "id\ttext\n", "qrels.tsv": "a\tb\t1\n"}, "no split"),
        (
            {"docs.jsonl": '{"id": "a", "words": "b"}\n', "queries-dev.tsv": "id\ttext", "qrels-dev.tsv": "a\t0\tb\t1"},
            "corpus with ['id', 'words'] and no column for text",
        ),
    ],
)  # fmt: skip
def test_folder_that_is_not_understood_is_told_what_was_looked_for(tmp_path, files, got):
    for name, content in files.items():
        write(tmp_path / name, content)
    with pytest.raises(ValueError, match=r"expected files of a corpus \(named .*got " + re.escape(got)):
        polyloom("init", tmp_path)
    assert not (tmp_path / "polyloom.yaml").exists()


def test_a_configuration_that_is_there_stays(tmp_path):
    write(tmp_path / "polyloom.yaml", "mine")
    with pytest.raises(ValueError, match="expected no file yet"):
        polyloom("init", tmp_path)


def test_tables_without_a_line_of_names_are_told_which_to_put_on_top(tmp_path):
    write(tmp_path / "collection.tsv", "0\tA text.\n")
    for split in ("train", "dev"):
        write(tmp_path / f"queries.{split}.tsv", tsv([(f"{split}{n}", "What?") for n in range(2)]))
        write(tmp_path / f"qrels.{split}.tsv", tsv([(f"{split}{n}", "0", "0", "1") for n in range(2)]))
    for name, header in (
        ("collection.tsv", "doc_id\ttext"),
        ("queries.{split}.tsv", "query_id\tquery"),
        ("qrels.{split}.tsv", "query_id\titeration\tdoc_id\trelevance"),
    ):
        with pytest.raises(ValueError, match=re.escape(f"Put such a line on top: {header}".replace("\t", "\\t"))):
            polyloom("init", tmp_path)
        for path in {tmp_path / name.format(split=split) for split in ("train", "dev")}:
            path.write_text(f"{header}\n{path.read_text()}")
    polyloom("init", tmp_path)
    assert load_config(tmp_path / "polyloom.yaml").ingest.layout == "table"


def test_one_id_under_two_names_is_told_with_both_and_what_to_do(tmp_path):
    write(tmp_path / "docs.jsonl", jsonl(TEXTS))
    for split, rows in QUESTIONS.items():
        write(tmp_path / f"queries-{split}.tsv", tsv([("qid", "question"), *rows]))
        write(tmp_path / f"qrels-{split}.tsv", tsv([("qid", "doc_id", "label"), *JUDGED[split]]))
    told = "expected one name for doc_id in all files, got .* and, in .*. Rename the column in one of them."
    with pytest.raises(ValueError, match=told) as error:
        polyloom("init", tmp_path)
    assert "named corpus" not in str(error.value)
