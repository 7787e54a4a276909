"""What a person sees of a query's way through the stages: panels and tables for a terminal of 80 columns or more."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.show.console import plain_table
from tasks.denoise.config import READ_BY_STRATEGY

Row = Mapping[str, Any]

_TEXT = 110  # characters of a document that are shown
_SLOTS = 12  # training steps that are shown


def explanation(entry: Row) -> Group:
    """Lay one entry of `flows.show.explain.explain` out, stage by stage."""
    return Group(*_sections(entry))


def _sections(entry: Row) -> Iterator[RenderableType]:
    yield _heading(entry)
    yield _judged(entry["judged"])
    yield from _ledger(entry)
    yield from _batches(entry)
    yield _results(entry["results"]) if entry["results"] else _note("Results: only dev queries are measured.")


def _heading(entry: Row) -> Panel:
    query = entry["query"]
    lines = [Text(query["text"], style="bold")]
    if query.get("parent") or query.get("origin", "given") != "given":
        lines.append(Text(f"{query['origin']}, from {query.get('parent') or 'no query'}", style="dim"))
    if entry["topic"]:
        topic = entry["topic"]
        lines.append(Text(f"topic {topic['topic']}: {topic['label']} ({topic['confidence']:.2f})", style="dim"))
    title = f"[bold]{escape(query['query_id'])}[/] · {entry['language']} · {query['split']}"
    return Panel(Group(*lines), title=title, title_align="left")


def _judged(rows: list[Row]) -> Table:
    table = _documents("Judged documents", "judged")
    for row in rows:
        _add(table, "[green]relevant[/]" if row["relevance"] > 0 else "not relevant", row)
    return table


def _ledger(entry: Row) -> Iterator[RenderableType]:
    ledger, split = entry["ledger"], entry["query"]["split"]
    rows = ledger["candidates"]
    if not rows:
        why = f"{split} queries are not mined" if split != "train" else "none in the store; run the stage denoise"
        if entry["query"].get("parent"):
            why = f"they stand in the ledger of {entry['query']['parent']}, for which this query was generated"
        yield _note(f"Candidates: {why}.")
        return
    table = _documents(f"Candidates in {ledger['dataset']}", "decision")
    for row in rows:
        _add(table, _decision(row), row)
    yield table
    yield _note(
        "\n".join([_strategy(ledger["settings"]), *(_count(rows, decision) for decision in ("kept", "dropped"))])
    )


def _documents(title: str, first: str) -> Table:
    """Begin a table of documents; what is known of one stands in few columns, so that its text has room."""
    table = _table(title)
    table.add_column(first, min_width=11, max_width=13)
    table.add_column("judge's", no_wrap=True)
    table.add_column("rank and score", no_wrap=True)
    table.add_column("document", ratio=1)
    return table


def _add(table: Table, first: str, row: Row) -> None:
    places = {"fused": {"rank": row["rank"], "score": row.get("fused_score")}} if row.get("rank") else {}
    places |= {one["system"]: one for one in row["systems"] or []}
    ranks = [f"[dim]{escape(name)}[/] {_place(place)}" for name, place in places.items()]
    table.add_row(first, "\n".join(_scores(row)), "\n".join(ranks) or "–", _document(row))


def why_document(entry: Row) -> Group:
    """Answer in one screen why a document is a hard negative of a query, or why not."""
    document, ledger = entry["document"], entry["ledger"]
    row = next((one for one in ledger["candidates"] if one["doc_id"] == document["doc_id"]), document)
    table = _documents(_strategy(ledger["settings"]), "decision")
    _add(table, _decision(row) if row.get("decision") else "no candidate", {"rank": None, **row})
    lines = [_answer(entry, row)]
    slots = entry["batches"]["slots"]
    for what, name in (("a negative", "negatives"), ("left out of the loss", "not_negatives")):
        ids = [(slot["step"], [n["doc_id"] if isinstance(n, dict) else n for n in slot[name] or []]) for slot in slots]
        if steps := [str(step) for step, found in ids if document["doc_id"] in found]:
            lines.append(f"In the batch plan it is {what} of this query in step {', '.join(steps[:_SLOTS])}.")
    answer = Text("\n".join(lines), style="bold")
    return Group(_heading(entry), answer, table)


def _answer(entry: Row, row: Row) -> str:
    if row.get("text") is None:
        return f"It is not in the corpus of {entry['language']}."
    relevance = next((one["relevance"] for one in entry["judged"] if one["doc_id"] == row["doc_id"]), None)
    if row.get("decision") == "kept":
        return f"It is a hard negative, number {row['hardness']} by hardness ({row['reason'].replace('_', ' ')})."
    if relevance:
        return f"It is no negative: it is judged relevant ({relevance})."
    if row.get("decision"):
        return f"It is no negative: the strategy dropped it ({row['reason'].replace('_', ' ')})."
    if entry["query"]["split"] != "train":
        return f"It is no negative: {entry['query']['split']} queries are not mined."
    if not entry["ledger"]["candidates"]:
        return "It is no negative yet: there is no ledger in the store. Run the stage denoise."
    places = ", ".join(f"{one['system']} has it at {one['rank']}" for one in row["systems"])
    kept = max(one["rank"] for one in entry["ledger"]["candidates"])
    return f"It is no negative: it is not among the {kept} best of all systems ({places or 'none of them found it'})."


def _batches(entry: Row) -> Iterator[RenderableType]:
    dataset, slots = entry["batches"]["dataset"], entry["batches"]["slots"]
    if not slots:
        if dataset:
            yield _note(f"Batches: {dataset} does not use this query.")
        return
    table = _table(f"Batches: {dataset}", right=("epoch", "step", "slot", "weight", "loss"))
    table.add_column("positive", overflow="fold")
    table.add_column("negatives (hardness)", ratio=1)
    for slot in slots[:_SLOTS]:
        negatives = [f"{escape(one['doc_id'])} [dim]({_int(one['hardness'])})[/]" for one in slot["negatives"]]
        numbers = (str(slot[name]) for name in ("epoch", "step", "slot"))
        loss = "–" if slot["loss"] is None else f"{slot['loss']:.3f}"
        table.add_row(*numbers, f"{slot['weight']:.2f}", loss, escape(slot["positive"]), ", ".join(negatives))
    if any(one["hardness"] is None for slot in slots[:_SLOTS] for one in slot["negatives"]):
        table.caption, table.caption_justify = "–: a random document stands in", "left"
    yield table
    if len(slots) > _SLOTS:
        yield _note(f"and {len(slots) - _SLOTS} more steps; --json writes all")


def _results(results: list[Row]) -> Table:
    metrics = list(dict.fromkeys(name for result in results for name in result["metrics"]))
    table = _table("Results", ["system"], metrics)
    table.add_column("ranks of the relevant documents (– is not ranked)", ratio=1)
    for result in results:
        values = [f"{result['metrics'][name]:.4f}" if name in result["metrics"] else "–" for name in metrics]
        ranks = [f"[bold]{_int(rank)}[/]\u00a0{escape(doc_id)}" for doc_id, rank in result["positives"].items()]
        table.add_row(result["system"], *values, ", ".join(ranks))
    return table


def _table(title: str, left: Sequence[str] = (), right: Sequence[str] = ()) -> Table:
    return plain_table(title, left, right, title_style="bold cyan", expand=True)


def _note(text: str) -> Padding:
    return Padding(Text(text, style="dim"), (0, 0, 1, 0))


def _strategy(settings: Row) -> str:
    names = READ_BY_STRATEGY.get(settings.get("strategy", ""), ())
    limits = ", ".join(
        f"{name} {settings[name]}" for name in (*names, "num_negatives") if settings.get(name) is not None
    )
    return f"strategy {settings.get('strategy', 'unknown')} ({limits})"


def _count(rows: list[Row], decision: str) -> str:
    reasons = Counter(row["reason"] for row in rows if row["decision"] == decision)
    text = ", ".join(f"{reason} {number}" for reason, number in reasons.most_common())
    return f"{decision} {reasons.total()}" + (f": {text}" if text else "")


def _scores(row: Row) -> list[str]:
    if row.get("raw") is None:
        return ["–"]
    return [f"[dim]raw[/] {row['raw']:.2f}", f"[dim]prob.[/] {row['probability']:.3f}", f"[dim]grade[/] {row['grade']}"]


def _place(found: Row) -> str:
    return _int(found["rank"]) if found.get("score") is None else f"{found['rank']} {found['score']:.2f}"


def _decision(row: Row) -> str:
    reason = row["reason"].replace("_", " ")
    if row["decision"] == "kept":
        return f"[green]kept, {_int(row['hardness'])}[/]\n[dim]{reason}[/]"
    return f"[red]dropped[/]\n[dim]{reason}[/]"


def _document(row: Row) -> str:
    lines = [f"[bold]{escape(row['doc_id'])}[/] {escape(row.get('title') or '')}"]
    text = " ".join((row.get("text") or "not in the corpus").split())
    lines.append(f"[dim]{escape(text if len(text) <= _TEXT else text[: _TEXT - 1] + '…')}[/]")
    if row.get("planted"):
        lines.append(f"[yellow]planted false negative: {escape(row['planted'])}[/]")
    if row.get("generated_text"):
        lines.append(f"[magenta]found by the generated query {escape(row['generated_text'])}[/]")
    if row.get("verdicts"):
        lines.append(f"[cyan]LLM's verdicts: {', '.join(map(_verdict, row['verdicts']))}[/]")
    return "\n".join(lines)


def _verdict(row: Row) -> str:
    if row["accuracy"] is None:
        return str(row["status"])
    return f"accuracy {row['accuracy']} completeness {row['completeness']}"


def _int(value: int | None) -> str:
    return "–" if value is None else str(value)
