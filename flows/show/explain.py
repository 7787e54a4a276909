"""One query through every stage: what the datasets of a store say about it, as plain values."""

import difflib
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from storage import DatasetRef, MissingDataset, inspect
from storage.related import Related, find_related

Row = dict[str, Any]

_NEAR = 5  # ids that an error suggests


def explain(
    root: str, query_id: str, languages: Sequence[str], refs: Sequence[DatasetRef], document: str | None = None
) -> list[Row]:
    """Gather all that is known about a query.

    Args:
        root: the store.
        query_id: of any split.
        languages: where to look; empty: wherever there are queries.
        refs: the datasets of one run, what others are made from first.
        document: id of a document to answer for, too.

    Returns:
        One entry per language that has such a query: language; `query` (its row); `topic` (its row, or None);
        `judged` (the judged documents, relevant ones first, with scores, fused rank and text); `ledger` (dataset,
        settings, candidates with text, verdicts, and the reason of a planted false negative); `batches` (dataset, slots
        of the plan); `results` (per system: metrics, ranks of the positives); with a document `document` (what is known
        of it as of a candidate; without text where the corpus lacks it). What is not built yet is empty.

    Raises:
        MissingDataset: the store holds no queries, or none with this id; names near ones.
    """
    found = sorted({ref.partition for ref in refs if ref.kind == "queries"})
    by_language = [find_related(root, language, refs) for language in languages or found]
    with_queries = [related for related in by_language if related.ref("queries")]
    if not with_queries:
        raise MissingDataset(
            f"explain: expected queries{_of(languages)} in '{root}', found none. Run the pipeline that builds them."
        )
    queries = [(related, row) for related in with_queries for row in _all_rows(related, "queries", query_id=query_id)]
    if not queries:
        raise MissingDataset(_unknown(query_id, with_queries))
    return [_explain(related, row, document) for related, row in queries]


def _explain(related: Related, query: Row, asked: str | None) -> Row:
    query_id = query["query_id"]
    relevant_first = itemgetter("relevance")
    by_split = (inspect.rows(ref, query_id=query_id) for ref, _ in related.of("qrels"))
    judged = sorted(next(filter(None, by_split), []), key=relevant_first, reverse=True)
    ledger = _rows(related, "hard_negatives", query_id=query_id)
    candidates = _by_document(ledger)
    scores = _by_document(_all_rows(related, "scores", query_id=query_id))
    named = [row["doc_id"] for row in (*judged, *ledger, {"doc_id": asked})]
    documents = _by_document(_rows(related, "corpus", doc_id=named))
    ranked: dict[str, list[Row]] = {}
    for row in _all_rows(related, "candidates", query_id=query_id, doc_id=named):
        ranked.setdefault(row["doc_id"], []).append(row)
    planted = _by_document(_all_rows(related, "truth", query_id=query_id))
    verdicts = _verdicts(related, query_id)

    def about(row: Row) -> Row:
        doc_id = row["doc_id"]
        truth = {"planted": planted.get(doc_id, {}).get("reason"), "verdicts": verdicts.get(doc_id, [])}
        found = {"systems": row.get("systems") or ranked.get(doc_id, [])}
        return {**scores.get(doc_id, {}), **row, **documents.get(doc_id, {}), **truth, **found}

    by_id = {**_by_document(judged), **candidates}
    return {
        **({"document": about(by_id.get(asked, {"doc_id": asked}))} if asked else {}),
        "language": related.partition,
        "query": query,
        "topic": next(iter(_rows(related, "topics", query_id=query_id, language=related.partition)), None),
        "judged": [
            {**about(row), **{name: candidates.get(row["doc_id"], {}).get(name) for name in ("rank", "fused_score")}}
            for row in judged
        ],
        "ledger": {
            "dataset": _name(related, "hard_negatives"),
            "settings": _settings(related),
            "candidates": [about(row) for row in ledger],
        },
        "batches": {"dataset": _name(related, "batch_plan"), "slots": _slots(related, query_id, candidates)},
        "results": _results(related, query_id, [row["doc_id"] for row in judged if row["relevance"] > 0]),
    }


def _slots(related: Related, query_id: str, ledger: dict[str, Row]) -> list[Row]:
    """List the plan's steps with the query, and the loss of each; a negative without hardness stands in for one."""
    slots = _rows(related, "batch_plan", query_id=query_id, language=related.partition)
    steps = _rows(related, "training_log", step=[slot["step"] for slot in slots])
    losses = {row["step"]: row["loss"] for row in steps}
    return [
        {
            **slot,
            "loss": losses.get(slot["step"]),
            "negatives": [
                {"doc_id": doc_id, "hardness": ledger.get(doc_id, {}).get("hardness")} for doc_id in slot["negatives"]
            ],
        }
        for slot in slots
    ]


def _results(related: Related, query_id: str, positives: Sequence[str]) -> list[Row]:
    """Say, for each system, where its run ranks the positives, and what that is worth."""
    values: dict[str, Row] = {}
    for ref, content in related.of("metrics"):
        metrics = inspect.rows(ref, query_id=query_id, language=related.partition)
        values[content.arguments["system"]] = {row["metric"]: row["value"] for row in metrics}
    results = []
    for ref, content in reversed(related.of("run")):  # BM25 first
        system = content.arguments["system"]
        run = _by_document(inspect.rows(ref, query_id=query_id))
        if run or values.get(system):
            ranks = {doc_id: run.get(doc_id, {}).get("rank") for doc_id in positives}
            results.append(
                {
                    "system": system,
                    "dataset": str(ref),
                    "metrics": values.get(system, {}),
                    "num_ranked": len(run),
                    "positives": ranks,
                }
            )
    return results


def _verdicts(related: Related, query_id: str) -> dict[str, list[Row]]:
    """Gather what an LLM judge said, by document."""
    verdicts: dict[str, list[Row]] = {}
    for row in _all_rows(related, "verdicts", query_id=query_id):
        verdicts.setdefault(row["doc_id"], []).append(row)
    return verdicts


def _rows(related: Related, kind: str, **values: Any) -> list[Row]:
    ref = related.ref(kind)
    return inspect.rows(ref, **values) if ref else []


def _all_rows(related: Related, kind: str, **values: Any) -> list[Row]:
    """Read of all datasets of a kind (splits, later candidates), those that were made from others last."""
    return [row for ref, _ in reversed(related.of(kind)) for row in inspect.rows(ref, **values)]


def _by_document(rows: Iterable[Row]) -> dict[str, Row]:
    return {row["doc_id"]: row for row in rows}


def _name(related: Related, kind: str) -> str | None:
    ref = related.ref(kind)
    return str(ref) if ref else None


def _settings(related: Related) -> Row:
    for _, content in related.of("hard_negatives"):
        if isinstance(settings := content.arguments.get("config"), dict):
            return settings
    return {}


def _of(languages: Sequence[str]) -> str:
    return f" of {', '.join(languages)}" if languages else ""


def _unknown(query_id: str, by_language: Sequence[Related]) -> str:
    ids = {row["query_id"] for related in by_language for row in _all_rows(related, "queries")}
    near = [one for one in sorted(ids) if query_id.casefold() in one.casefold()][:_NEAR]
    near = near or difflib.get_close_matches(query_id, sorted(ids), n=_NEAR, cutoff=0.5)
    languages = ", ".join(related.partition for related in by_language)
    advice = f"Near it: {', '.join(near)}." if near else f"See `polyloom show queries/{by_language[0].partition}`."
    return f"explain: expected the id of a query of {languages}, got '{query_id}'. {advice}"
