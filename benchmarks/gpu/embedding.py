"""Embedding from texts to vectors on the CPU: this project's encoder and sentence-transformers', fp32 and bf16."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from inputs import MAX_TOKENS, Call, forward_flop
from sentence_transformers import SentenceTransformer

from tasks.models.encoder import Encoder

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    """Measure each type and batch size of both sides."""
    call = Call()
    folder = call.write_encoder("encoder")
    number = 20_000 if call.on_gpu else 64
    texts = call.passages(number)
    ids = Encoder.load(folder, device="cpu").tokenize(texts[:number], role="document", max_tokens=MAX_TOKENS)
    lengths = [len(one) for one in ids]
    flop = forward_flop(call.layers, call.hidden, lengths) / number
    call.record("documents", number=number, tokens=sum(lengths) / number, flop=flop)
    for dtype in ("bf16", "fp32"):
        some = texts if dtype == "bf16" else texts[: number // 4]
        some_tokens = sum(lengths[: len(some)])
        for batch_tokens in (16_384, 65_536, 131_072) if call.on_gpu else (2048,):
            ours = partial(_ours, call, folder, some, dtype, batch_tokens)
            call.attempt(
                "embed", ours, side="ours", dtype=dtype, batch=batch_tokens, tokens_each=some_tokens / len(some)
            )
        for batch in (32, 256) if call.on_gpu else (32,):  # 32 is its default
            theirs = partial(_theirs, call, folder, some, dtype, batch)
            call.attempt("embed", theirs, side="theirs", dtype=dtype, batch=batch, tokens_each=some_tokens / len(some))


def _ours(call: Call, folder: Path, texts: list[str], dtype: str, batch_tokens: int) -> dict[str, Any]:
    encoder = Encoder.load(folder, device=call.device, dtype=DTYPES[dtype])
    embed = partial(encoder.embed, role="document", max_tokens=MAX_TOKENS, batch_tokens=batch_tokens)
    embed(texts[: len(texts) // 10])
    return {"per_second": len(texts) / call.seconds(lambda: embed(texts))}


def _theirs(call: Call, folder: Path, texts: list[str], dtype: str, batch: int) -> dict[str, Any]:
    kwargs = {"dtype": DTYPES[dtype]}
    model = SentenceTransformer(str(folder), device=call.device, local_files_only=True, model_kwargs=kwargs)
    model.max_seq_length = MAX_TOKENS
    embed = partial(model.encode, prompt_name="document", batch_size=batch, show_progress_bar=False)
    embed(texts[: len(texts) // 10])
    return {"per_second": len(texts) / call.seconds(lambda: embed(texts))}


if __name__ == "__main__":
    main()
