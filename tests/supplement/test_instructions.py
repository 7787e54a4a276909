"""Both forms of an instruction, and every way in which a line can be wrong."""

import json

import pytest

from tasks.supplement.tune_task import read_instructions


def read(tmp_path, *lines):
    path = tmp_path / "instructions.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return read_instructions(path)


def test_instruction_with_and_without_input_becomes_a_question_and_its_answer(tmp_path):
    rows = read(
        tmp_path,
        {"instruction": "Tiivistä.", "input": "Turku on vanha.", "output": "Vanha Turku.", "language": "fi"},
        b"",
        {"instruction": "Say hello.", "input": "", "output": "Hello."},
    )
    assert [[message["content"] for message in row] for row in rows] == [
        ["Tiivistä.\n\nTurku on vanha.", "Vanha Turku."],
        ["Say hello.", "Hello."],
    ]
    assert [message["role"] for message in rows[0]] == ["user", "assistant"]


def test_messages_are_taken_as_they_stand(tmp_path):
    messages = [{"role": role, "content": role[:1]} for role in ("system", "user", "assistant", "user", "assistant")]
    assert read(tmp_path, {"messages": messages}) == [tuple(messages)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"instruction": ', "line 2: expected a JSON object in UTF-8, got Expecting value"),
        (b"\xff\xfe", "line 2: expected a JSON object in UTF-8, got 'utf-8' codec"),
        ([1], "line 2: expected either .* got list"),
        ({"instruction": "a"}, r"line 2: expected either .* got the fields \['instruction'\]"),
        ({"instruction": " ", "output": "b"}, "line 2: expected a text in 'instruction', got ' '"),
        ({"instruction": "a", "output": 3}, "line 2: expected a text in 'output', got 3"),
        ({"instruction": "a", "input": [], "output": None}, "line 2: expected a text in 'output', got None"),
        ({"messages": []}, r"line 2: expected messages that end with the assistant's answer, got the roles \[\]"),
        (
            {"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]},
            r"line 2: expected messages that end .* got the roles \['assistant', 'user'\]",
        ),
        ({"messages": [{"role": "tool", "content": "a"}]}, "line 2: expected a role of system, .* got 'tool'"),
        (
            {"messages": [{"role": "user", "content": ""}]},
            "line 2: expected a text in 'messages.0.content', got ''",
        ),
    ],
)
def test_wrong_line_is_an_error_with_file_and_line(tmp_path, line, message):
    with pytest.raises(ValueError, match=rf"instructions.jsonl, {message}"):
        read(tmp_path, {"instruction": "a", "output": "b"}, line)


def test_empty_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="instructions.jsonl: expected a conversation per line, got no line"):
        read(tmp_path, b"")
