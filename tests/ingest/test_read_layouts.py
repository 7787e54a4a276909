"""Every layout gives the same collection; every bad row its reason."""

import contextlib
import csv
import json
import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.raw_files import DOCUMENTS, QRELS, QUERIES, beir, jsonl, miracl, passages, tsv, write

from tasks.ingest.config import IngestConfig
from tasks.ingest.files import find_source
from tasks.ingest.read import read_documents, read_judgements, read_queries
from tasks.ingest.rows import REASONS, BadRow, DamagedFile, Document, Tally, good_rows, refuse

COLUMNS = {
    **{"doc_id": "docid", "title": "title", "text": "text"},
    **{"query_id": "query_id", "query": "query", "relevance": "relevance"},
}
TABLE = {"corpus": "corpus.{f}", "queries": "queries-{{split}}.{f}", "qrels": "qrels-{{split}}.{f}"}
READERS = {"corpus": read_documents, "queries": read_queries, "qrels": read_judgements}


def collection(config):
    """Read a collection back as plain values: documents, queries, judgements."""
    found = []
    for what, reader in READERS.items():
        source = find_source(config, "fi", what)
        files = [(file.path, file.format, file.split) for file in source.files]
        found.append([tuple(row[2:]) for row in reader(files, form=source.form, columns=source.columns)])
    return found


def expected(splits_by_file=True):
    return [
        [(row["docid"], row["title"], row["text"]) for row in DOCUMENTS],
        [(*row, split if splits_by_file else "") for split, rows in QUERIES.items() for row in rows],
        [(*row, split) for split, rows in QRELS.items() for row in rows],
    ]


def tables(root, file_format):
    """Write the collection as plain tables under our own column names."""
    names = {
        "corpus": ("doc_id", "title", "text"),
        "queries": ("query_id", "text"),
        "qrels": ("query_id", "doc_id", "relevance"),
    }
    rows = {"corpus": [tuple(row.values()) for row in DOCUMENTS]}
    for split in QUERIES:
        rows |= {f"queries-{split}": QUERIES[split], f"qrels-{split}": QRELS[split]}
    for name, values in rows.items():
        columns = names[name.partition("-")[0]]
        path = root / f"{name}.{file_format}"
        if file_format == "parquet":
            pl.DataFrame(values, schema=list(columns), orient="row").write_parquet(path)
        elif "jsonl" in file_format:
            write(path, jsonl(dict(zip(columns, row, strict=True)) for row in values))
        else:
            write(path, tsv([columns, *values]))
    return root


def test_miracl_layout_gives_the_collection(tmp_path):
    config = IngestConfig(layout="miracl", path=str(miracl(tmp_path)))
    assert collection(config) == expected()


def test_beir_layout_gives_the_collection_and_leaves_splits_to_the_qrels(tmp_path):
    documents, queries, judgements = expected(splits_by_file=False)
    config = IngestConfig(layout="beir", path=str(beir(tmp_path)))
    assert collection(config) == [documents, [*queries, ("t1", "A test query", "")], judgements]


@pytest.mark.parametrize("file_format", ["jsonl", "jsonl.gz", "tsv", "tsv.gz", "parquet"])
def test_plain_tables_give_the_collection(tmp_path, file_format):
    patterns = {what: name.format(f=file_format) for what, name in TABLE.items()}
    config = IngestConfig(layout="table", path=str(tables(tmp_path, file_format)), **patterns)
    assert collection(config) == expected()


def test_train_jsonl_gives_queries_judgements_and_passages(tmp_path):
    config = IngestConfig(layout="miracl", path=str(passages(tmp_path)), passages="{split}.jsonl.gz")
    documents, queries, judgements = collection(config)
    assert sorted(set(documents)) == sorted(expected()[0])
    assert queries == expected()[1]
    assert sorted(judgements) == sorted(expected()[2])


def test_table_column_names_are_settings(tmp_path):
    write(tmp_path / "a.jsonl", jsonl([{"key": 7, "body": "Text."}]))
    columns = {"doc_id": "key", "title": "none", "text": "body"}
    (row,) = read_documents([(str(tmp_path / "a.jsonl"), "jsonl", "")], form="table", columns=columns)
    assert row[2:] == ("7", "", "Text.")


def test_trec_qrels_may_be_split_by_spaces(tmp_path):
    write(tmp_path / "a.txt", "q1 0 d1 2\n")
    (row,) = read_judgements([(str(tmp_path / "a.txt"), "tsv", "dev")], form="trec", columns={})
    assert row[2:] == ("q1", "d1", 2, "dev")


