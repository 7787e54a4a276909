"""`polyloom check`: what is in the input files, in numbers, and all that is wrong with them."""

import json

import polars as pl
import pytest
import yaml
from rich.console import Console
from support import raw_files
from support.in_process import build_missing
from typer.testing import CliRunner

from flows.cli.main import app
from flows.configs import PipelineConfig, load_config
from flows.weave import weave
from tasks.ingest.check import check_files, max_batch_size

TABLE = {"layout": "table", "corpus": "docs.jsonl", "queries": "{split}.tsv", "qrels": "qrels-{split}.tsv"}


def collection(folder, documents, queries, qrels):
    """Write a table; queries and judgements by split."""
    raw_files.write(folder / "docs.jsonl", raw_files.jsonl(documents))
    for split, rows in queries.items():
        raw_files.write(folder / f"{split}.tsv", raw_files.tsv([("query_id", "text"), *rows]))
        judged = [("query_id", "doc_id", "relevance"), *qrels.get(split, [])]
        raw_files.write(folder / f"qrels-{split}.tsv", raw_files.tsv(judged))
    return folder


def checked(folder, **ingest):
    config = PipelineConfig(languages=["en"], ingest=TABLE | {"path": str(folder), "validation_share": 0} | ingest)
    return check_files(config.ingest, "en", "title_and_text")


DOCUMENTS = [
    {"doc_id": "d1", "title": "A", "text": "one two"},
    {"doc_id": "d2", "title": "a", "text": "One  TWO"},
    {"doc_id": "d3", "text": "three"},
]
QUERIES = {"train": [("q1", "Where?"), ("q2", "where? "), ("q3", "who")], "dev": [("q4", "WHERE?"), ("q5", "what")]}
QRELS = {"train": [("q1", "d1", 1), ("q2", "d3", 0), ("q3", "d2", 1)], "dev": [("q4", "d3", 2)]}


def test_counts_are_those_of_the_files(tmp_path):
    found = checked(collection(tmp_path, DOCUMENTS, QUERIES, QRELS))
    assert found["problems"] == []
    assert (found["num_documents"], found["num_copies"]) == (3, 1)
    assert (found["longest_document"], found["longest_query"]) == (len("a\nOne  TWO"), len("where? "))
    dev, train = found["splits"]
    shown = ("num_queries", "num_judgements", "num_relevant", "num_without_relevant", "num_copies", "num_in_train")
    assert [train[name] for name in shown] == [3, 3, 2, 1, 1, None]
    assert [dev[name] for name in shown] == [2, 1, 1, 1, 0, 1]
    assert found["max_batch_size"] == 1  # d1 and d2 are one text, and all that both queries have


def test_dev_without_judgements_is_a_problem_unless_there_is_to_be_no_dev(tmp_path):
    collection(tmp_path, DOCUMENTS, QUERIES, {"train": QRELS["train"]})
    (problem,) = checked(tmp_path)["problems"]
    assert problem.startswith(f"{tmp_path}/qrels-dev.tsv: expected judgements of the dev queries, got none")
    assert checked(tmp_path, dev_split="")["problems"] == []


@pytest.mark.parametrize(
    ("language", "text", "is_foreign"),
    [
        ("my", "Where?", True),
        ("my", "ဘယ်မှာ", False),
        ("ja", "ひらがな", False),
        ("ko", "漢字", False),
        ("zh-Hant", "a1", True),
    ]
    + [
        ("sr", "gde", True),
        ("sr-Latn", "gde", False),
        ("ru", "42 %", False),
        ("und", "גם", False),
        ("en-Latf", "a", False),
    ],
)
def test_documents_in_another_script_than_the_languages_are_counted(tmp_path, language, text, is_foreign):
    folder = collection(tmp_path, [{"doc_id": "d1", "text": text}], QUERIES, {})
    config = PipelineConfig(languages=[language], ingest=TABLE | {"path": str(folder)})
    assert check_files(config.ingest, language, "title_and_text")["num_foreign"] == is_foreign


