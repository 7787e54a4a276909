import pyarrow as pa

from tasks.train.texts import count_needs

ROWS = [
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
PLAN = pa.Table.from_pylist(ROWS, SCHEMA)


def test_needs_each_query_and_document_once_per_language():
    needs = count_needs([PLAN])
    assert needs.queries == {("fi", "q1"), ("fi", "q2"), ("sw", "q1")}
    assert needs.documents == {("fi", "a"), ("fi", "b"), ("fi", "c"), ("sw", "a"), ("sw", "d")}


def test_counts_steps_not_slots_nor_parts():
    assert count_needs([PLAN]).num_steps == 3
    assert count_needs([PLAN[:1], PLAN[1:2], PLAN[2:2], PLAN[2:]]).num_steps == 3  # step 0 lies across two parts
    assert count_needs([PLAN[:0]]).num_steps == 0


def test_needs_are_the_same_whatever_the_parts():
    assert count_needs(PLAN[row : row + 1] for row in range(4)) == count_needs([PLAN])
