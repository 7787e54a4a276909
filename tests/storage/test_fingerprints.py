"""What changes a fingerprint, and what does not."""

import ast
import importlib
import sys

import pytest

from storage import code_fingerprint, fingerprint, fingerprints
from storage.fingerprints import normalised


def code(text: str) -> str:
    return normalised(ast.parse(text))


def test_key_order_does_not_matter():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})


def test_values_and_list_order_matter():
    assert len({fingerprint(value) for value in ([1, 2], [2, 1], {"a": 1}, {"a": 1.5}, "a", None, True)}) == 7


def test_rejects_what_json_does_not_know():
    with pytest.raises(TypeError, match="not JSON serializable"):
        fingerprint({"a": object()})


def test_comments_docstrings_and_layout_do_not_count():
    assert code('def f(a):\n    """Doc."""\n    # why\n    return (a +\n  1)') == code("def f(a): return a + 1")


def test_a_changed_constant_counts():
    assert code("def f(a): return a + 1") != code("def f(a): return a + 2")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Make a package whose `top` imports `below`; return a function that rewrites a file and hashes `top` anew."""
    folder = tmp_path / "loomtest"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "top.py").write_text("from loomtest import below\n")
    (folder / "below.py").write_text("X = 1\n")
    (folder / "aside.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(tmp_path)

    def rewrite(name: str, text: str) -> str:
        (folder / name).write_text(text)
        importlib.invalidate_caches()
        fingerprints._module_code.cache_clear()
        fingerprints._source.cache_clear()
        return code_fingerprint(["loomtest.top"])

    yield rewrite
    for name in [name for name in sys.modules if name.startswith("loomtest")]:
        del sys.modules[name]


def test_code_of_imported_modules_counts_and_of_others_does_not(package):
    before = package("aside.py", "X = 1\n")
    assert package("aside.py", "X = 2\n") == before
    assert package("below.py", "X = 1  # the same\n") == before
    assert package("below.py", "X = 2\n") != before


def test_data_files_beside_a_package_count(package):
    before = package("words.txt", "one")
    assert package("words.txt", "two") != before


def test_names_a_module_that_is_not_there():
    with pytest.raises(ModuleNotFoundError, match="expected a module, got 'storage.nothing'"):
        code_fingerprint(["storage.nothing"])


def test_code_is_read_and_never_imported(package, tmp_path):
    package("below.py", "raise RuntimeError('imported')\n")
    assert "loomtest.below" not in sys.modules