@pytest.mark.parametrize("file_format", ["tsv", "parquet"])
def test_table_without_a_named_column_is_an_error(tmp_path, file_format):
    root = tables(tmp_path, file_format)
    with pytest.raises(ValueError, match=r"corpus.*expected columns.*'docid'.*ingest.columns"):
        list(read_documents([(str(root / f"corpus.{file_format}"), file_format, "")], form="table", columns=COLUMNS))


def test_column_that_stands_twice_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"a.tsv: expected every column once, got \['text'\] twice"):
        read_table(tmp_path / "a.tsv", "docid\ttext\ttext\n1\ta\tb\n")


def test_documents_stream(tmp_path):
    path = write(tmp_path / "a.jsonl", jsonl(DOCUMENTS) + "broken")
    rows = read_documents([(str(path), "jsonl", ""), ("/no/such/file", "jsonl", "")], form="table", columns=COLUMNS)
    assert next(rows).doc_id == "1#0"


BAD_DOCUMENTS = [
    ('{"docid": "1", "text": ', "broken JSON", ""),
    ('["1", "title", "text"]', "broken JSON", ""),
    ('{"docid": "1", "text": "\\ud800"}', "broken JSON", ""),
    (b'{"docid": "1", "text": "k\xf6yh\xe4"}', "not UTF-8", ""),
    (b"\xff\xfe{\0}\0", "not UTF-8", ""),
    ('{"title": "a", "text": "b"}', "missing id", "docid"),
    ('{"docid": " ", "text": "b"}', "missing id", "docid"),
    ('{"docid": null, "text": "b"}', "missing id", "docid"),
    ('{"docid": 1.5, "text": "b"}', "missing id", "docid"),
    ('{"docid": "1", "title": "a"}', "empty text", "text"),
    ('{"docid": "1", "text": " \\n"}', "empty text", "text"),
    ('{"docid": "1", "title": " ", "text": "\\u200b\\ufeff\\u00ad\\u3164"}', "empty text", "text"),
    ('{"docid": "\\u200b", "text": "b"}', "missing id", "docid"),
    ('{"docid": 123456789012345678901234567890, "text": "b"}', "missing id", "docid"),
    ('{"docid": true, "text": "b"}', "missing id", "docid"),
    ('{"docid": "1\\u0000", "text": "b"}', "control character in id", "docid"),
    ('{"docid": "a\\nb", "text": "b"}', "control character in id", "docid"),
    ('{"docid": "a\\u2028b", "text": "b"}', "control character in id", "docid"),
    ('{"docid": "gpj.exe\\u202e", "text": "b"}', "control character in id", "docid"),
    ('{"docid": "\\u20671", "text": "b"}', "control character in id", "docid"),
    ('{"docid": "1", "text": "a", "text" : "b"}', "repeated JSON key", "text"),
    ('{"docid": "1", "text": "a", "t\\u0065xt": "b"}', "repeated JSON key", "text"),
    ('{"docid": "1", "text": ["a"]}', "not a text", "text"),
    ('{"docid": "1", "title": 3, "text": "b"}', "not a text", "title"),
]
BAD_TOPICS = [
    ("all\tEverything?", "reserved id", "query_id"),
    ("q1", "wrong number of columns", ""),
    ("q1\ta\tb", "wrong number of columns", ""),
    (b"q1\tk\xf6yh\xe4", "not UTF-8", ""),
    ("\ttext", "missing id", "query_id"),
    ("q1\t ", "empty text", "query"),
]
BAD_QRELS = [
    ("q1\tQ0\td1", "wrong number of columns", ""),
    ("q1\tQ0\td1\t1\tx", "wrong number of columns", ""),
    ("q1\tQ0\td1\tyes", "relevance not an integer", "relevance"),
    ("q1\tQ0\td1\t1.5", "relevance not an integer", "relevance"),
    ("q1\tQ0\td1\t", "relevance not an integer", "relevance"),
    ("q1\tQ0\td1\t1_0", "relevance not an integer", "relevance"),
    ("q1\tQ0\td1\t99999999999", "relevance not an integer", "relevance"),
    ("\tQ0\td1\t1", "missing id", "query_id"),
    ("q1\tQ0\t\t1", "missing id", "doc_id"),
    (b"q\xff\tQ0\td1\t1", "not UTF-8", ""),
]
BAD_PASSAGES = [
    (
        '{"query_id": "q1", "query": "a", "positive_passages": {}, "negative_passages": 3}',
        "not a list of passages",
        "negative_passages",
    ),
    ('{"query_id": "q1", "query": "a", "positive_passages": ["x"]}', "not a list of passages", "positive_passages"),
    ('{"query_id": "q1", "query": "a", "positive_passages": [{"text": "x"}]}', "missing id", "docid"),
]


