"""What pooling and prompts a model was made for: its files first, then its family; and the settings above all."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from tasks.models.layout import write_json, write_layout
from tasks.models.prompts import describe, made_for
from tasks.retrieve.config import EncoderConfig, EnsembleEncoder

WEB = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
ENGLISH = "Represent this sentence for searching relevant passages: "
PROMPTS, POOLING = "config_sentence_transformers.json", "1_Pooling/config.json"


@pytest.fixture
def model(tmp_path):
    """Write a folder as a hub's, with further files by name."""

    def write(name="model", *, config=None, **files):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"")
        write_json(folder / "config.json", {"model_type": "bert"} | (config or {}))
        for file, content in files.items():
            write_json(folder / {"prompts": PROMPTS, "pooling": POOLING, "modules": "modules.json"}[file], content)
        return str(folder)

    return write


def of(source):
    found = made_for(source)
    return found.pooling, found.query_prompt, found.document_prompt


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("multilingual-e5-large", ("mean", "query: ", "passage: ")),
        ("e5-small-v2", ("mean", "query: ", "passage: ")),
        ("my_E5_base_finetuned", ("mean", "query: ", "passage: ")),
        ("multilingual-e5-large-instruct", ("mean", WEB + " ", "")),
        ("e5-mistral-7b-instruct", ("last", WEB + " ", "")),
        ("bge-m3", ("cls", "", "")),
        ("bge-base-en-v1.5", ("cls", ENGLISH, "")),
        ("bge-large-zh-v1.5", ("cls", "为这个句子生成表示以用于检索相关文章：", "")),
        ("gte-base", ("mean", "", "")),
        ("gte-modernbert-base", ("cls", "", "")),
        ("gte-large-en-v1.5", ("cls", "", "")),
        ("gte-Qwen2-1.5B-instruct", ("last", WEB + " ", "")),
        ("Qwen3-Embedding-0.6B", ("last", WEB, "")),
        ("embeddinggemma-300m", ("mean", "task: search result | query: ", "title: none | text: ")),
        ("bert-base-multilingual-cased", ("mean", "", "")),
        ("note5-small", ("mean", "", "")),  # no E5
    ],
)
def test_family_is_known_by_name(model, name, expected):
    assert of(model(name)) == expected


def test_bundled_encoders_keep_what_they_were_made_for():
    assert of("bundled:multilingual-e5-small") == ("mean", "query: ", "passage: ")
    assert of("bundled:all-minilm-l6-v2") == ("mean", "", "")


def test_family_is_known_by_the_configuration_and_in_the_hubs_cache(model, tmp_path, monkeypatch):
    assert of(model("model", config={"_name_or_path": "intfloat/e5-base"}))[1] == "query: "
    assert of(model("bge-m3", config={"_name_or_path": "intfloat/e5-base"}))[1] == ""  # its own name comes first
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--BAAI--bge-base-en-v1.5"
    cached = model(f"{repository.name}/snapshots/{commit}")
    assert of(cached) == ("cls", ENGLISH, "")
    write_json(repository / "refs" / "main", {})
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert of("BAAI/bge-base-en-v1.5") == ("cls", ENGLISH, "")


def test_files_decide_over_the_family(model):
    files = {"pooling": {"pooling_mode_cls_token": True}, "prompts": {"prompts": {"query": "Q> ", "document": "D> "}}}
    assert of(model("e5-small", **files)) == ("cls", "Q> ", "D> ")


def test_family_has_the_prompts_that_the_files_leave_open(model):
    """As E5's own folders are on the hub; and as sentence-transformers 5 saves any model."""
    pooling = {"pooling_mode_mean_tokens": True}
    saved = {"__version__": {"sentence_transformers": "5.1.0"}, "prompts": {"query": "", "document": ""}}
    assert of(model("a/e5-base", pooling=pooling)) == ("mean", "query: ", "passage: ")
    assert of(model("b/e5-base", pooling=pooling, prompts={"__version__": {}})) == ("mean", "query: ", "passage: ")
    assert of(model("c/e5-base", pooling=pooling, prompts=saved)) == ("mean", "query: ", "passage: ")


