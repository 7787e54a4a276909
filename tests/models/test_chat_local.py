"""Generation on this machine: seeded samples, batches, adapters, and for real SmolLM2 out of its package."""

import pytest
import torch
from support.llm_server import LlmServer
from support.tiny_llm import NO_SYSTEM, write_tiny_llm
from transformers import AutoModelForCausalLM

from tasks.models.chat import BudgetExhausted, Request
from tasks.models.chat.budget import Budget
from tasks.models.chat.client import chat_digest, open_chat
from tasks.models.chat.config import ChatConfig
from tasks.models.chat.local import LocalChat, SeededSampling, load_chat_model

REQUESTS = [Request("Be brief.", user, seed) for user in ("red", "one two three red green") for seed in (0, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_llm(tmp_path_factory.mktemp("llm"))


@pytest.fixture(scope="module")
def loaded(folder):
    return load_chat_model(folder, device="cpu")


def chat(loaded, **settings):
    given = {"temperature": 1.0, "max_new_tokens": 8, "batch_tokens": 512, "budget": Budget()}
    return LocalChat(*loaded, **given | settings)


def test_local_answers_every_request_and_counts_tokens(loaded):
    replies = dict(chat(loaded).complete(REQUESTS))
    assert sorted(replies) == [0, 1, 2, 3]
    assert all(1 <= reply.completion_tokens <= 8 for reply in replies.values())
    assert replies[0].prompt_tokens == replies[1].prompt_tokens < replies[2].prompt_tokens


def test_local_sample_depends_on_seed_and_prompt_alone(loaded):
    together = dict(chat(loaded).complete(REQUESTS))
    apart = {n: next(chat(loaded, batch_tokens=1).complete([one]))[1] for n, one in reversed(list(enumerate(REQUESTS)))}
    assert together == apart
    assert together[0] != together[1]


def test_local_at_temperature_zero_ignores_the_seed(loaded):
    replies = dict(chat(loaded, temperature=0.0).complete(REQUESTS))
    assert replies[0] == replies[1]
    assert replies[2] == replies[3]


def test_local_greedy_reply_equals_plain_generation(loaded):
    model, tokenizer = loaded
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "red"}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    for _ in range(8):
        with torch.inference_mode():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == tokenizer.eos_token_id:
            break
    ((_, reply),) = chat(loaded, temperature=0.0).complete(REQUESTS[:1])
    assert reply.text == tokenizer.decode(ids[reply.prompt_tokens :], skip_special_tokens=True)


def test_gumbel_noise_samples_the_softmax():
    probability_V = torch.tensor([0.5, 0.3, 0.2])
    requests = [Request("s", "u", seed) for seed in range(4000)]
    noisy_BV = SeededSampling(requests, 2.0)(None, (2.0 * probability_V.log()).expand(4000, 3))
    share_V = torch.bincount(noisy_BV.argmax(-1), minlength=3) / 4000
    torch.testing.assert_close(share_V, probability_V, atol=0.03, rtol=0.0)


def test_local_refuses_a_prompt_that_is_too_long(tmp_path):
    short = load_chat_model(write_tiny_llm(tmp_path, positions=64), device="cpu")
    replies = dict(chat(short).complete([REQUESTS[0], Request("Be brief.", "red " * 60, 0)]))
    assert replies[1].text.startswith("refused: prompt and reply would have")
    assert replies[1].completion_tokens == 0
    assert replies[0].completion_tokens > 0


def test_local_stops_at_its_budget_and_keeps_what_it_made(loaded):
    replies = chat(loaded, budget=Budget(max_calls=3)).complete(REQUESTS)
    assert len([next(replies) for _ in range(3)]) == 3
    with pytest.raises(BudgetExhausted, match="at most 3 calls"):
        next(replies)


def test_local_puts_the_system_text_before_the_user_s_where_the_template_has_no_system(tmp_path):
    model = chat(load_chat_model(write_tiny_llm(tmp_path, template=NO_SYSTEM), device="cpu"))
    text = model.tokenizer.decode(model._prompt(REQUESTS[0]))
    assert "<user> Be brief. red" in " ".join(text.split())


def test_model_without_chat_template_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a model with a chat template, got none"):
        load_chat_model(write_tiny_llm(tmp_path, template=None), device="cpu")


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
def test_adapter_changes_the_replies(folder, tmp_path):
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    tuned = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_" in name:
                weight.mul_(50.0)
    tuned.save_pretrained(tmp_path / "adapter")
    settings = ChatConfig(client="local", model=str(folder), max_new_tokens=8, temperature=0.0)
    plain = dict(open_chat(settings, device="cpu", batch_tokens=512).complete(REQUESTS))
    adapted = open_chat(settings, device="cpu", batch_tokens=512, adapter=tmp_path / "adapter")
    assert dict(adapted.complete(REQUESTS)) != plain
    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        expected = tuned.eval()(ids).logits
        torch.testing.assert_close(adapted.model(ids).logits, expected)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_smollm2_answers_here_and_behind_an_endpoint():
    pytest.importorskip("gguf")
    settings = ChatConfig(client="local", model="bundled:smollm2-135m-instruct", max_new_tokens=8, temperature=0.0)
    assert chat_digest(settings.model).startswith("b179c9523d0e6a0f")
    here = open_chat(settings, device="cpu", batch_tokens=1024)
    requests = [
        Request("You are a helpful assistant.", "What is the capital of France?", 0),
        Request("You are a helpful assistant.", "What is the capital of Italy? Answer in one word.", 0),
    ]
    replies = dict(here.complete(requests))
    assert "Paris" in replies[0].text
    assert "Rome" in replies[1].text

    def answer(system: str, user: str, seed: int) -> str:
        return next(here.complete([Request(system, user, seed)]))[1].text

    with LlmServer(answer).serving() as server:
        behind = ChatConfig(model="smollm2", base_url=server.url, max_concurrency=1)
        served = dict(open_chat(behind, device="cpu", batch_tokens=1024).complete(requests))
    assert {n: reply.text for n, reply in served.items()} == {n: reply.text for n, reply in replies.items()}
