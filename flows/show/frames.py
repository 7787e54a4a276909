"""Rows of a dataset on a terminal: the columns that matter first, and a block per row where they don't fit."""

import json
from collections.abc import Sequence
from typing import Literal

import polars as pl
from rich.cells import cell_len, set_cell_size
from rich.markup import escape
from rich.table import Table

from flows.show.console import plain_table
from flows.show.terminal import visible

# What a person looks for first; the other columns follow where there is room. Else the schema's order.
_FIRST = {
    "hard_negatives": ("query_id", "doc_id", "decision", "reason", "probability", "rank", "grade", "hardness"),
    "batch_plan": ("epoch", "step", "slot", "language", "query_id", "positive", "weight", "negatives", "topic"),
    "verdicts": ("query_id", "doc_id", "status", "accuracy", "completeness", "sample"),
    "generated": ("query_id", "status", "text", "reason"),
    "quarantine": ("reason", "line", "field", "content", "source"),
    "fused": ("query_id", "doc_id", "rank", "score", "systems"),
}
_WIDE, _NARROW, _GAP = 24, 16, 2
"""Cells from which a column may be cut, to which at most, and between two columns."""


def fitting(kind: str, frame: pl.DataFrame, room: int) -> list[str]:
    """Choose the columns of a kind that fit a terminal side by side; one without values is left out.

    Args:
        kind: of dataset.
        frame: the rows to show.
        room: the terminal's columns.
    """
    chosen: list[str] = []
    order = [*_FIRST.get(kind, ()), *frame.columns]
    filled = [name for name in frame.columns if frame[name].null_count() < len(frame)] or frame.columns
    for name in sorted(filled, key=order.index):
        needed = min(_width(frame, name), _NARROW if _width(frame, name) > _WIDE else _WIDE) + _GAP
        if needed <= room:
            chosen.append(name)
            room -= needed
    return chosen or frame.columns


def frame_table(frame: pl.DataFrame, room: int) -> Table:
    """Lay rows out side by side, wide columns cut to the room there is; else one block per row."""
    widths = {name: _width(frame, name) for name in frame.columns}
    left = room - _GAP * len(widths)
    wide = [name for name, width in widths.items() if width > _WIDE] if sum(widths.values()) > left else []
    share = (left - sum(width for name, width in widths.items() if name not in wide)) // max(len(wide), 1)
    if share < (_NARROW if wide else 0):
        return _blocks(frame)
    table = plain_table()
    for name, width in widths.items():
        justify: Literal["left", "right"] = "right" if frame[name].dtype.is_numeric() else "left"
        table.add_column(name, no_wrap=True, justify=justify, min_width=min(width, share) if name in wide else width)
    for row in frame.iter_rows(named=True):
        cells = {name: _cut(_line(value), share if name in wide else widths[name]) for name, value in row.items()}
        table.add_row(*map(escape, cells.values()))
    return table


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Write lists as JSON: CSV knows none."""
    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
    texts = {name: [json.dumps(value, ensure_ascii=False) for value in frame[name].to_list()] for name in nested}
    return frame.with_columns(pl.Series(name, values, dtype=pl.String) for name, values in texts.items())


def _blocks(frame: pl.DataFrame) -> Table:
    table = plain_table(show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in frame.iter_rows(named=True):
        for name, value in row.items():
            table.add_row(name, escape(_line(value)))
        table.add_section()
    return table


def _width(frame: pl.DataFrame, name: str) -> int:
    return max([cell_len(name), *(cell_len(_line(value)) for value in frame[name])])


def _line(value: object) -> str:
    """Write a value in one line: four digits that count, of ranked lists each system with its rank."""
    if isinstance(value, pl.Series | list | tuple):
        return ", ".join(map(_line, value))
    if isinstance(value, dict):
        return f"{value['system']} {value['rank']}" if {"system", "rank"} <= value.keys() else str(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return "–" if value is None else visible(" ".join(str(value).split()))


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else f"{set_cell_size(text, width - 1).rstrip()}…"


def columns_note(shown: Sequence[str], frame: pl.DataFrame) -> str:
    """Say which columns are not shown."""
    hidden = [name for name in frame.columns if name not in shown]
    return f"not shown: {', '.join(hidden)} (--all, or --columns)" if hidden else ""