def test_every_bad_row_is_told_with_its_file_and_line(tmp_path):
    documents = [*DOCUMENTS, {"doc_id": "d1", "text": "again"}, {"doc_id": "d4", "text": " "}]
    qrels = {"train": [*QRELS["train"], ("q9", "d1", 1), ("q1", "d9", 1), ("q1", "d3", "x")], "dev": QRELS["dev"]}
    found = checked(collection(tmp_path, documents, QUERIES, qrels))
    expected = [
        "docs.jsonl, line 5, field 'text': expected a text that is not empty",
        "docs.jsonl, line 4, field 'doc_id': expected every id once",
        "qrels-train.tsv, line 5, field 'query_id': expected a query of the same split",
        "qrels-train.tsv, line 6, field 'doc_id': expected a document of the corpus",
        "qrels-train.tsv, line 7, field 'relevance': expected a whole number (0 and below = judged, not relevant)",
    ]
    assert sorted(
        problem.removeprefix(f"{tmp_path}/").partition(", got")[0] for problem in found["problems"]
    ) == sorted(expected)
    assert not any("on_bad_row" in problem for problem in found["problems"])


def test_damaged_and_missing_files_do_not_hide_the_rest(tmp_path):
    collection(tmp_path, DOCUMENTS, QUERIES, QRELS)
    whole = raw_files.write(tmp_path / "docs.jsonl.gz", raw_files.jsonl(DOCUMENTS * 50)).read_bytes()
    (tmp_path / "docs.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "qrels-dev.tsv").unlink()
    found = checked(tmp_path, corpus="docs.jsonl.gz")
    assert any("expected a complete gzip file" in problem for problem in found["problems"])
    assert any("ingest qrels of 'en': expected files at" in problem for problem in found["problems"])
    assert [row["split"] for row in found["splits"]] == ["train"]


def test_what_a_truncated_corpus_lacks_is_told_once_and_judgements_are_not_blamed(tmp_path):
    collection(tmp_path, DOCUMENTS, QUERIES, QRELS)
    with (tmp_path / "qrels-train.tsv").open("a") as file:
        file.write("q9\td1\t1\n")
    whole = raw_files.write(tmp_path / "docs.jsonl.gz", raw_files.jsonl(DOCUMENTS * 50)).read_bytes()
    (tmp_path / "docs.jsonl.gz").write_bytes(whole[:30])
    damage, query = checked(tmp_path, corpus="docs.jsonl.gz")["problems"]
    assert "expected a complete gzip file" in damage
    assert "expected a query of the same split, got 'q9'" in query


def test_id_that_pandas_made_a_decimal_number_is_told_apart(tmp_path):
    documents = [{"doc_id": 25, "text": "one"}]
    found = checked(collection(tmp_path, documents, {"train": [("q1", "Where?")]}, {"train": [("q1", "25.0", 1)]}))
    assert any("expected a document of the corpus, got '25.0', which is not '25'" in one for one in found["problems"])


def test_beir_s_file_of_all_queries_is_read_by_the_judgements_and_told_of_once(tmp_path):
    raw_files.beir(tmp_path)
    with (tmp_path / "queries.jsonl").open("a") as file:
        file.write("{broken\n")
    config = PipelineConfig(languages=["fi"], ingest={"layout": "beir", "path": str(tmp_path), "validation_share": 0})
    found = check_files(config.ingest, "fi", "text")
    assert [(row["split"], row["num_queries"]) for row in found["splits"]] == [("dev", 1), ("train", 2)]
    assert len(found["problems"]) == 1


@pytest.mark.parametrize(
    ("pairs", "size"),
    [
        ([], 0),
        ([("q1", "a")], 1),
        ([("q1", "a"), ("q2", "b"), ("q3", "c")], 3),
        # ten queries, five on each of two passages: a batch holds one of each
        ([(f"q{n}", "ab"[n % 2]) for n in range(10)], 2),
        # two of six share a passage: they are in two batches of three, or in one of six never
        ([("q1", "a"), ("q2", "a"), ("q3", "c"), ("q4", "d"), ("q5", "e"), ("q6", "f")], 3),
        # each has another passage besides
        ([("q1", "a"), ("q2", "a"), ("q1", "b"), ("q2", "c")], 2),
    ],
)
def test_largest_batch_that_separates_positives(pairs, size):
    assert largest_batch([(query, query, document) for query, document in pairs]) == size


def largest_batch(rows):
    """Take query, its text and a relevant document."""
    table = pl.DataFrame(rows, schema=dict.fromkeys(("query_id", "text", "doc_id"), pl.String), orient="row")
    judged = table.select("query_id", "doc_id", relevance=pl.lit(1))
    documents = table.select("doc_id", key="doc_id").unique()
    return max_batch_size(table.select("query_id", "text").unique(), judged, documents)


def test_queries_with_one_text_share_what_is_relevant_to_them():
    pairs = [("q1", "x", "a"), ("q2", "X ", "b"), ("q3", "y", "c"), ("q4", "z", "d")]
    assert largest_batch(pairs) == 3  # all but one of q1 and q2


def test_command_says_it_on_80_columns_and_in_json(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("flows.cli.check.out", Console(width=80))
    collection(tmp_path, [*DOCUMENTS, {"doc_id": "d5"}], QUERIES, QRELS)
    lines = [
        "languages: [en]",
        "ingest:",
        f"  path: {tmp_path}",
        *(f'  {key}: "{text}"' for key, text in TABLE.items()),
    ]
    config = raw_files.write(tmp_path / "mine.yaml", "\n".join(lines))
    with pytest.raises(ValueError, match="expected files without a problem, got 3 above"):
        app(["check", str(config), "--json", str(tmp_path / "a.json")], standalone_mode=False)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "3 documents, 1 of them copies; analyzer lucene:en" in printed
    assert "batch_size: expected at most 2, the train queries with a positive of 'en'" in " ".join(printed.split())
    assert "plan_batches.topics: expected at most 2, all train queries" in " ".join(printed.split())
    assert "separate all positives, less than plan_batches.batch_size 24" in " ".join(printed.split())
    answer = json.loads((tmp_path / "a.json").read_text())
    assert answer["languages"][0]["num_documents"] == 3


def test_generated_sample_has_no_files_to_check(tmp_path):
    config = raw_files.write(tmp_path / "mine.yaml", "languages: [en]")
    with pytest.raises(ValueError, match="got the layout atlas, which is generated"):
        app(["check", str(config)], standalone_mode=False)


def test_plan_says_which_batches_separate_all_positives_from_the_files_or_what_is_built(tmp_path, monkeypatch):
    collection(tmp_path, DOCUMENTS, QUERIES, QRELS)
    ingest = TABLE | {"path": str(tmp_path), "validation_share": 0}
    settings = {"languages": ["en"], "storage": {"root": str(tmp_path / "data")}, "ingest": ingest}
    config = raw_files.write(tmp_path / "mine.yaml", yaml.safe_dump(settings))

    def planned(*overrides):
        answer = CliRunner().invoke(app, ["plan", str(config), *overrides], catch_exceptions=False).output
        return " ".join(answer.split())

    clash = "Largest batches that separate all positives: en 1. plan_batches.batch_size is 24: what clashes is left out"
    assert clash in planned()
    assert "separate" not in planned("--until", "denoise")
    monkeypatch.setattr("flows.cli.check.SMALL", 0)
    assert "Which batches separate all positives is known when ingest has run" in planned()
    build_missing(weave(load_config(config)).until("ingest"), str(tmp_path / "data"))
    assert "Largest batches that separate all positives: en 2." in planned()  # of a large corpus copies count apart
    monkeypatch.setattr("flows.cli.check.SMALL", 1_000_000)
    assert clash in planned()
    assert clash in planned("--set", "denoise.relabel=true")
