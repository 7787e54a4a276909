"""The promises of docs/decisions/0005, checked of a finished plan with plain loops over its ids.

Nothing here is shared with the planner, the definition of an unsafe document included.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import groupby
from typing import Any, NoReturn

import polars as pl


class Known:
    """What the datasets say of one language's train queries."""

    def __init__(
        self,
        queries: pl.DataFrame,
        qrels: pl.DataFrame,
        ledger: pl.DataFrame,
        documents: Mapping[str, str] | None = None,
    ) -> None:
        text = {query: _fold(text) for query, text in queries.select("query_id", "text").rows()}
        copies: dict[str, set[str]] = defaultdict(set)
        for doc, doc_text in (documents or {}).items():
            copies[_fold(doc_text)].add(doc)
        train = set(queries.filter(pl.col("split") == "train")["query_id"])
        judged = qrels.select("query_id", "doc_id", "relevance").rows()
        relevant = [(query, doc) for query, doc, grade in judged if grade > 0 and query in text]
        suspect = [
            (row["query_id"], row["doc_id"])
            for row in ledger.rows(named=True)
            if row["query_id"] in text
            and row["decision"] != "kept"
            and (row["reason"] != "beyond_num_negatives" or (row["grade"] or 0) > 0)
        ]
        self.positives: dict[str, set[str]] = defaultdict(set)
        by_text: dict[str, set[str]] = defaultdict(set)
        for query, doc in relevant:
            if query in train:
                self.positives[query].add(doc)
        for query, doc in [*relevant, *suspect]:
            by_text[text[query]] |= copies[_fold(documents[doc])] if documents and doc in documents else {doc}
        for own in set(text.values()):
            by_text[own] |= copies[own]  # what says the query itself
        self.unsafe = {query: by_text[text[query]] for query in self.positives}


def check_plan(
    plan: pl.DataFrame,
    known: Mapping[str, Known],
    *,
    batch_size: int,
    num_negatives: int,
    language_temperature: float = 0.0,
    same_language: bool = True,
) -> None:
    """See that a plan keeps its promises.

    Raises:
        AssertionError: a batch of another size or with two languages; a query twice in a batch, or seen again before
            all others of its language; a positive that isn't one; too few negatives, or one twice; an in-batch negative
            that is unsafe for a query and not listed as no negative, or listed and not unsafe; a language drawn more or
            less often than its share.
    """
    seen = {name: Counter(dict.fromkeys(one.positives, 0)) for name, one in known.items()}
    drawn: dict[int, Counter[str]] = defaultdict(Counter)
    for due, (step, rows) in enumerate(groupby(plan.iter_rows(named=True), key=lambda row: row["step"])):
        batch = list(rows)
        if step != due:
            _broken("steps counted from 0 without a gap", f"{step} where {due} is due")
        _check_shape(batch, batch_size, num_negatives, same_language=same_language)
        for name in sorted({row["language"] for row in batch}):
            if name not in known:
                _broken(f"languages {sorted(known)}", f"'{name}'")
            in_language = [row for row in batch if row["language"] == name]
            drawn[batch[0]["epoch"]][name] += len(in_language)
            _check_documents(in_language, known[name])
            seen[name].update(row["query_id"] for row in in_language)
            if max(seen[name].values()) > min(seen[name].values()) + 1:
                query, times = seen[name].most_common(1)[0]
                _broken(
                    f"every query of '{name}' seen {times - 1} times by step {step}, before any is seen again",
                    f"'{query}' seen for the {times}. time there",
                )
    sizes = {name: float(len(one.positives)) ** language_temperature for name, one in known.items()}
    for epoch, counts in drawn.items():
        _check_shares(epoch, counts, sizes, batch_size if same_language else 1)


def _check_shape(batch: list[dict[str, Any]], batch_size: int, num_negatives: int, *, same_language: bool) -> None:
    step = batch[0]["step"]
    counts = {
        f"{batch_size} slots": (batch_size, len(batch)),
        f"{batch_size} different queries": (batch_size, len({(row["language"], row["query_id"]) for row in batch})),
    }
    if same_language:
        counts["1 language"] = (1, len({row["language"] for row in batch}))
    for what, (expected, count) in counts.items():
        if count != expected:
            _broken(f"{what} in every step", f"{count} in step {step}")
    if [row["slot"] for row in batch] != list(range(batch_size)):
        _broken(f"slots 0..{batch_size - 1} in order", "another order")
    for row in batch:
        if not len(row["negatives"]) == len(set(row["negatives"])) == num_negatives:
            _broken(f"{num_negatives} different negatives in every slot", _place(row, row["negatives"]))


def _check_documents(batch: list[dict[str, Any]], known: Known) -> None:
    """See that what a language brings to a batch is safe for all its queries there, a slot's own positive aside."""
    for row in batch:
        if row["positive"] not in known.positives.get(row["query_id"], ()):
            _broken("positives that the qrels judge relevant to a train query", _place(row, row["positive"]))
    negatives = {document for row in batch for document in row["negatives"]}
    for row in batch:
        others = {other["positive"] for other in batch if other is not row}
        unsafe, listed = (others | negatives) & known.unsafe[row["query_id"]], row["not_negatives"]
        for document in sorted(unsafe.difference(listed)):
            _broken("in-batch negatives that are safe for every query", _place(row, document))
        if listed != sorted(unsafe):
            _broken(f"only {sorted(unsafe)} listed as no negatives", _place(row, listed))


def _check_shares(epoch: int, counts: Counter[str], sizes: Mapping[str, float], slots: int) -> None:
    """See that each language had its share of the epoch, rounded up or down to whole steps (or slots)."""
    num_units = counts.total() / slots
    for name, size in sizes.items():
        due = size / sum(sizes.values()) * num_units
        if abs(counts[name] / slots - due) > 1 + 1e-6:
            what = "slots" if slots == 1 else "steps"
            _broken(
                f"'{name}' in {due:.1f} of {num_units:.0f} {what} of epoch {epoch}", f"it in {counts[name] / slots:.1f}"
            )


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _place(row: dict[str, Any], document: object) -> str:
    return f"'{document}' for query '{row['query_id']}' in step {row['step']}, slot {row['slot']}"


def _broken(expected: str, got: str) -> NoReturn:
    raise AssertionError(f"batch plan: expected {expected}, got {got}.")
