import numpy as np
import pytest
import torch
from support.tiny_training import run_training, tiny_encoder
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, XLMRobertaConfig, XLMRobertaModel

from tasks.train.batch import embed_chunk
from tasks.train.packed import embed_packed, pack_chunks, use_packed_attention

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "pad_token_id": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def network(kind):
    torch.manual_seed(0)
    return BertModel(BertConfig(**SIZES)) if kind == "bert" else XLMRobertaModel(XLMRobertaConfig(**SIZES))


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_packed_embeddings_and_gradients_equal_padded_ones(tmp_path, kind, pooling):
    encoder = tiny_encoder(tmp_path / "encoder")
    encoder.pooling = pooling
    rng = np.random.default_rng(0)
    texts = [rng.integers(3, 40, length) for length in (9, 9, 7, 4, 4, 4, 1)]
    results = []
    for packed in (False, True):
        encoder.backbone = network(kind)
        if packed:
            use_packed_attention(encoder.backbone)
            vectors = embed_packed(encoder, texts, dtype=torch.float32)
        else:
            vectors = embed_chunk(encoder, texts, pad_id=1, dtype=torch.float32)
        (vectors * torch.arange(16)).sum().backward()
        results.append((vectors, {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}))
    (padded, expected), (vectors, gradients) = results
    torch.testing.assert_close(vectors, padded, rtol=1e-4, atol=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-4, msg=lambda t, name=name: name + t)


def test_packed_training_equals_padded_training(tmp_path):
    _, log = run_training(tmp_path, checkpoints="a", dropout=0.0)
    encoder, packed = run_training(
        tmp_path, checkpoints="b", dropout=0.0, packing=True, chunk_tokens=20, gradient_cache="on"
    )
    torch.testing.assert_close([row.loss for row in packed], [row.loss for row in log], rtol=1e-4, atol=1e-5)
    vectors = encoder.embed(["what is red"], role="query", max_tokens=16, batch_tokens=64)  # padded again
    assert np.linalg.norm(vectors) == pytest.approx(1.0)


def test_pack_chunks_fills_them_without_padding():
    chunks = pack_chunks([3, 8, 5, 20, 4], range(5), chunk_tokens=12)
    assert chunks.texts == [[3], [1], [2, 4, 0]]
    assert chunks.sizes == [20, 8, 12]


def test_rejects_packing_of_a_network_that_looks_back_only():
    backbone = GPT2Model(GPT2Config(n_layer=1, n_head=1, n_embd=4, vocab_size=8))
    with pytest.raises(ValueError, match=r"for train\.packing, got 'gpt2'"):
        use_packed_attention(backbone)


def test_rejects_packing_with_dropout(tmp_path):
    with pytest.raises(ValueError, match=r"dropout 0 with packing, got 0\.1"):
        run_training(tmp_path, packing=True)