def check_bad(path, rows, line, reason, field):
    """See that row `line` is bad for the right reason, says so in its message, and hurts no other row."""
    found = list(rows)
    (bad,) = (row for row in found if isinstance(row, BadRow))
    assert (bad.source, bad.line, bad.reason, bad.field) == (str(path), line, reason, field)
    assert len(found) == 3
    with pytest.raises(ValueError, match=f"line {line}.*expected .*, got .*{reason}.*on_bad_row"):
        list(good_rows(found, refuse))
    tally = Tally()
    assert len(list(good_rows(found, tally))) == 2
    assert str(tally) == f"1 × {reason}"


def between(path, good, bad):
    bad = bad.encode() if isinstance(bad, str) else bad
    return write(path, good[0].encode() + b"\n" + bad + b"\n" + good[1].encode() + b"\n")


@pytest.mark.parametrize(("bad", "reason", "field"), BAD_DOCUMENTS)
def test_bad_document_is_named(tmp_path, bad, reason, field):
    path = between(tmp_path / "a.jsonl", [json.dumps(row) for row in DOCUMENTS], bad)
    rows = read_documents([(str(path), "jsonl", "")], form="table", columns=COLUMNS)
    check_bad(path, rows, 2, reason, field)


@pytest.mark.parametrize(("bad", "reason", "field"), BAD_TOPICS)
def test_bad_topic_is_named(tmp_path, bad, reason, field):
    path = between(tmp_path / "a.tsv", ["a\tone", "b\ttwo"], bad)
    check_bad(path, read_queries([(str(path), "tsv", "dev")], form="topics", columns={}), 2, reason, field)


@pytest.mark.parametrize(("bad", "reason", "field"), BAD_QRELS)
def test_bad_judgement_is_named(tmp_path, bad, reason, field):
    path = between(tmp_path / "a.tsv", ["a\tQ0\td\t1", "b\tQ0\td\t0"], bad)
    check_bad(path, read_judgements([(str(path), "tsv", "dev")], form="trec", columns={}), 2, reason, field)


@pytest.mark.parametrize(("bad", "reason", "field"), BAD_PASSAGES)
def test_bad_passages_are_named(tmp_path, bad, reason, field):
    good = [json.dumps({"query_id": str(n), "query": "a", "positive_passages": [DOCUMENTS[n]]}) for n in (0, 1)]
    path = between(tmp_path / "a.jsonl", good, bad)
    check_bad(path, read_documents([(str(path), "jsonl", "")], form="passages", columns={}), 2, reason, field)


def test_headed_tsv_row_of_other_length_is_bad(tmp_path):
    path = write(tmp_path / "a.tsv", "docid\ttext\na\tone\nb\ttwo\tthree\nc\tfour\n")
    check_bad(
        path, read_documents([(str(path), "tsv", "")], form="table", columns=COLUMNS), 3, "wrong number of columns", ""
    )


def test_wrong_encoding_names_byte_and_offset(tmp_path):
    path = write(tmp_path / "a.tsv", b"q1\tk\xf6yh\xe4\nq2\ttext\n")
    bad, _ = read_queries([(str(path), "tsv", "dev")], form="topics", columns={})
    assert bad.got == "byte 0xf6 at offset 4 of the line"
    assert bad.content == "q1\tk\\xf6yh\\xe4"


