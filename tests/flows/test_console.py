"""What the terminal's tables say."""

from rich.console import Console

from flows.show.console import plan_table
from storage import DatasetRef


def test_plan_calls_a_dataset_cached_that_waits_for_another_one():
    ref = DatasetRef(kind="qrels", partition="sw", fingerprint="0123456789abcdef", root="data")
    reasons = ("not built", "cached", "cached, unless numbers comes out different")
    console = Console(width=120)
    with console.capture() as captured:
        console.print(plan_table([("ingest", "make_numbers", ref, reason) for reason in reasons]))
    states = [line.partition(str(ref))[2].strip() for line in captured.get().splitlines() if str(ref) in line]
    assert states == ["build: not built", *reasons[1:]]
