"""Encoder folders from every kind of source; sentence-transformers reads them and gives the same vectors."""

import json

import numpy as np
import pytest
import torch
from support.tiny_model import write_tiny_encoder
from tokenizers import Tokenizer
from transformers import AutoModel, BertConfig, BertModel, LlamaConfig, LlamaModel, XLMRobertaConfig, XLMRobertaModel

from tasks.models.encoder import Encoder
from tasks.models.layout import read_json, write_json
from tasks.models.sources import EncoderFacts, write_encoder

TEXTS = ["the capital of France is Paris", "", "東京は日本の首都です", "Nairobi ni mji mkuu wa Kenya " * 3]
SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def _write(source, folder, **changes):
    settings = {"num_layers": None, "pooling": "mean", "query_prompt": "query: ", "document_prompt": "passage: "}
    return write_encoder(str(source), folder, **(settings | changes))


def _embed(folder, *, role="document"):
    return Encoder.load(folder, device="cpu").embed(TEXTS, role=role, max_tokens=30, batch_tokens=64)


def _plain_folder(tmp_path, model):
    """A model without sentence-transformers files, its tokenizer that of the tiny encoder."""
    tiny, folder = write_tiny_encoder(tmp_path / "tiny", texts=TEXTS), tmp_path / "plain"
    model.eval().save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tiny / name).read_bytes())
    return folder


def _model(kind):
    torch.manual_seed(3)
    common = {"vocab_size": 400, "max_position_embeddings": 34, "pad_token_id": 1, **SIZES}
    match kind:
        case "bert":
            return BertModel(BertConfig(**common))
        case "xlm-roberta":
            return XLMRobertaModel(XLMRobertaConfig(**common))
        case _:
            return LlamaModel(LlamaConfig(**common))


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_encoder(tmp_path / "tiny", texts=TEXTS)


def test_encoder_of_a_folder_gives_its_vectors(tiny, tmp_path):
    facts = _write(tiny, tmp_path / "encoder")
    rows = Tokenizer.from_file(str(tiny / "tokenizer.json")).get_vocab_size()
    weights = AutoModel.from_pretrained(tiny, add_pooling_layer=False).num_parameters()
    assert facts == EncoderFacts(num_layers=2, hidden_size=32, num_parameters=weights, vocabulary_size=rows)
    np.testing.assert_array_equal(_embed(tmp_path / "encoder"), _embed(tiny))