def test_damaged_parquet_is_an_error(tmp_path):
    whole = (tables(tmp_path, "parquet") / "corpus.parquet").read_bytes()
    path = write(tmp_path / "cut.parquet", whole[: len(whole) // 2])
    with pytest.raises(DamagedFile, match=r"cut.parquet: expected a sound Parquet file, got .* after 0 rows"):
        list(read_documents([(str(path), "parquet", "")], form="table", columns={**COLUMNS, "doc_id": "doc_id"}))


@pytest.mark.parametrize(
    ("name", "content", "first"),
    [
        ("a.jsonl", "[\n1,\n2\n]\n", "broken JSON"),
        ("a.jsonl", '{"docid": "1", "text": "Täyttä."}\n'.encode("utf-16"), "not UTF-8"),
        ("a.tsv", "q1 one more\nq2 two more\n", "wrong number of columns"),
    ],
)
def test_file_without_a_line_that_can_be_read_is_an_error(tmp_path, name, content, first):
    path = write(tmp_path / name, content)
    files = [(str(path), "jsonl", "")]
    rows = read_queries(files, form="topics" if name.endswith("tsv") else "table", columns=COLUMNS)
    with pytest.raises(DamagedFile, match=rf"{name}: expected a line that can be read, got none; line 1: {first}"):
        list(good_rows(rows, Tally()))


def test_jsonl_of_which_no_row_has_a_column_is_an_error_as_other_tables_are(tmp_path):
    rows, path = [{"docid": "1", "body": "one"}, {"docid": "2", "text": "two"}], tmp_path / "b.jsonl"
    files = [(str(write(path, jsonl(rows))), "jsonl", "")]
    assert [row.doc_id for row in good_rows(read_documents(files, form="table", columns=COLUMNS), Tally())] == ["2"]
    write(path, jsonl(rows[:1] * 2))
    kept = good_rows(read_documents(files, form="table", columns=COLUMNS), Tally())
    with pytest.raises(ValueError, match=r"b.jsonl: expected columns \['docid', 'text'\], .* without \['text'\]"):
        list(kept)


@pytest.mark.parametrize(
    ("name", "content", "end"),
    [
        ("a.jsonl", '{"docid": "1", "text": "one"}\n{"docid": "2", "te', "broken JSON"),
        ("a.tsv", "docid\ttext\n1\tone\n2", "wrong number of columns"),
        ("a.tsv", "docid\ttext\n1\tone\n2\tTürk".encode()[:-3], "not UTF-8"),
        ("a.jsonl.gz", '{"docid": "1", "text": "one"}\n{"docid": "2", "te', "broken JSON"),
    ],
)
def test_file_that_breaks_off_in_its_last_line_is_damaged_and_no_bad_row(tmp_path, name, content, end):
    files = [(str(write(tmp_path / name, content)), name.split(".")[1], "")]
    kept = read_documents(files, form="table", columns=COLUMNS)
    assert next(kept).doc_id == "1"
    with pytest.raises(DamagedFile, match=rf"{name}, line \d: expected a last line that is whole, got {end}"):
        list(good_rows(kept, Tally()))
    ended = content + ("\n" if isinstance(content, str) else b"\n")
    write(tmp_path / name, ended)
    assert [row.line for row in read_documents(files, form="table", columns=COLUMNS) if isinstance(row, BadRow)]


def test_every_reason_tells_what_to_do():
    assert all(expected and cure for expected, cure in REASONS.values())


def read_table(path, content, reader=read_documents, columns=COLUMNS):
    """Read a table of bytes, text or a frame."""
    if isinstance(content, pl.DataFrame):
        content.write_parquet(path)
    else:
        write(path, content)
    return [row[2:] for row in reader([(str(path), path.suffix[1:], "dev")], form="table", columns=columns)]


def test_title_with_an_empty_text_is_a_document(tmp_path):
    rows = [{"docid": "1", "title": "Bones", "text": ""}, {"docid": "2", "title": "Skin", "text": None}]
    assert read_table(tmp_path / "a.jsonl", jsonl(rows)) == [("1", "Bones", ""), ("2", "Skin", "")]
    assert read_table(tmp_path / "a.parquet", pl.DataFrame(rows)) == [("1", "Bones", ""), ("2", "Skin", "")]


def test_whole_numbers_are_ids_however_they_are_stored(tmp_path):
    ids = {"docid": [1, 2], "text": ["a", "b"]}
    expected = [("1", "", "a"), ("2", "", "b")]
    assert read_table(tmp_path / "a.parquet", pl.DataFrame(ids)) == expected
    assert read_table(tmp_path / "b.parquet", pl.DataFrame(ids, schema_overrides={"docid": pl.Float64})) == expected
    decimals = pl.DataFrame(ids, schema_overrides={"docid": pl.Decimal(20, 2)})
    assert read_table(tmp_path / "d.parquet", decimals) == expected
    assert read_table(tmp_path / "c.jsonl", '{"docid": 1, "text": "a"}\n{"docid": 2.0, "text": "b"}\n') == expected


def test_ids_keep_their_white_space(tmp_path):
    assert read_table(tmp_path / "a.jsonl", jsonl([{"docid": "Abc d 1", "text": "a"}])) == [("Abc d 1", "", "a")]
    assert read_table(tmp_path / "a.tsv", tsv([("docid", "text"), ("Abc d 1", "a")])) == [("Abc d 1", "", "a")]


def test_keys_of_inner_objects_may_repeat_those_outside(tmp_path):
    row = '{"docid": "1", "text": "it says \\"text\\": twice", "metadata": {"docid": 1, "text": ""}}\n'
    assert read_table(tmp_path / "a.jsonl", row) == [("1", "", 'it says "text": twice')]


@pytest.mark.parametrize(
    ("written", "relevance"),
    [("2", 2), ("1.0", 1), ("0.00", 0), ("-1", 0), ("-2.0", 0), ("1.", 1), ("007", 7), (" 1 ", 1)],
)
def test_relevance_is_a_whole_number_however_it_is_written(tmp_path, written, relevance):
    path = write(tmp_path / "a.tsv", f"q1\t0\td1\t{written}\n")
    (row,) = read_judgements([(str(path), "tsv", "dev")], form="trec", columns={})
    assert row.relevance == relevance


@pytest.mark.parametrize("given", [[1, -1], [1.0, -1.0]])
def test_relevance_in_parquet_may_be_whole_or_float(tmp_path, given):
    frame = pl.DataFrame({"query_id": [1, 1], "docid": [1, 2], "relevance": given})
    columns = {"query_id": "query_id", "doc_id": "docid", "relevance": "relevance"}
    found = read_table(tmp_path / "a.parquet", frame, read_judgements, columns)
    assert found == [("1", "1", 1, "dev"), ("1", "2", 0, "dev")]


QUOTED = [
    ("1", 'The "Blue" Door', 'He said "come in" and left.'),
    ("2", "Plain", "A\ttab"),
    ("3", "", "It's 5\" wide"),
    ("4", "", "A\rCR"),
]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_quotes_of_a_table_are_taken_off_as_they_were_put_on(tmp_path, quoting):
    with (tmp_path / "written.tsv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", quoting=quoting).writerows([("docid", "title", "text"), *QUOTED])
    assert read_table(tmp_path / "a.tsv", (tmp_path / "written.tsv").read_bytes()) == QUOTED


def test_empty_text_that_polars_puts_in_quotes_is_empty(tmp_path):
    frame = pl.DataFrame(QUOTED, schema=["docid", "title", "text"], orient="row")
    assert '4\t""\t"A\rCR"' in frame.write_csv(separator="\t")
    assert read_table(tmp_path / "a.tsv", frame.write_csv(separator="\t")) == QUOTED


@pytest.mark.parametrize("text", ['"Cis" and "trans" mean what', '"Hello"', 'who is "X"', '"', '"open', '5" or 6"'])
def test_quotes_that_no_writer_put_on_stay(tmp_path, text):
    path = write(tmp_path / "a.tsv", f"q1\t{text}\nq2\ttwo\n")
    rows = read_queries([(str(path), "tsv", "dev")], form="topics", columns={})
    assert [row[2:4] for row in rows] == [("q1", text), ("q2", "two")]


def test_line_break_inside_quotes_is_named(tmp_path):
    path = write(tmp_path / "a.tsv", 'docid\ttext\n1\tone\n2\t"two\nand more"\n3\tthree\n')
    one, bad, rest, three = read_documents([(str(path), "tsv", "")], form="table", columns=COLUMNS)
    assert [one.doc_id, three.doc_id] == ["1", "3"]
    assert (bad.reason, bad.line, rest.reason, rest.line) == ("quote not closed", 3, "wrong number of columns", 4)
    assert "JSONL" in bad.message


@pytest.mark.parametrize(
    ("form", "first", "second"),
    [
        ("topics", "query_id\tquery", "q1\tone"),
        ("topics", "\ufeffQID\tQuestion", "q1\tone"),
        ("trec", "query-id\titer\tdoc-id\trel", "q1\t0\td1\t1"),
    ],
)
def test_header_line_of_a_file_without_one_is_named(tmp_path, form, first, second):
    path = write(tmp_path / "a.tsv", f"{first}\n{second}\n")
    reader = read_queries if form == "topics" else read_judgements
    bad, row = reader([(str(path), "tsv", "dev")], form=form, columns={})
    assert (bad.line, bad.reason, row.query_id) == (1, "header line", "q1")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=5))
def test_any_text_survives_jsonl(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    rows = [(re.sub("[\\x00-\\x1f\\x7f-\\x9f\u2028\u2029]", "", key), title, text) for key, title, text in rows]
    write(path, jsonl({"docid": "#" + key, "title": title, "text": "." + text} for key, title, text in rows))
    found = read_documents([(str(path), "jsonl", "")], form="table", columns=COLUMNS)
    assert [row[2:] for row in found] == [("#" + key, title, "." + text) for key, title, text in rows]


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_give_documents_or_bad_rows(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "a.jsonl"
    path.write_bytes(content)
    with contextlib.suppress(ValueError):  # not one line of it can be read, or has the columns
        for row in read_documents([(str(path), "jsonl", "")], form="table", columns=COLUMNS):
            assert isinstance(row, Document | BadRow)
