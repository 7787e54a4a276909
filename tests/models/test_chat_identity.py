"""Which LLM it is, without loading it."""

import pytest
from support.tiny_llm import write_tiny_llm

from tasks.models.chat.client import chat_digest, chat_identity, locate_chat_model
from tasks.models.chat.config import ChatConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_llm(tmp_path_factory.mktemp("llm"))


def local(path):
    return ChatConfig(client="local", model=str(path))


def test_endpoint_is_known_by_its_model_s_name_wherever_it_runs():
    here = ChatConfig(model="qwen", base_url="http://here/v1")
    assert chat_identity(here) == chat_identity(ChatConfig(model="qwen", base_url="http://there/v1")) == "qwen"


def test_local_model_is_known_by_its_bytes_not_by_its_folder(folder, tmp_path):
    copy = write_tiny_llm(tmp_path / "copy")
    other = write_tiny_llm(tmp_path / "other", seed=1)
    assert chat_identity(local(copy)) == chat_identity(local(folder))
    assert chat_identity(local(other)) != chat_identity(local(folder))


def test_local_model_that_computes_in_another_type_is_another(folder):
    halved = local(folder).model_copy(update={"dtype": "bfloat16"})
    assert chat_identity(halved) == f"{chat_identity(local(folder))} in bfloat16"
    assert chat_identity(ChatConfig(model="qwen", dtype="bfloat16")) == "qwen"  # an endpoint chooses itself


def test_chat_template_is_part_of_a_local_model(folder, tmp_path):
    copy = write_tiny_llm(tmp_path)
    (copy / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert chat_identity(local(copy)) != chat_identity(local(folder))


def test_gguf_file_is_known_by_its_bytes(tmp_path):
    files = [tmp_path / name for name in ("a.gguf", "b.gguf", "c.gguf")]
    for file, content in zip(files, (b"one", b"one", b"two"), strict=True):
        file.write_bytes(content)
    digests = [chat_digest(str(file)) for file in files]
    assert digests[0] == digests[1] != digests[2]


def test_bundled_llm_is_found_in_its_package():
    assert locate_chat_model("bundled:smollm2-135m-instruct").name == "SmolLM2-135M-Instruct.Q4_1.gguf"


def test_missing_gguf_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a GGUF file, found none"):
        locate_chat_model(str(tmp_path / "none.gguf"))


def test_unknown_bundled_llm_is_refused():
    with pytest.raises(ValueError, match="expected one of .*smollm2.*, got 'bundled:gpt'"):
        locate_chat_model("bundled:gpt")


def test_llm_without_a_name_is_refused():
    with pytest.raises(ValueError, match="expected the name of a model, got none"):
        chat_identity(ChatConfig())
