"""What code a step's fingerprint covers."""

import importlib

import pytest

from storage import fingerprints
from tasks.engine import code

TASK = '''
from tasks.engine.job import Job
from tasks.evaluate import measure
from tasks.evaluate import runs

FACTOR = 2

def body(job):
    """Doc."""
    return measure.summarise(_own(1))

def _own(value):
    return value * FACTOR

def other(job):
    return runs
'''


@pytest.fixture
def rewritten(tmp_path, monkeypatch):
    """Write a task file and return (own definitions, modules) that `body` reaches in it."""
    monkeypatch.syspath_prepend(tmp_path)

    def rewrite(text):
        (tmp_path / "loomtask.py").write_text(text)
        importlib.invalidate_caches()
        code._module_names.cache_clear()
        fingerprints._source.cache_clear()
        return code.body_code("loomtask:body")

    return rewrite


def test_covers_own_helpers_constants_and_modules(rewritten):
    definitions, modules = rewritten(TASK)
    assert any("FACTOR = 2" in definition for definition in definitions)
    assert any("def _own" in definition for definition in definitions)
    assert "tasks.evaluate.measure" in modules


def test_does_not_cover_what_the_body_does_not_name(rewritten):
    definitions, modules = rewritten(TASK)
    assert not any("def other" in definition for definition in definitions)
    assert "tasks.evaluate.runs" not in modules


def test_docstring_does_not_count_and_a_constant_does(rewritten):
    before = rewritten(TASK)
    assert rewritten(TASK.replace("Doc.", "Other words.")) == before
    assert rewritten(TASK.replace("FACTOR = 2", "FACTOR = 3")) != before
