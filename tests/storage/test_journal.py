"""Journals: records that survive a kill."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import Journal, open_journal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "inner" / "journal.jsonl"


def reopened(path):
    with Journal(path) as journal:
        return {key: journal.get(key) for key in ("a", "b", "c") if key in journal}


def test_record_is_there_at_once_and_after_reopening(path):
    with Journal(path) as journal:
        journal.add("a", {"text": "jäätelö\n"})
        journal.add("b", {"text": "2"})
        assert journal.get("a") == {"text": "jäätelö\n"}
    assert reopened(path) == {"a": {"text": "jäätelö\n"}, "b": {"text": "2"}}


def test_unknown_key_has_no_record(path):
    with Journal(path) as journal:
        assert "a" not in journal
        assert journal.get("a") is None


def test_later_record_takes_the_place_of_the_earlier(path):
    with Journal(path) as journal:
        journal.add("a", {"n": 1})
        journal.add("a", {"n": 2})
        assert journal.get("a") == {"n": 2}
    assert reopened(path) == {"a": {"n": 2}}


@pytest.mark.parametrize("cut", [2, 5, 20])
def test_torn_last_line_is_no_record_and_spoils_no_later_one(path, cut):
    with Journal(path) as journal:
        journal.add("a", {"n": 1})
        journal.add("b", {"n": 2})
    path.write_bytes(path.read_bytes()[:-cut])
    assert reopened(path) == {"a": {"n": 1}}
    with Journal(path) as journal:
        journal.add("c", {"n": 3})
    assert reopened(path) == {"a": {"n": 1}, "c": {"n": 3}}


def test_last_line_without_its_end_is_a_record(path):
    with Journal(path) as journal:
        journal.add("a", {"n": 1})
    path.write_bytes(path.read_bytes()[:-1])
    with Journal(path) as journal:
        journal.add("b", {"n": 2})
    assert reopened(path) == {"a": {"n": 1}, "b": {"n": 2}}


@pytest.mark.parametrize("line", [b"\n", b"\xff\n", b"[1]\n", b'{"key": 1, "record": {}}\n', b'{"key": "a"}\n'])
def test_line_that_is_no_record_is_passed_over(path, line):
    with Journal(path) as journal:
        journal.add("a", {"n": 1})
    path.write_bytes(line + path.read_bytes() + line)
    assert reopened(path) == {"a": {"n": 1}}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.binary(max_size=200), cut=st.integers(0, 200))
def test_journal_of_any_bytes_gives_records_or_nothing(path, before, cut):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(before + b'{"key": "a", "record": {"n": 1}}\n'[:cut])
    assert reopened(path) in ({}, {"a": {"n": 1}})
    with Journal(path) as journal:
        journal.add("b", {"n": 2})
    assert reopened(path)["b"] == {"n": 2}


def test_two_writers_do_not_spoil_each_other(path):
    with Journal(path) as one, Journal(path) as other:
        for number in range(50):
            one.add(f"one-{number}", {"n": number})
            other.add(f"other-{number}", {"n": -number})
        assert one.get("one-49") == {"n": 49}
        assert other.get("other-49") == {"n": -49}
    with Journal(path) as both:
        assert all(f"{side}-{number}" in both for side in ("one", "other") for number in range(50))


def test_journal_lies_in_a_local_store_and_outside_a_remote_one(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with open_journal(str(tmp_path / "data"), "replies-sw") as journal:
        assert journal.path == tmp_path / "data" / "journals" / "replies-sw.jsonl"
    with open_journal("s3://bucket/prefix", "replies-sw") as journal:
        assert journal.path.is_relative_to(tmp_path / "cache" / "polyloom")
