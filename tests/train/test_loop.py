import math
import threading
from dataclasses import replace

import pytest
import torch
from support.tiny_training import CONFIG, NUM_STEPS, plan, run_training, tiny_encoder, tokens

from tasks.ahead import made_ahead
from tasks.models.encoder import Encoder
from tasks.train.batch import compose_batch
from tasks.train.losses import info_nce
from tasks.train.objective import batch_loss
from tasks.train.plan import PlanStep, Sample
from tasks.train.tokens import TokenTable


def weights(encoder: Encoder) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in encoder.named_parameters()}


def assert_same_bits(ours: Encoder, other: Encoder) -> None:
    for (name, first), second in zip(ours.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(first, second), name


def plain_training(folder, *, steps, recipe):
    """One forward per text, full vocabulary, plain AdamW and clipping: slow and short.

    Weights that scale the loss are divided by their mean, and what was clipped is multiplied by it.
    """
    encoder = tiny_encoder(folder / "encoder").train()
    queries, documents = tokens(encoder, folder / "plain")
    matrices, others = [], []
    for name, value in encoder.named_parameters():
        (matrices if value.ndim == 2 and "embeddings" not in name else others).append(value)
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    )
    losses, norms = [], []

    def embed(ids):
        return encoder(torch.tensor(ids.tolist())[None], torch.ones(1, len(ids), dtype=torch.int64))

    for number, step in enumerate(steps):
        keys = [key for sample in step.samples for key in sample.documents]
        weight_B = torch.tensor([sample.weight for sample in step.samples])
        mean = weight_B.mean().item() if recipe.weighting == "query" else 1.0
        loss = info_nce(
            torch.cat([embed(queries[sample.query]) for sample in step.samples]),
            torch.cat([embed(documents[key]) for key in keys]),
            temperature=recipe.temperature,
            num_docs=[len(sample.documents) for sample in step.samples],
            weight_B=weight_B / mean,
            weighting=recipe.weighting,
            ignore_BN=torch.tensor([
                [key == sample.documents[0] or key[1] in sample.not_negatives for key in keys]
                for sample in step.samples
            ]),
        )  # fmt: skip
        optimizer.zero_grad()
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(encoder.parameters(), recipe.max_gradient_norm or math.inf))
        norms.append(mean * norm)
        for value in encoder.parameters():
            value.grad *= mean
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(number, len(steps))
        optimizer.step()
        losses.append(mean * loss.item())
    return encoder, losses, norms


