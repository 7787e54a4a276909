"""The encoder on a tiny real network: vectors, order, tokens, saving."""

import weakref

import numpy as np
import pytest
import torch
from support.tiny_model import write_tiny_encoder
from tokenizers import Tokenizer, processors
from torch.nn import functional as F
from transformers import AutoModel, AutoTokenizer

from tasks.models.encoder import Encoder, forget_encoder, shared_encoder
from tasks.models.layout import read_json, write_json
from tasks.models.unigram import Unigram

TEXTS = [
    "the capital of France is Paris",
    "Paris",
    "",
    "Helsinki on Suomen pääkaupunki ja sen suurin kaupunki",
    "東京は日本の首都です",
    "the the the",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder") / "model", texts=TEXTS)


@pytest.fixture
def encoder(folder):
    return Encoder.load(folder, device="cpu")


def _embed(encoder, texts, **changes):
    return encoder.embed(texts, **({"role": "document", "max_tokens": 32, "batch_tokens": 64} | changes))


def _plain_vectors(folder, prompted):
    """One text at a time through transformers, mean over all tokens."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    vectors = []
    for text in prompted:
        with torch.no_grad():
            hidden_TD = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        vectors.append(F.normalize(hidden_TD.mean(dim=0), dim=0).numpy())
    return np.stack(vectors)


@pytest.mark.parametrize(("role", "prompt"), [("query", "query: "), ("document", "passage: ")])
def test_embed_equals_plain_transformers_text_by_text(encoder, folder, role, prompt):
    expected_ND = _plain_vectors(folder, [prompt + text for text in TEXTS])
    np.testing.assert_allclose(_embed(encoder, TEXTS, role=role), expected_ND, atol=2e-6)


def test_a_text_has_the_same_vector_to_the_last_bit_in_any_batch(encoder):
    texts = [*TEXTS, *(" ".join((TEXTS * 9)[:number]) for number in range(40))]
    together_ND = _embed(encoder, texts, batch_tokens=10_000)
    np.testing.assert_array_equal(_embed(encoder, texts, batch_tokens=1), together_ND)
    np.testing.assert_array_equal(_embed(encoder, texts[::-3]), together_ND[::-3])


@pytest.mark.parametrize("ahead", [False, True])
def test_shards_give_what_their_texts_give_alone_however_they_are_fed(encoder, ahead, monkeypatch):
    monkeypatch.setattr("tasks.models.encoder._TEXTS_AHEAD", 2)
    shards = [TEXTS, [], TEXTS[:1], TEXTS[::-1]]
    settings, done = {"role": "document", "max_tokens": 32, "batch_tokens": 64}, []
    found = list(encoder.embed_each(iter(shards), **settings, progress=done.append, ahead=ahead))
    assert sum(done) == sum(map(len, shards))
    for vector_ND, texts in zip(found, shards, strict=True):
        np.testing.assert_array_equal(vector_ND, _embed(encoder, texts))
    assert found[1].shape == (0, encoder.hidden_size)


def test_batches_of_equal_lengths_give_the_same_bytes_without_a_mask(encoder):
    ids = torch.tensor(encoder.tokenize(["Paris is"] * 3, role="document", max_tokens=32))
    with torch.inference_mode():
        with_mask, without = (encoder(ids, torch.ones_like(ids), is_full=is_full) for is_full in (False, True))
    assert torch.equal(with_mask, without)


def test_embed_gives_unit_float32_vectors_even_for_empty_text(encoder):
    vector_ND = _embed(encoder, TEXTS)
    assert vector_ND.dtype == np.float32
    assert vector_ND.shape == (len(TEXTS), encoder.hidden_size)
    np.testing.assert_allclose(np.linalg.norm(vector_ND, axis=1), 1.0, atol=1e-6)


def test_embed_gives_invisible_texts_the_vector_of_an_empty_one(tmp_path):
    """Without a prompt, and with a tokenizer that adds no tokens of its own, nothing is left of them."""
    folder = write_tiny_encoder(tmp_path / "model", texts=TEXTS, document_prompt="")
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    whole.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    whole.save(str(folder / "tokenizer.json"))
    empty_D, *blank_ND = _embed(Encoder.load(folder, device="cpu"), ["", "\u200b", " \ufeff\n", "\u00ad"])
    assert np.isfinite(empty_D).all()
    np.testing.assert_allclose(np.stack(blank_ND), np.stack([empty_D] * 3), atol=1e-6)


def test_embed_of_no_texts_is_empty(encoder):
    assert _embed(encoder, []).shape == (0, encoder.hidden_size)


def test_embed_reports_every_text_once(encoder):
    done = []
    _embed(encoder, TEXTS, progress=done.append)
    assert sum(done) == len(TEXTS)
    assert len(done) > 1


def test_embed_lets_the_tokenizer_go_before_the_network_runs(encoder, monkeypatch):
    narrow, made, alive = Unigram.narrow, [], []

    def remembering(unigram, blocks):
        splitter = narrow(unigram, blocks)
        made.append(weakref.ref(splitter))
        return splitter

    monkeypatch.setattr(Unigram, "narrow", remembering)
    hook = encoder.register_forward_pre_hook(lambda *_: alive.extend(one() is not None for one in made))
    _embed(encoder, TEXTS, batch_tokens=10_000)
    hook.remove()
    assert set(alive) == {False}


def test_embed_keeps_training_mode_and_gradients_off(encoder):
    encoder.train()
    _embed(encoder, TEXTS)
    assert encoder.training
    assert all(weight.grad is None for weight in encoder.parameters())


def test_tokenize_adds_prompt_and_special_tokens_and_cuts(encoder, folder):
    begin, end = 0, 2
    whole = encoder.tokenize([TEXTS[0]], role="query", max_tokens=32)[0]
    cut = encoder.tokenize([TEXTS[0]], role="query", max_tokens=4)[0]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert [tokenizer.id_to_token(i) for i in whole[:3]] == ["<s>", "▁query:", "▁the"]
    assert (whole[0], whole[-1]) == (begin, end)
    assert cut == [*whole[:3], end]


def test_tokenize_uses_the_prompt_of_the_role(encoder):
    query, document = (encoder.tokenize(["Paris"], role=role, max_tokens=32)[0] for role in ("query", "document"))
    assert query != document
    assert query[2:] == document[2:]


def test_tokenize_gives_a_token_to_text_that_has_none(tmp_path):
    folder = write_tiny_encoder(tmp_path / "model", texts=TEXTS, query_prompt="")
    without = read_json(folder / "tokenizer.json") | {"post_processor": None}  # no special tokens
    write_json(folder / "tokenizer.json", without)
    encoder = Encoder.load(folder, device="cpu")
    assert encoder.tokenize(["\x00", ""], role="query", max_tokens=8)[1] == [encoder.pad_id]
    np.testing.assert_allclose(np.linalg.norm(_embed(encoder, [""], role="query"), axis=1), 1.0, atol=1e-6)


def test_forward_lets_gradients_through(encoder):
    ids = encoder.tokenize(["Paris"], role="query", max_tokens=8)
    encoder(torch.tensor(ids), torch.ones(1, len(ids[0]), dtype=torch.int64))[0, 0].backward()
    assert encoder.backbone.get_input_embeddings().weight.grad.abs().sum() > 0


@pytest.mark.parametrize("pooling", ["cls", "last"])
def test_encoder_pools_as_its_folder_says(tmp_path, pooling):
    encoder = Encoder.load(write_tiny_encoder(tmp_path / "model", texts=TEXTS, pooling=pooling), device="cpu")
    ids = encoder.tokenize(["Paris"], role="document", max_tokens=8)
    hidden_BTD = encoder.backbone(input_ids=torch.tensor(ids)).last_hidden_state
    expected_D = F.normalize(hidden_BTD[0, 0 if pooling == "cls" else -1], dim=0)
    np.testing.assert_allclose(_embed(encoder, ["Paris"])[0], expected_D.detach().numpy(), atol=2e-6)


def test_saved_encoder_loads_and_gives_same_vectors(encoder, tmp_path):
    with torch.no_grad():
        encoder.backbone.get_input_embeddings().weight *= 1.5
    encoder.save(tmp_path / "one")
    encoder.save(tmp_path / "two")
    again = Encoder.load(tmp_path / "one", device="cpu")
    np.testing.assert_array_equal(_embed(again, TEXTS), _embed(encoder, TEXTS))
    for path in sorted((tmp_path / "one").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_encoder_load_prints_nothing(folder, capfd):
    Encoder.load(folder, device="cpu")
    assert capfd.readouterr() == ("", "")


def test_tokenize_rejects_more_tokens_than_positions(encoder):
    with pytest.raises(ValueError, match=r"max_tokens of a query: expected 1..128 for the encoder in .*, got 129"):
        encoder.tokenize(["Paris"], role="query", max_tokens=129)


def test_save_rejects_its_own_folder(encoder, folder):
    with pytest.raises(ValueError, match="expected another folder than the encoder was loaded from"):
        encoder.save(folder)


def test_load_names_a_missing_file(folder, tmp_path):
    encoder = Encoder.load(folder, device="cpu")
    encoder.save(tmp_path / "model")
    (tmp_path / "model" / "1_Pooling" / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"1_Pooling/config.json: expected a file"):
        Encoder.load(tmp_path / "model", device="cpu")


def test_shared_encoder_stays_until_another_is_wanted_or_it_is_forgotten(folder, tmp_path):
    first = shared_encoder(folder, "cpu")
    assert shared_encoder(folder, "cpu") is first
    gone = weakref.ref(first)
    del first
    other = write_tiny_encoder(tmp_path / "other", seed=1)
    second = weakref.ref(shared_encoder(other, "cpu"))
    assert gone() is None
    forget_encoder()
    assert second() is None


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_embed_computes_in_the_type_of_the_weights(encoder, folder, dtype):
    halved = Encoder.load(folder, device="cpu", dtype=getattr(torch, dtype))
    seen = []
    halved.backbone.register_forward_hook(lambda module, given, made: seen.append(made.last_hidden_state.dtype))
    assert not np.array_equal(_embed(halved, TEXTS), _embed(encoder, TEXTS))
    assert set(seen) == {getattr(torch, dtype)}


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_embed_of_float32_weights_computes_in_float32(folder, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    encoder, seen = Encoder.load(folder, device=device), []
    layer = next(one for one in encoder.backbone.modules() if isinstance(one, torch.nn.Linear))
    layer.register_forward_hook(lambda module, given, made: seen.append(made.dtype))  # what autocast would change
    _embed(encoder, TEXTS)
    assert set(seen) == {torch.float32}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_embed_on_cuda_is_close_to_cpu(encoder, folder):
    on_gpu = Encoder.load(folder, device="cuda")
    cosine_N = (_embed(on_gpu, TEXTS) * _embed(encoder, TEXTS)).sum(axis=1)
    assert cosine_N.min() > 0.999999  # float32, as asked: no bfloat16 behind one's back
