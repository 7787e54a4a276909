"""Parquet tables with values and pages that are broken: the row is bad, and the others are read."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.ingest.read import read_documents
from tasks.ingest.rows import DamagedFile, Tally, good_rows, quarantine_parts
from tasks.ingest.tables import PARQUET_BATCH_ROWS

COLUMNS = {"doc_id": "doc_id", "title": "title", "text": "text"}


def documents(path):
    return read_documents([(str(path), "parquet", "")], form="table", columns=COLUMNS)


@pytest.fixture
def broken(tmp_path):
    """The second row of the second batch has a text that is not UTF-8."""
    texts = [b"text %d" % number for number in range(PARQUET_BATCH_ROWS + 3)]
    texts[PARQUET_BATCH_ROWS + 1] = b"k\xf6yh\xe4"
    ids = [f"d{number}" for number in range(len(texts))]
    pq.write_table(pa.table({"doc_id": ids, "text": pa.array(texts).view(pa.string())}), tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


def test_text_that_is_not_utf8_is_a_bad_row_and_the_others_are_read(broken):
    tally = Tally()
    rows = list(good_rows(documents(broken), tally))
    assert tally.counts == {"not UTF-8": 1}
    assert [row.line for row in rows] == [n for n in range(1, PARQUET_BATCH_ROWS + 4) if n != PARQUET_BATCH_ROWS + 2]
    assert rows[-1].text == f"text {PARQUET_BATCH_ROWS + 2}"


def test_quarantine_has_its_row_field_and_bytes(broken):
    (frame,) = quarantine_parts(documents(broken))
    assert frame.rows() == [
        (
            str(broken),
            PARQUET_BATCH_ROWS + 2,
            "text",
            "not UTF-8: byte 0xf6 at offset 1 of the text",
            "k\\xf6yh\\xe4",
        )
    ]


def test_page_whose_checksum_differs_is_an_error(tmp_path):
    table = pa.table({"doc_id": ["d1", "d2"], "text": ["needle in a page", "another"]})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="none", write_page_checksum=True, use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"needle", b"noodle"))
    with pytest.raises(DamagedFile, match=r"a\.parquet: expected a sound Parquet file, got .*CRC checksum"):
        list(documents(path))


@pytest.mark.parametrize("index", ["doc_id", "pandas' own"])
def test_table_with_an_index_of_pandas_is_read(tmp_path, index):
    named = pa.table({"text": ["one", "two"], "doc_id" if index == "doc_id" else "__index_level_0__": ["d1", "d2"]})
    if index != "doc_id":
        named = named.append_column("doc_id", pa.array(["d1", "d2"]))
    pq.write_table(named, tmp_path / "a.parquet")
    assert [row[2:] for row in documents(tmp_path / "a.parquet")] == [("d1", "", "one"), ("d2", "", "two")]
