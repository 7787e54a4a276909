"""What the terminal's tables say."""

from rich.console import Console

from flows.show.console import comparison_table, plan_table
from storage import DatasetRef


def test_plan_calls_a_dataset_cached_that_waits_for_another_one():
    ref = DatasetRef(kind="qrels", partition="sw", fingerprint="0123456789abcdef", root="data")
    reasons = ("not built", "cached", "cached, unless numbers comes out different")
    console = Console(width=120)
    with console.capture() as captured:
        console.print(plan_table([("ingest", "make_numbers", ref, reason) for reason in reasons]))
    states = [line.partition(str(ref))[2].strip() for line in captured.get().splitlines() if str(ref) in line]
    assert states == ["build: not built", *reasons[1:]]


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
