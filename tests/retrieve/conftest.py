"""One Java process for all tests of BM25."""

from collections.abc import Iterator

import pytest

from tasks.retrieve.lucene import Lucene


@pytest.fixture(scope="session")
def lucene() -> Iterator[Lucene]:
    process = Lucene(threads=2)
    yield process
    process.close()
