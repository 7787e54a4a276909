from dataclasses import replace

import pytest
import torch
from support.tiny_training import CONFIG, plan, run_training, tiny_encoder, tokens

from tasks.train.batch import Chunks, compose_batch
from tasks.train.gradient_cache import backpropagate
from tasks.train.network import Network
from tasks.train.objective import batch_loss
from tasks.train.workers import ALONE

CHUNK_TOKENS = 12  # several chunks a step


def gradients_of(folder, *, graph_tokens, plain=False):
    """Return loss, gradients and how many chunks went through the network for the plan's first step."""
    config = replace(CONFIG, chunk_tokens=CHUNK_TOKENS)
    encoder = tiny_encoder(folder / "encoder")
    batch = compose_batch(plan()[0], *tokens(encoder, folder / "tokens"))
    network = Network(encoder, config, torch.arange(encoder.backbone.config.vocab_size).numpy())
    network.begin_training()
    (chunks,) = network.chunks(batch.lengths)
    calls = []

    def embed(texts):
        calls.append(texts)
        return network.embed([batch.token_ids[text] for text in texts])

    if plain:
        parts = torch.cat([embed(chunk) for chunk in chunks.texts])
        text_UD = parts[torch.tensor(sum(chunks.texts, [])).argsort()]
        loss = batch_loss(text_UD, batch, config, temperature=0.1)
        loss.backward()
        value = loss.item()
    else:
        value = backpropagate(
            embed,
            chunks,
            lambda text_UD: batch_loss(text_UD, batch, config, temperature=0.1),
            num_texts=len(batch.token_ids),
            graph_tokens=graph_tokens,
            scale=1.0,
            size=encoder.hidden_size,
            device=network.device,
            workers=ALONE,
        )
    gradients = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
    return value, gradients, calls, chunks


@pytest.mark.parametrize("graph_tokens", [0, 24, float("inf")])
def test_gradient_cache_equals_one_graph_over_the_whole_batch(tmp_path, graph_tokens):
    expected_loss, expected, _, _ = gradients_of(tmp_path, graph_tokens=0, plain=True)
    loss, gradients, _, chunks = gradients_of(tmp_path, graph_tokens=graph_tokens)
    assert len(chunks.texts) > 2
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(
            gradient, expected[name], rtol=1e-4, atol=1e-6, msg=lambda text, name=name: name + text
        )


def test_gradient_cache_embeds_again_only_what_the_budget_does_not_hold(tmp_path):
    _, _, calls, chunks = gradients_of(tmp_path, graph_tokens=float("inf"))
    assert calls == chunks.texts
    _, _, calls, _ = gradients_of(tmp_path, graph_tokens=0)
    assert calls == chunks.texts + chunks.texts[::-1]
    _, _, calls, _ = gradients_of(tmp_path, graph_tokens=sum(chunks.sizes[:2]))
    assert calls == chunks.texts + chunks.texts[:1:-1]


def test_gradient_cache_does_not_change_a_bit_of_the_training(tmp_path):
    settings = {"chunk_tokens": CHUNK_TOKENS}
    first, log = run_training(tmp_path, checkpoints="a", gradient_cache="off", **settings)
    second, cached = run_training(tmp_path, checkpoints="b", gradient_cache="on", **settings)
    assert log == cached
    for (name, ours), other in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(ours, other), name


def test_chunks_hold_each_text_once_with_little_padding(tmp_path):
    _, _, _, chunks = gradients_of(tmp_path, graph_tokens=0)
    assert sorted(sum(chunks.texts, [])) == list(range(2 + 4))
    assert all(
        size <= max(CHUNK_TOKENS, size // len(texts)) for texts, size in zip(chunks.texts, chunks.sizes, strict=True)
    )


def test_rejects_loss_without_gradient(tmp_path):
    with pytest.raises(RuntimeError, match="expected a loss that depends on the embeddings"):
        backpropagate(
            lambda texts: torch.ones(len(texts), 2),
            Chunks([[0]], [1]),
            lambda text_UD: torch.ones((), requires_grad=True) * 2,
            num_texts=1,
            graph_tokens=0,
            scale=1.0,
            size=2,
            device=torch.device("cpu"),
            workers=ALONE,
        )
