"""Documents -> parts of the corpus."""

import itertools
from collections.abc import Iterable, Iterator

import polars as pl

from tasks.ingest.rows import Document

PART_ROWS = 50_000


def corpus_parts(documents: Iterable[Document], *, part_rows: int = PART_ROWS) -> Iterator[pl.DataFrame]:
    """Yield frames of at most `part_rows` documents: doc_id, title, text, in the given order.

    Only one part is in memory at a time.
    """
    rows = iter(documents)
    while part := list(itertools.islice(rows, part_rows)):
        yield pl.DataFrame(
            {
                "doc_id": [document.doc_id for document in part],
                "title": [document.title for document in part],
                "text": [document.text for document in part],
            },
            schema={"doc_id": pl.String, "title": pl.String, "text": pl.String},
        )