@pytest.mark.parametrize(
    "changes",
    [
        {"weighting": "query", "temperature": 0.05},
        {"weighting": "query", "max_gradient_norm": None, "weight_decay": 0.0, "warmup_share": 0.0},
        {"weighting": "negative", "temperature": 1.0},
        {"weighting": "none", "gradient_checkpointing": True},
    ],
)
def test_train_equals_plain_training_with_full_vocabulary(tmp_path, changes):
    recipe = replace(CONFIG, **changes)
    expected, losses, norms = plain_training(tmp_path, steps=plan(), recipe=recipe)
    encoder, log = run_training(tmp_path, **changes)
    torch.testing.assert_close([row.loss for row in log], losses, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close([row.gradient_norm for row in log], norms, rtol=1e-3, atol=1e-4)
    for (name, ours), plain in zip(encoder.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=2e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_train_logs_each_plan_step_and_lowers_the_loss(tmp_path):
    _, log = run_training(tmp_path, steps=[replace(plan()[0], step=number) for number in range(10)])
    assert [row.step for row in log] == list(range(10))
    assert {row.language for row in log} == {"en"}
    assert log[-1].loss < 0.5 * log[0].loss
    assert log[0].learning_rate == pytest.approx(1e-3 / 2)  # 2 of 10 steps rise


def test_train_leaves_unused_embedding_rows_alone(tmp_path):
    before = tiny_encoder(tmp_path / "encoder")
    encoder, _ = run_training(tmp_path)
    queries, documents = tokens(before, tmp_path / "again")
    used = {token for table in (queries, documents) for key in table.keys() for token in table[key].tolist()}  # noqa: SIM118
    old, new = (one.backbone.get_input_embeddings().weight for one in (before, encoder))
    assert old.shape == new.shape
    changed = {row for row in range(len(old)) if not torch.equal(old[row], new[row])}
    assert changed == used


def test_train_repeats_bit_for_bit_and_adapters_change_with_the_seed(tmp_path):
    first, log = run_training(tmp_path, checkpoints="a", lora_rank=2)
    torch.rand(5)  # the caller's random state plays no part
    second, again = run_training(tmp_path, checkpoints="b", checkpoint_minutes=9, lora_rank=2)
    assert log == again
    assert_same_bits(first, second)
    _, other = run_training(tmp_path, checkpoints="c", seed=8, lora_rank=2)
    assert other != log


def test_batches_that_a_thread_composes_ahead_give_the_same_bits(tmp_path, monkeypatch):
    """As on a GPU; where the plan's patience or an error ends the training, the thread ends too."""
    expected, log = run_training(tmp_path, checkpoints="a")
    monkeypatch.setattr("tasks.train.loop.made_ahead", lambda items, threaded: made_ahead(items, threaded=not threaded))
    found, again = run_training(tmp_path, checkpoints="b")
    assert log == again
    assert_same_bits(found, expected)
    with pytest.raises(ValueError, match="expected 9 steps in the plan, got 8"):
        run_training(tmp_path, checkpoints="c", num_steps=9)
    monkeypatch.setattr("tasks.train.loop._patience_has_ended", lambda state, config: state.num_done == 3)
    assert len(run_training(tmp_path, checkpoints="d")[1]) == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_train_leaves_the_callers_random_state_alone(tmp_path):
    encoder = tiny_encoder(tmp_path / "encoder")
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    run_training(tmp_path, encoder=encoder)
    assert torch.equal(torch.rand(2), expected)


def test_train_ignores_order_of_texts_within_a_chunk(tmp_path):
    _, log = run_training(tmp_path, checkpoints="a")
    _, single = run_training(tmp_path, checkpoints="b", chunk_tokens=1)  # one text at a time
    torch.testing.assert_close([row.loss for row in single], [row.loss for row in log], rtol=1e-4, atol=1e-5)


def test_train_reports_each_step(tmp_path):
    reports = []
    _, log = run_training(tmp_path, report=reports.append)
    assert [report.num_done for report in reports] == list(range(1, NUM_STEPS + 1))
    assert [report.row for report in reports] == log
    assert all(report.num_queries == 2 and report.num_tokens > 20 for report in reports)


def test_train_has_no_dropout(tmp_path):
    encoder = tiny_encoder(tmp_path / "encoder")
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.3
    _, expected = run_training(tmp_path, checkpoints="a")
    _, log = run_training(tmp_path, checkpoints="b", encoder=encoder)
    assert log == expected
    assert not encoder.training


def test_bf16_trains_float32_weights_close_to_fp32(tmp_path):
    full, log = run_training(tmp_path, checkpoints="a")
    encoder, reduced = run_training(tmp_path, checkpoints="b", precision="bf16")
    assert {value.dtype for value in encoder.parameters()} == {torch.float32}
    assert reduced != log
    assert reduced[0].loss == pytest.approx(log[0].loss, abs=0.05)


def test_batch_embeds_a_shared_document_once(tmp_path):
    encoder = tiny_encoder(tmp_path / "encoder")
    samples = (Sample("en", "q0", "d0", ("d1", "d2"), 1.0), Sample("en", "q1", "d1", ("d2",), 2.0))
    batch = compose_batch(PlanStep(0, 0, samples), *tokens(encoder, tmp_path))
    assert len(batch.token_ids) == 2 + 3
    assert batch.doc_N.tolist() == [2, 3, 4, 3, 4]
    assert batch.num_docs == [3, 2]
    assert batch.ignore_BN.tolist() == [[False] * 5, [False, True, False, False, False]]


def test_batch_leaves_out_what_the_plan_lists_wherever_it_stands_in_the_querys_language():
    names = [(language, name) for language in ("en", "fi") for name in ("q0", "q1", "d0", "d1", "d2")]
    table = TokenTable.of({name: [1] for name in names})
    samples = (
        Sample("en", "q0", "d0", ("d2",), 1.0, frozenset({"d0", "d1"})),
        Sample("en", "q1", "d1", ("d0", "d2"), 1.0, frozenset({"d2"})),
        Sample("fi", "q0", "d1", ("d2",), 1.0),
    )
    batch = compose_batch(PlanStep(0, 0, samples), table, table)
    no, yes = False, True
    assert batch.ignore_BN.tolist() == [
        [yes, no, yes, yes, no, no, no],  # its own positive in its place is left in by the loss
        [no, yes, no, no, yes, no, no],
        [no, no, no, no, no, no, no],  # the same ids in another language are other documents
    ]


def test_what_the_plan_lists_neither_repels_nor_is_repelled(tmp_path):
    encoder = tiny_encoder(tmp_path / "encoder")
    step = plan()[1]  # q1 (d1, d2, d3) and q3 (d3, d4); d4 is listed for q1
    batch = compose_batch(step, *tokens(encoder, tmp_path))
    text_UD = torch.nn.functional.normalize(torch.randn(len(batch.token_ids), 6), dim=-1).requires_grad_()
    score_BN = (text_UD[:2] @ text_UD[batch.doc_N].T / 0.1).detach()
    kept = score_BN[0, :4].exp()  # d1 d2 d3 d3, without d4
    expected = -math.log(kept[0] / kept.sum()), -math.log(score_BN[1, 3].exp() / score_BN[1, [0, 1, 3, 4]].exp().sum())
    loss = batch_loss(text_UD, batch, replace(CONFIG, weighting="none"), temperature=0.1)
    assert loss.item() == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_rejects_plan_without_steps(tmp_path):
    with pytest.raises(ValueError, match="batch plan with steps, got none"):
        run_training(tmp_path, steps=[])


@pytest.mark.parametrize(("num_steps", "message"), [(9, "expected 9 steps in the plan, got 8"), (7, "0..6, got 7")])
def test_rejects_plan_of_another_length(tmp_path, num_steps, message):
    with pytest.raises(ValueError, match=message):
        run_training(tmp_path, num_steps=num_steps)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_rejects_loss_or_gradient_that_is_not_finite(tmp_path, monkeypatch, where):
    def broken(query_BD, doc_ND, **rest):
        loss = info_nce(query_BD, doc_ND, **rest)
        return loss * math.inf if where == "loss" else (loss.detach() + 0 * (query_BD.sum() - query_BD.sum()).sqrt())

    monkeypatch.setattr("tasks.train.objective.info_nce", broken)
    with pytest.raises(RuntimeError, match=r"epoch 0 step 0: expected a finite loss and gradient.* queries q0, q2"):
        run_training(tmp_path)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({}, r"Set train\.gradient_cache to on"),
        ({"gradient_cache": "on"}, r"Lower train\.chunk_tokens, or set train\.gradient_checkpointing"),
        ({"gradient_cache": "on", "gradient_checkpointing": True}, r"plan_batches\.batch_size or text\.max_document"),
    ],
)
def test_names_the_settings_when_memory_runs_out(tmp_path, monkeypatch, changes, advice, error):
    def full(*_args, **_rest):
        raise error

    monkeypatch.setattr("tasks.train.objective.info_nce", full)
    with pytest.raises(RuntimeError, match=f"step 0: expected chunks .* fit into memory.*{advice}"):
        run_training(tmp_path, **changes)


def test_passes_on_errors_that_have_nothing_to_do_with_memory(tmp_path, monkeypatch):
    def broken(*_args, **_rest):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr("tasks.train.objective.info_nce", broken)
    with pytest.raises(RuntimeError, match="^shapes differ$"):
        run_training(tmp_path)
