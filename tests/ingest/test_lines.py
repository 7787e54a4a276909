"""Lines of plain and gzipped files, whole and damaged."""

import gzip

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.raw_files import write

from tasks.ingest.lines import read_lines
from tasks.ingest.rows import DamagedFile


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lines")


def lines_of(path):
    return list(read_lines(str(path)))


def until_damage(path):
    """Read a damaged file: the lines before the damage, the error's text."""
    kept, lines = [], read_lines(str(path))
    with pytest.raises(DamagedFile, match="gzip") as raised:
        kept.extend(lines)
    return kept, str(raised.value)


def test_numbers_lines_from_one(tmp_path):
    assert lines_of(write(tmp_path / "a.tsv", "a\nb\n")) == [(1, b"a"), (2, b"b")]


def test_reads_last_line_without_line_end(tmp_path):
    assert lines_of(write(tmp_path / "a.tsv", "a\nb")) == [(1, b"a"), (2, b"b")]


def test_takes_off_byte_order_mark_and_carriage_returns(tmp_path):
    assert lines_of(write(tmp_path / "a.tsv", b"\xef\xbb\xbfa\r\nb\r\n")) == [(1, b"a"), (2, b"b")]


def test_counts_empty_lines_and_leaves_them_out(tmp_path):
    assert lines_of(write(tmp_path / "a.tsv", "\na\n\r\nb\n\n")) == [(2, b"a"), (4, b"b")]


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_empty_file_has_no_lines(tmp_path, name):
    assert lines_of(write(tmp_path / name, "")) == []


def test_reads_gzip_whatever_its_name(tmp_path):
    (tmp_path / "a.tsv").write_bytes(gzip.compress(b"a\n"))
    assert lines_of(tmp_path / "a.tsv") == [(1, b"a")]


def test_reads_gzip_of_several_members_with_padding(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"a\nb") + gzip.compress(b"c\n") + b"\0\0")
    assert lines_of(tmp_path / "a.gz") == [(1, b"a"), (2, b"bc")]


def test_reads_any_fsspec_url():
    fsspec.filesystem("memory").pipe("/lines/a.tsv.gz", gzip.compress(b"a\n"))
    assert lines_of("memory://lines/a.tsv.gz") == [(1, b"a")]


def test_truncated_gzip_keeps_the_lines_before_it(tmp_path):
    whole = gzip.compress(b"".join(b"%d\n" % (number * number) for number in range(9999)))
    (tmp_path / "a.gz").write_bytes(whole[: len(whole) // 2])
    kept, error = until_damage(tmp_path / "a.gz")
    assert [line for _, line in kept] == [b"%d" % (number * number) for number in range(len(kept))]
    assert len(kept) > 1000
    assert f"a.gz, line {len(kept) + 1}: expected a complete gzip file, got the end" in error


def test_changed_byte_in_gzip_is_an_error(tmp_path):
    content = bytearray(gzip.compress(b"hello\n" * 99))
    content[-6] ^= 1  # in the checksum
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(DamagedFile, match=r"line 1: expected a sound gzip file, got .*incorrect data check"):
        lines_of(tmp_path / "a.gz")


def test_plain_text_named_gz_is_an_error(tmp_path):
    (tmp_path / "a.gz").write_bytes(b"a\n")
    with pytest.raises(DamagedFile, match=r"a.gz, line 1: expected a sound gzip file"):
        lines_of(tmp_path / "a.gz")


def test_file_of_no_bytes_named_gz_is_truncated(tmp_path):
    (tmp_path / "a.gz").write_bytes(b"")
    with pytest.raises(DamagedFile, match=r"line 1: expected a complete gzip file"):
        lines_of(tmp_path / "a.gz")


def test_too_long_line_ends_the_reading(tmp_path):
    path = write(tmp_path / "a.json", b"a\n" + b"x" * 3_000_000)
    lines = read_lines(str(path), max_line_bytes=2_000_000)
    assert next(lines) == (1, b"a")
    with pytest.raises(DamagedFile, match=r"line 2: expected lines of at most 2000000 bytes, got a longer one. Write"):
        next(lines)


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.tsv"):
        lines_of(tmp_path / "none.tsv")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(min_size=1).filter(lambda line: not set(line) & {10, 13}), max_size=20), st.booleans())
def test_returns_every_written_line(folder, lines, zipped):
    lines = [b"#" + line for line in lines]
    path = write(folder / ("a.gz" if zipped else "a.txt"), b"".join(line + b"\n" for line in lines))
    assert lines_of(path) == list(enumerate(lines, start=1))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_gzip_cut_anywhere_gives_a_prefix_and_an_error(folder, data):
    lines = [b"line %d" % number for number in range(50)]
    whole = gzip.compress(b"\n".join(lines), mtime=0)
    cut = data.draw(st.integers(0, len(whole) - 1))
    (folder / "cut.gz").write_bytes(whole[:cut])
    kept, error = until_damage(folder / "cut.gz")
    assert kept == list(enumerate(lines, start=1))[: len(kept)]
    assert "on_bad_row" in error
