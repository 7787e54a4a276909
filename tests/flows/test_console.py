"""What the terminal's tables say."""

import polars as pl
import pytest
from rich.console import Console
from rich.markup import escape

from flows.show.console import as_markdown, build_table, plain_table, plan_table
from flows.show.frames import frame_table
from flows.show.results import comparison_table, metrics_table
from storage import DatasetRef


def test_plan_calls_a_dataset_cached_that_waits_for_another_one():
    ref = DatasetRef(kind="qrels", partition="sw", fingerprint="0123456789abcdef", root="data")
    reasons = ("not built", "cached", "cached, unless numbers comes out different")
    console = Console(width=120)
    with console.capture() as captured:
        console.print(plan_table([("ingest", "make_numbers", ref, reason) for reason in reasons]))
    name = "qrels/sw/01234567"
    states = [line.partition(name)[2].strip() for line in captured.get().splitlines() if name in line]
    assert states == ["build: not built", *reasons[1:]]


def test_plan_sums_up_what_languages_take_over_and_breaks_no_name():
    refs = [DatasetRef(kind="embeddings", partition=one, fingerprint="0123456789abcdef", root="data") for one in "abc"]
    setting = "ingest.atlas.documents_per_language 300 → 310"
    reasons = [
        f"{setting}, takes over {number} rows ({ref})" for number, ref in zip(("1,500", "2", "3"), refs, strict=True)
    ]
    rows = [("retrieve", "embed_documents", ref, reason) for ref, reason in zip(refs, reasons, strict=True)]
    console = Console(width=80)
    with console.capture() as captured:
        console.print(build_table([*rows, ("denoise", "select_hard_negatives", refs[0], reasons[0])]))
    shown = captured.get()
    assert "ingest.atlas.documents_per_language 300 →" in shown
    text = " ".join(shown.split())
    assert f"retrieve embed_documents a b c {setting}, takes over 1,505 rows denoise" in text
    assert text.endswith(f"select_hard_negatives a {setting}, takes over 1,500 rows (embeddings/a/0123456789ab)")


def shown(*rows):
    """The lines of the results' table: language, mean of all queries, of new ones, and their numbers."""
    names = ("language", "value", "num_queries", "new_value", "num_new")
    table = metrics_table(
        [{"system": "bm25", "metric": "nDCG@10", **dict(zip(names, row, strict=True))} for row in rows]
    )
    console = Console(width=120)
    with console.capture() as captured:
        console.print(table)
    return [line.split() for line in captured.get().splitlines()]


def test_results_have_a_second_line_without_dev_queries_that_train_repeats():
    lines = shown(("sw", 0.5, 10, 0.4, 8), ("fi", 0.7, 5, 0.7, 5), ("te", 0.9, 1, None, 0), ("all", 0.6, 15, 0.55, 13))
    for line in (
        ["sw", "10", "0.5000"],
        ["sw,", "not", "in", "train", "8", "0.4000"],
        ["fi", "5", "0.7000"],
        ["te,", "not", "in", "train", "0", "–"],
        ["mean,", "not", "in", "train", "13", "0.5500"],
    ):
        assert line in lines
    assert not any(line[:1] == ["fi,"] for line in lines)


def test_comparison_shows_difference_interval_and_holms_p():
    row = {"metric": "nDCG@10", "variant": "naive", "num_seeds": 3, "mean": 0.5, "deviation": 0.01}
    tested = {"difference": -0.02, "low": -0.03, "high": 0.0012, "p": 0.02, "p_holm": 0.04, "num_queries": 7}
    nothing = dict.fromkeys(tested)
    table = comparison_table([{**row, **tested}, {**row, "variant": "full", **nothing}], "full")
    assert [list(column.cells) for column in table.columns][-3:] == [
        ["-0.0200", ""],
        ["-0.0300 … +0.0012", ""],
        ["0.040", ""],
    ]


def test_table_in_markdown_keeps_every_cell_in_its_place():
    table = plain_table("Results", caption="of 3 tests")
    table.add_column("p\n(Holm)")
    table.add_column("variant")
    table.add_row("[bold]0.04[/]", escape("w/o [x] | y"))
    title, caption = ["**Results**", ""], ["", "of 3 tests"]
    assert as_markdown(table).splitlines() == [
        *title,
        "| p (Holm) | variant |",
        "| --- | --- |",
        "| 0.04 | w/o [x] \\| y |",
        *caption,
    ]


@pytest.mark.parametrize("num_columns", [5, 16])
def test_values_of_a_frame_stay_in_one_piece_in_a_narrow_terminal(num_columns):
    frame = pl.DataFrame({f"column_{i}": [f"value-{i}", f"other-{i}"] for i in range(num_columns)})
    console = Console(width=80)
    with console.capture() as captured:
        console.print(frame_table(frame, console.width))
    assert all(f" {value} " in captured.get() for value in [*frame.columns, *(v for row in frame.rows() for v in row)])


def test_what_a_terminal_would_obey_is_shown_and_letters_of_any_script_stay():
    frame = pl.DataFrame(
        {"text": ["\x1b[31mred\u202e", "مرحبا", "שלום", "क्\u200dष"], "loss": [1e-4, 0.5, 12345.6, 0.0]}
    )
    console = Console(width=80)
    with console.capture() as captured:
        console.print(frame_table(frame, console.width))
    text = captured.get()
    assert "\\x1b[31mred\\u202e" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    for shown in ("مرحبا", "שלום", "क्\u200dष", "0.0001", "12,346"):
        assert shown in text