def test_prompts_that_our_own_model_does_without_stay_away(model, tmp_path):
    source = model("e5-base-without")
    write_layout(
        tmp_path / "e5-base-without",
        hidden_size=8,
        max_tokens=8,
        pooling="cls",
        query_prompt="",
        document_prompt="",
    )
    assert of(source) == ("cls", "", "")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"prompts": {"query": "Q> "}}, ("Q> ", "")),
        ({"prompts": {"query": "", "passage": "P> "}}, ("", "P> ")),
        ({"prompts": {"query": "Q> ", "document": "", "corpus": "C> "}}, ("Q> ", "C> ")),
        ({"prompts": {"any": "A> "}, "default_prompt_name": "any"}, ("A> ", "A> ")),
        ({"prompts": {"query": "Q> "}, "default_prompt_name": "query"}, ("Q> ", "")),
        ({"prompts": {"query": "Q> ", "document": ""}, "default_prompt_name": "query"}, ("Q> ", "")),
        ({"prompts": {"STS": "S> "}, "default_prompt_name": None}, ("", "")),
        ({"prompts": None}, ("", "")),
    ],
)
def test_prompts_are_found_under_the_names_of_sentence_transformers(model, config, expected):
    assert of(model(prompts=config)) == ("mean", *expected)


def test_pooling_lies_where_the_modules_say(model):
    modules = [{"path": "", "type": "a.Transformer"}, {"path": "2_Other", "type": "a.Pooling"}]
    source = model(modules=modules)
    write_json(Path(source) / "2_Other" / "config.json", {"pooling_mode_lasttoken": True})
    assert of(source)[0] == "last"


def test_settings_decide_over_all_and_nothing_is_a_prompt_too(model):
    source = model("e5-small")
    own = EncoderConfig(model=source, query_prompt="", pooling="last").resolved()
    assert own.text_settings() == {"pooling": "last", "query_prompt": "", "document_prompt": "passage: "}
    assert EncoderConfig(model=source).resolved().query_prompt == "query: "


def test_member_of_the_ensemble_follows_its_own_model(model):
    member = EnsembleEncoder(name="e5", model=model("e5-small")).resolved()
    assert member.text_settings() == EncoderConfig(model=member.model).resolved().text_settings()
    assert (member.query_prompt, member.name) == ("query: ", "e5")


def test_description_says_by_whose_word(model):
    def line(**settings):
        config = EncoderConfig(**settings).resolved()
        return describe(config.model, **config.text_settings()).removeprefix(f"{config.model}: ")

    e5, unknown = model("e5-small", pooling={"pooling_mode": "mean"}), model("mine")
    prompts = '"query: " before queries, "passage: " before documents'
    assert line(model=e5) == f"mean pooling (by its files); {prompts} (as E5)"
    assert line(model=e5, query_prompt="", document_prompt="", pooling="cls") == (
        "cls pooling (by the settings); no prompt (by the settings)"
    )
    assert line(model=unknown) == (
        "mean pooling (nothing is known of this model: set it if it wants another); "
        "no prompt (nothing is known of this model: set it if it wants one)"
    )


def test_description_says_what_of_the_files_is_not_followed(model):
    def line(folder):
        made = made_for(folder)
        texts = {"query_prompt": made.query_prompt, "document_prompt": made.document_prompt}
        return describe(folder, pooling=made.pooling, **texts)

    named = {"prompts": {"search_query": "Q> ", "search_document": "D> ", "query": ""}}
    assert line(model("a", prompts=named)).endswith(
        "; its files have prompts for search_document, search_query: set those that are meant"
    )
    dot = {"similarity_fn_name": "dot", "prompts": {"query": "Q> ", "STS": "S> "}}
    assert line(model("b", prompts=dot)).endswith("(by its files); compared by cosine, though its files say dot")
    normalised = [{"path": "", "type": "a.Transformer"}, {"path": "2_Normalize", "type": "a.Normalize"}]
    assert line(model("c", prompts=dot, modules=normalised)).endswith("(by its files)")


def test_further_layers_and_broken_files_are_refused_before_anything_runs(model):
    modules = [{"path": "", "type": "a.Transformer"}, {"path": "2_Dense", "type": "a.Dense"}]
    with pytest.raises(ValueError, match=r"got \['Dense'\] as well"):
        EncoderConfig(model=model("a", modules=modules)).resolved()
    broken = model("b", modules=[])
    (Path(broken) / "modules.json").write_text("{")
    with pytest.raises(ValueError, match="b/modules.json: expected JSON, got: Expecting property name"):
        EncoderConfig(model=broken).resolved()
