"""SQL over a run: all languages in one table, what was replaced left out, and no way out of the store."""

import polars as pl
import pytest
from support.datasets import FACTS, qrels

from storage import DatasetRef, Input, Writer, commit, inspect, load


@pytest.fixture
def put(tmp_path):
    def write(partition, fingerprint, frame, made_from=()):
        ref = DatasetRef(kind="qrels", partition=partition, fingerprint=fingerprint, root=str(tmp_path))
        writer = Writer(ref)
        writer.write(frame)
        entries = [
            Input(
                name="qrels",
                kind=one.kind,
                partition=one.partition,
                fingerprint=one.fingerprint,
                content=load(one).content,
            )
            for one in made_from
        ]
        commit(writer, **{**FACTS, "inputs": entries})
        return ref

    return write


def test_tables_hold_all_languages_and_join_with_others(put):
    refs = [put("en", "a", qrels("d1", "d2")), put("sw", "b", qrels("d1"))]
    sql = "SELECT q.language, COUNT(*) AS n FROM qrels q JOIN self s ON q.doc_id = s.doc_id GROUP BY q.language"
    assert sorted(inspect.query(refs, sql, self=refs[1]).rows()) == [("en", 1), ("sw", 1)]


def test_what_another_dataset_replaces_is_no_row_and_what_is_gone_neither(put):
    first = put("en", "a", qrels("d1"))
    then = put("en", "b", qrels("d2", "d3"), made_from=[first])
    gone = first.model_copy(update={"fingerprint": "gone"})
    assert inspect.query([first, gone, then], "SELECT doc_id FROM qrels")["doc_id"].to_list() == ["d2", "d3"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM \"READ_PARQUET\" ('x')",
        "SELECT * FROM qrels UNION SELECT * FROM read_ndjson('x')",
        "SELECT * FROM qrels WHERE doc_id IN (SELECT x FROM read_json('x'))",
    ],
)
def test_other_files_cannot_be_read(put, sql):
    with pytest.raises(ValueError, match="--sql: expected tables of the store, got (?i:read_)"):
        inspect.query([put("en", "a", qrels("d1"))], sql)


def test_nothing_of_pythons_is_a_table(put):
    secret = pl.DataFrame({"a": [1]})
    assert secret.height == 1
    with pytest.raises(ValueError, match="--sql: expected a query on the run's tables, got: .*secret"):
        inspect.query([put("en", "a", qrels("d1"))], "SELECT * FROM secret")
