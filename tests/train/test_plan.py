import pyarrow as pa
import pytest

from tasks.train.plan import PlanStep, Sample, iter_steps, plan_content


def row(epoch: int, step: int, slot: int, query_id: str = "q", language: str = "fi") -> dict[str, object]:
    return {
        "epoch": epoch,
        "step": step,
        "slot": slot,
        "query_id": query_id,
        "positive": "p",
        "negatives": ["n1", "n2"],
        "language": language,
        "topic": 0,
        "weight": 0.5,
        "not_negatives": ["n3"],
    }


def test_groups_rows_by_step_over_parts():
    first = pa.Table.from_pylist([row(0, 0, 0, "a"), row(0, 0, 1, "b"), row(0, 1, 0, "c")])
    second = pa.Table.from_pylist([row(0, 1, 1, "d"), row(1, 0, 0, "e")])
    steps = list(iter_steps([first, second]))
    assert [(step.epoch, step.step, [sample.query_id for sample in step.samples]) for step in steps] == [
        (0, 0, ["a", "b"]),
        (0, 1, ["c", "d"]),
        (1, 0, ["e"]),
    ]


def test_keys_carry_the_language_since_ids_repeat():
    sample = next(iter_steps([pa.Table.from_pylist([row(0, 0, 0)])])).samples[0]
    assert sample == Sample("fi", "q", "p", ("n1", "n2"), 0.5, frozenset({"n3"}))
    assert sample.query == ("fi", "q")
    assert sample.documents == [("fi", "p"), ("fi", "n1"), ("fi", "n2")]


def test_language_of_a_step_with_two_is_mixed():
    samples = (Sample("fi", "a", "p", (), 1.0), Sample("sw", "b", "p", (), 1.0))
    assert PlanStep(0, 0, samples[:1]).language == "fi"
    assert PlanStep(0, 0, samples).language == "mixed"


def test_empty_plan_has_no_steps():
    assert list(iter_steps([])) == []


@pytest.mark.parametrize("later", [(0, 1), (1, 0), (0, 0)])
def test_rejects_rows_out_of_order(later):
    rows = [row(*later, 0), row(1, 1, 0), row(*later, 1)]
    with pytest.raises(ValueError, match=f"got epoch {later[0]} step {later[1]} after epoch 1 step 1"):
        list(iter_steps([pa.Table.from_pylist(rows)]))


@pytest.mark.parametrize("column", ["negatives", "not_negatives"])
def test_rejects_lists_that_are_missing(column):
    table = pa.Table.from_pylist([row(0, 0, 0) | {column: None}])
    with pytest.raises(ValueError, match=f"list of {column} for query 'q', got None"):
        list(iter_steps([table]))


CONTENT_ROWS = [
    {"epoch": 0, "step": 0, "query_id": "q1", "positive": "a", "negatives": ["c", "b"], "language": "fi"},
    {"epoch": 0, "step": 0, "query_id": "q2", "positive": "b", "negatives": [], "language": "fi"},
    {"epoch": 1, "step": 0, "query_id": "q1", "positive": "a", "negatives": ["d"], "language": "sw"},
    {"epoch": 1, "step": 1, "query_id": "q1", "positive": "a", "negatives": ["d"], "language": "sw"},
]
SCHEMA = pa.schema(
    {
        "epoch": pa.int32(),
        "step": pa.int32(),
        "query_id": pa.string(),
        "positive": pa.string(),
        "negatives": pa.list_(pa.string()),
        "language": pa.string(),
    }
)
PLAN = pa.Table.from_pylist(CONTENT_ROWS, SCHEMA)


def test_content_names_each_query_and_document_once_per_language():
    content = plan_content([PLAN])
    assert content.queries == {("fi", "q1"), ("fi", "q2"), ("sw", "q1")}
    assert content.documents == {("fi", "a"), ("fi", "b"), ("fi", "c"), ("sw", "a"), ("sw", "d")}


def test_counts_steps_not_slots_nor_parts():
    assert plan_content([PLAN]).num_steps == 3
    assert plan_content([PLAN[:1], PLAN[1:2], PLAN[2:2], PLAN[2:]]).num_steps == 3  # step 0 lies across two parts
    assert plan_content([PLAN[:0]]).num_steps == 0


def test_content_is_the_same_whatever_the_parts():
    assert plan_content(PLAN[row : row + 1] for row in range(4)) == plan_content([PLAN])
