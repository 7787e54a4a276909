"""An LLM on this machine: transformers' generation from a folder or a GGUF file, with or without a LoRA adapter.

Shapes: B requests of a batch, T tokens, V vocabulary.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
)

from tasks.models.backbone import DTYPES, _quiet
from tasks.models.batches import length_buckets
from tasks.models.chat import Reply, Request
from tasks.models.chat.budget import Budget
from tasks.models.layout import Dtype
from tasks.models.memory import advised


class LocalChat:
    """A `ChatModel` through transformers: batches of like length, each request sampled by its own seed."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        *,
        temperature: float,
        max_new_tokens: int,
        batch_tokens: int,
        budget: Budget,
    ) -> None:
        """Answer with a loaded network; a batch holds `batch_tokens` tokens at most, prompts and replies together."""
        self.model = model
        self.tokenizer = tokenizer
        self.budget = budget
        self._temperature = temperature
        self._max_new_tokens = max_new_tokens
        self._batch_tokens = batch_tokens
        self._end_ids = _end_ids(model, tokenizer)
        self._pad_id: int = self._end_ids[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self._takes_system = _takes_system(tokenizer)

    def complete(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """Answer batch by batch, the longest prompts first; `ChatModel.complete`.

        A prompt that with its reply is longer than the network reads is refused: the reply says so.
        """
        prompts = [self._prompt(request) for request in requests]
        room = getattr(self.model.config, "max_position_embeddings", None)
        costs = [len(prompt) + self._max_new_tokens for prompt in prompts]
        fitting = [position for position, cost in enumerate(costs) if room is None or cost <= room]
        for position in sorted(set(range(len(requests))) - set(fitting)):
            text = f"refused: prompt and reply would have {costs[position]} tokens, the model reads {room}"
            yield position, Reply(text, 0, 0)
        for bucket in length_buckets([costs[position] for position in fitting], batch_tokens=self._batch_tokens):
            waiting = deque(fitting[number] for number in bucket)
            while waiting:
                batch = []
                while waiting and self.budget.admit(costs[waiting[0]]):
                    batch.append(waiting.popleft())
                replies = self._generate([requests[n] for n in batch], [prompts[n] for n in batch])
                for position, reply in zip(batch, replies, strict=True):
                    self.budget.settle(costs[position], reply.prompt_tokens + reply.completion_tokens)
                yield from zip(batch, replies, strict=True)

    def _prompt(self, request: Request) -> list[int]:
        roles = [("system", request.system), ("user", request.user)]
        if not self._takes_system:
            roles = [("user", f"{request.system}\n\n{request.user}")]
        messages = [{"role": role, "content": content} for role, content in roles]
        ids = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        return cast("list[int]", ids)

    @torch.inference_mode()
    def _generate(self, requests: Sequence[Request], prompts: Sequence[list[int]]) -> list[Reply]:
        longest = max(map(len, prompts))
        ids_BT = torch.tensor([[self._pad_id] * (longest - len(ids)) + ids for ids in prompts])  # ends side by side
        attention_BT = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts])
        processors = LogitsProcessorList()
        if self._temperature > 0:
            processors.append(SeededSampling(requests, self._temperature))
        what = f"LLM: expected a batch of {len(prompts)} x {longest + self._max_new_tokens} tokens"
        with advised(what, "Lower resources.batch_tokens."):
            output_BT = self.model.generate(  # type: ignore[operator]  # transformers mixes it in
                ids_BT.to(self.model.device),
                attention_mask=attention_BT.to(self.model.device),
                generation_config=GenerationConfig(  # type: ignore[no-untyped-call]  # transformers gives it no types
                    do_sample=False,
                    max_new_tokens=self._max_new_tokens,
                    eos_token_id=self._end_ids,
                    pad_token_id=self._pad_id,
                ),
                logits_processor=processors,
            )
        rows = output_BT[:, longest:].tolist()
        return [self._reply(len(prompt), row) for prompt, row in zip(prompts, rows, strict=True)]

    def _reply(self, prompt_tokens: int, row: list[int]) -> Reply:
        ends = [place for place, token in enumerate(row) if token in self._end_ids]
        reply = row[: ends[0] + 1] if ends else row
        return Reply(self.tokenizer.decode(reply, skip_special_tokens=True), prompt_tokens, len(reply))


class SeededSampling(LogitsProcessor):
    """Turn taking the likeliest token into sampling: Gumbel noise on the scaled logits.

    The largest of logits / temperature + Gumbel noise is distributed as a sample of the softmax. Each row's noise comes
    from a generator of its own, on the CPU, so that neither the batch nor the device changes it.
    """

    def __init__(self, requests: Sequence[Request], temperature: float) -> None:
        """Seed one generator per request by its prompt and seed."""
        self._temperature = temperature
        self._generators = [torch.Generator().manual_seed(request.number) for request in requests]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return the noisy logits [B, V] of one step."""
        size = scores.shape[-1]
        noise_BV = torch.stack([_gumbel(size, generator) for generator in self._generators])
        noisy_BV = scores.float() / self._temperature + noise_BV.to(scores.device)
        return cast("torch.FloatTensor", noisy_BV)


def _gumbel(size: int, generator: torch.Generator) -> Tensor:
    return -torch.empty(size).exponential_(generator=generator).log()


def load_chat_model(
    place: Path, *, device: str, dtype: Dtype = "float32", adapter: Path | None = None
) -> tuple[PreTrainedModel, Any]:
    """Load a causal language model and its tokenizer: no remote code, no network.

    Args:
        place: a GGUF file (turned into plain weights), or a folder with safetensors.
        device: `cpu`, `cuda` or one of several, as `cuda:1`.
        dtype: of the weights, in which it computes on any device.
        adapter: a folder with a LoRA adapter, as peft saves it; None: the model as it is.

    Raises:
        ImportError: a package of the extra `llm` is missing.
        ValueError: the model has no chat template.
    """
    is_file = place.is_file()
    source: dict[str, Any] = {"gguf_file": place.name} if is_file else {}
    folder = place.parent if is_file else place
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **source)
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=DTYPES[dtype],
                use_safetensors=None if is_file else True,
                local_files_only=True,
                trust_remote_code=False,
                **source,
            )
            if adapter is not None:
                model.load_adapter(str(adapter))
    except ImportError as error:
        raise ImportError(
            f"{place}: expected the packages of the extra 'llm', got: {error}. Run pip install 'polyloom[llm]'."
        ) from error
    if not tokenizer.chat_template:
        raise ValueError(
            f"{place}: expected a model with a chat template, got none. Choose an instruction-tuned model."
        )
    torch.nn.Module.to(model, device)
    return model, tokenizer  # from_pretrained has put it into eval mode


def _end_ids(model: PreTrainedModel, tokenizer: Any) -> list[int]:
    """Name the tokens that end a reply: the tokenizer's, and those of the model's own generation settings."""
    stated = getattr(model.generation_config, "eos_token_id", None)
    several = stated if isinstance(stated, list) else [stated]
    ids = sorted({token for token in [tokenizer.eos_token_id, *several] if token is not None})
    if not ids:
        raise ValueError(
            f"{type(model).__name__}: expected a token that ends a reply, got none. Choose an instruction-tuned model."
        )
    return ids


def _takes_system(tokenizer: Any) -> bool:
    """Say whether the chat template knows system messages; some refuse them."""
    messages = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    try:
        tokenizer.apply_chat_template(messages, tokenize=False)
    except TemplateError:
        return False
    return True
