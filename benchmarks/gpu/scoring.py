"""Scoring pairs with a cross-encoder: this project's and sentence-transformers', in bf16."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from inputs import MAX_TOKENS, Call, forward_flop
from sentence_transformers import CrossEncoder

from tasks.models.pair_classifier import PairClassifier

Pairs = list[tuple[str, str]]


def main() -> None:
    """Measure both."""
    call = Call()
    folder = call.write_encoder("classifier", classifier=True)
    passages = call.passages(10_000 if call.on_gpu else 32)
    pairs = [(passage[:40], passage) for passage in passages]
    tokenizer = CrossEncoder(str(folder), device="cpu", local_files_only=True).tokenizer
    encoded = tokenizer(*map(list, zip(*pairs, strict=True)), truncation="only_second", max_length=MAX_TOKENS)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    flop = forward_flop(call.layers, call.hidden, lengths) / len(pairs)
    call.record("pairs", number=len(pairs), tokens=sum(lengths) / len(pairs), flop=flop)
    for batch_tokens in (16_384, 65_536) if call.on_gpu else (2048,):
        call.attempt("score", partial(_ours, call, folder, pairs, batch_tokens), side="ours", batch=batch_tokens)
    for batch in (32, 256) if call.on_gpu else (32,):  # 32 is its default
        call.attempt("score", partial(_theirs, call, folder, pairs, batch), side="theirs", batch=batch)


def _ours(call: Call, folder: Path, pairs: Pairs, batch_tokens: int) -> dict[str, Any]:
    judge = PairClassifier.load(folder, device=call.device, dtype=torch.bfloat16)
    lengths = {"max_query_tokens": 64, "max_document_tokens": MAX_TOKENS - 64}
    score = partial(judge.score_pairs, batch_tokens=batch_tokens, **lengths)
    score(pairs[: len(pairs) // 10])
    return {"per_second": len(pairs) / call.seconds(lambda: score(pairs))}


def _theirs(call: Call, folder: Path, pairs: Pairs, batch: int) -> dict[str, Any]:
    kwargs = {"dtype": torch.bfloat16}
    model = CrossEncoder(
        str(folder), device=call.device, local_files_only=True, max_length=MAX_TOKENS, model_kwargs=kwargs
    )
    score = partial(model.predict, batch_size=batch, show_progress_bar=False)
    score(pairs[: len(pairs) // 10])
    return {"per_second": len(pairs) / call.seconds(lambda: score(pairs))}


if __name__ == "__main__":
    main()
