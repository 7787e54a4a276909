"""Which texts a batch plan needs, and those texts out of the parts of a dataset."""

from collections.abc import Iterable, Iterator

import polars as pl

from tasks.train.plan import Key


def wanted_queries(plan: pl.LazyFrame) -> set[Key]:
    """Return language and id of each query of a batch plan."""
    return _keys(plan.select("language", "query_id"))


def wanted_documents(plan: pl.LazyFrame) -> set[Key]:
    """Return language and id of each positive and negative of a batch plan."""
    negatives = plan.select("language", "negatives").explode("negatives").drop_nulls()
    return _keys(plan.select("language", "positive")) | _keys(negatives)


def count_steps(plan: pl.LazyFrame) -> int:
    """Count the steps of a batch plan."""
    return int(plan.select(pl.struct("epoch", "step").n_unique()).collect().item())


def select_texts(
    parts: Iterable[pl.DataFrame], wanted: set[Key], *, language: str, id_column: str, text: pl.Expr
) -> Iterator[tuple[Key, str]]:
    """Yield the texts that a plan wants out of one language's dataset, a part at a time.

    Args:
        parts: the id column and what `text` reads.
        wanted: language and id, of any language.
        language: of the parts.
        id_column: query_id or doc_id.
        text: the text of a row.
    """
    ids = pl.DataFrame({id_column: sorted(name for other, name in wanted if other == language)}, {id_column: pl.String})
    for part in parts:
        found = part.select(id_column, text.alias("text")).join(ids, on=id_column, how="semi", maintain_order="left")
        for name, content in found.iter_rows():
            yield (language, name), content


def _keys(rows: pl.LazyFrame) -> set[Key]:
    return set(rows.unique().collect().iter_rows())