def test_encoder_is_written_the_same_each_time(tiny, tmp_path):
    for name in ("one", "two"):
        _write(tiny, tmp_path / name)
    for path in sorted((tmp_path / "one").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_encoder_takes_pooling_and_prompts_from_the_settings(tmp_path):
    source = write_tiny_encoder(tmp_path / "tiny", texts=TEXTS, pooling="cls")
    _write(source, tmp_path / "encoder", pooling="cls", query_prompt="Q> ", document_prompt="")
    encoder = Encoder.load(tmp_path / "encoder", device="cpu")
    assert (encoder.pooling, encoder.tokenizer.prompts) == ("cls", {"query": "Q> ", "document": ""})


def test_encoder_keeps_first_layers(tiny, tmp_path):
    facts = _write(tiny, tmp_path / "encoder", num_layers=1)
    assert facts.num_layers == 1
    assert read_json(tmp_path / "encoder" / "config.json")["num_hidden_layers"] == 1


@pytest.mark.parametrize(
    ("kind", "pooling", "max_tokens"), [("bert", "mean", 34), ("xlm-roberta", "cls", 32), ("llama", "last", 34)]
)
def test_encoder_of_each_architecture_gives_plain_vectors(tmp_path, kind, pooling, max_tokens):
    model = _model(kind)
    _write(_plain_folder(tmp_path, model), tmp_path / "encoder", pooling=pooling)
    encoder = Encoder.load(tmp_path / "encoder", device="cpu")
    assert encoder.tokenizer.max_tokens == max_tokens
    for text, vector_D in zip(TEXTS, _embed(tmp_path / "encoder"), strict=True):
        ids = encoder.tokenize([text], role="document", max_tokens=30)
        with torch.no_grad():
            hidden_TD = model(input_ids=torch.tensor(ids)).last_hidden_state[0]
        plain_D = {"mean": hidden_TD.mean(dim=0), "cls": hidden_TD[0], "last": hidden_TD[-1]}[pooling]
        np.testing.assert_allclose(vector_D, (plain_D / plain_D.norm()).numpy(), atol=2e-6)


def test_encoder_reads_tokenizer_file_rather_than_the_class_beside_it(tiny, tmp_path):
    expected = _embed(tiny)
    config = read_json(tiny / "tokenizer_config.json")
    write_json(tiny / "tokenizer_config.json", config | {"tokenizer_class": "XLMRobertaTokenizer"})
    _write(tiny, tmp_path / "encoder")
    np.testing.assert_array_equal(_embed(tmp_path / "encoder"), expected)


def test_encoder_takes_another_pooling_than_the_model_was_made_for(tiny, tmp_path):
    _write(tiny, tmp_path / "encoder", pooling="cls")
    assert Encoder.load(tmp_path / "encoder", device="cpu").pooling == "cls"


def test_encoder_lower_cases_where_the_models_files_say_so(tiny, tmp_path):
    _write(tiny, tmp_path / "plain")
    texts = tiny / "sentence_bert_config.json"
    write_json(texts, read_json(texts) | {"do_lower_case": True})
    _write(tiny, tmp_path / "lower")
    plain, lower = (Encoder.load(tmp_path / name, device="cpu") for name in ("plain", "lower"))
    asked = {"role": "query", "max_tokens": 30}
    assert lower.tokenize(["PARIS ist die Hauptstadt"], **asked) == plain.tokenize(
        ["paris ist die hauptstadt"], **asked
    )
    assert plain.tokenize(["PARIS"], **asked) != plain.tokenize(["paris"], **asked)


def test_encoder_refuses_prompts_that_the_model_leaves_out_of_the_mean(tiny, tmp_path):
    pooling = tiny / "1_Pooling" / "config.json"
    write_json(pooling, read_json(pooling) | {"include_prompt": False})
    with pytest.raises(ValueError, match="expected include_prompt true for a model with prompts, got false"):
        _write(tiny, tmp_path / "encoder")
    _write(tiny, tmp_path / "encoder", query_prompt="", document_prompt="")


def test_encoder_refuses_further_layers_on_top(tiny, tmp_path):
    modules = read_json(tiny / "modules.json")
    modules.append({"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    write_json(tiny / "modules.json", modules)
    with pytest.raises(ValueError, match=r"expected a sentence-transformers model of .*, got \['Dense'\] as well"):
        _write(tiny, tmp_path / "encoder")


def test_encoder_refuses_architectures_that_need_foreign_code(tiny, tmp_path):
    config = json.loads((tiny / "config.json").read_text()) | {"model_type": "homemade"}
    write_json(tiny / "config.json", config)
    with pytest.raises(ValueError, match="got model_type 'homemade'. Code from a hub is not run"):
        _write(tiny, tmp_path / "encoder")


def test_encoder_refuses_tokenizer_without_padding(tiny, tmp_path):
    config = read_json(tiny / "tokenizer_config.json")
    del config["pad_token"]
    write_json(tiny / "tokenizer_config.json", config)
    with pytest.raises(ValueError, match="expected a fast tokenizer with a padding token, got .* with None"):
        _write(tiny, tmp_path / "encoder")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("source", ["tiny", "bundled:multilingual-e5-small", "bundled:all-minilm-l6-v2"])
def test_sentence_transformers_gives_the_same_vectors(tmp_path, source, tiny):
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="installed with the test extra")
    folder = tmp_path / "encoder"
    _write(tiny if source == "tiny" else source, folder, num_layers=2)
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": "float32"})
    model.max_seq_length = 30  # as _embed cuts
    for role in ("query", "document"):
        np.testing.assert_allclose(model.encode(TEXTS, prompt_name=role), _embed(folder, role=role), atol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_bundled_encoder_ranks_the_answer_first_across_languages(tmp_path):
    pairs = [
        ("What is the capital of France?", "Paris is the capital and largest city of France."),
        ("Mikä on Suomen pääkaupunki?", "Helsinki on Suomen pääkaupunki ja suurin kaupunki."),
        ("日本で一番高い山は何ですか?", "富士山は標高3776メートルで日本最高峰の山である。"),
        ("谁写了红楼梦？", "《红楼梦》是清代作家曹雪芹创作的长篇小说。"),
        ("Кто написал «Войну и мир»?", "«Война и мир» — роман-эпопея Льва Николаевича Толстого."),
        ("ما هي عاصمة مصر؟", "القاهرة هي عاصمة جمهورية مصر العربية وأكبر مدنها."),
        ("বাংলাদেশের রাজধানী কোথায়?", "ঢাকা বাংলাদেশের রাজধানী ও বৃহত্তম শহর।"),
        ("Mlima mrefu zaidi Afrika ni upi?", "Kilimanjaro ndiyo mlima mrefu kuliko yote barani Afrika."),
        ("తెలంగాణ రాజధాని ఏది?", "హైదరాబాదు తెలంగాణ రాష్ట్ర రాజధాని."),
        ("Siapa presiden pertama Indonesia?", "Soekarno adalah presiden pertama Republik Indonesia."),
    ]
    _write("bundled:multilingual-e5-small", tmp_path / "encoder")
    encoder = Encoder.load(tmp_path / "encoder", device="cpu")
    query_QD = encoder.embed([query for query, _ in pairs], role="query", max_tokens=64, batch_tokens=1024)
    answer_QD = encoder.embed([answer for _, answer in pairs], role="document", max_tokens=64, batch_tokens=1024)
    assert (query_QD @ answer_QD.T).argmax(axis=1).tolist() == list(range(len(pairs)))
