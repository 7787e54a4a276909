"""Training steps on one GPU: plain and cached, at batches of 24, 256 and 4096, beside sentence-transformers'.

    python benchmarks/gpu.py                 # an XLM-R-base-sized encoder; needs CUDA
    python benchmarks/gpu.py --smoke         # the same on a CPU with a tiny encoder: only to see that it runs

Carries all it needs: weights are drawn at random, texts are made of invented words, no hub is asked. Each side trains
in a process of its own, in bf16; the first step is not counted. FLOP: 6 per weight outside the embeddings and token,
and 12 per layer, hidden size and token for each token that it attends to; padding and the cache's second forward pass
count as nothing, so that the share of peak is of useful work.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import XLMRobertaConfig, XLMRobertaModel

from tasks.models.backbone import save_backbone
from tasks.models.layout import write_layout, write_tokenizer_config

HERE = Path(__file__).parent
SIDES = ("ours plain", "ours cached", "theirs plain", "theirs cached")
NEGATIVES = 7
SPECIAL = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>"}
PEAK_TFLOPS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "4090": 165}  # dense bf16
out = Console(width=150, highlight=False)


def main() -> None:
    """Run every side at every batch size, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="on a CPU, tiny: proves nothing about speed")
    parser.add_argument("--batches", type=int, nargs="*", default=[24, 256, 4096])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--sides", nargs="*", default=SIDES)
    parser.add_argument("--peak-tflops", type=float, help="of the GPU in dense bf16, where its name is not known here")
    options = parser.parse_args()
    if not options.smoke and not torch.cuda.is_available():
        sys.exit("gpu.py: expected a CUDA device, got none. Nothing was measured; --smoke runs it on a CPU to test it.")
    device = "cpu" if options.smoke else "cuda"
    name = "CPU (smoke test: these figures say nothing)" if options.smoke else torch.cuda.get_device_name()
    peak = options.peak_tflops or next((flops for key, flops in PEAK_TFLOPS.items() if key in name), None)
    table = Table("batch", "side", "queries/s", "tokens/s", "share of peak", "peak GB", title=name)
    for batch in [4] if options.smoke else options.batches:
        with tempfile.TemporaryDirectory() as folder:
            shape = write_inputs(Path(folder), num_rows=batch * options.steps, smoke=options.smoke)
            for side in options.sides:
                table.add_row(str(batch), side, *measure(side, Path(folder), batch, device, shape, peak))
    out.print(table)


def write_inputs(folder: Path, *, num_rows: int, smoke: bool) -> dict[str, float]:
    """Write a random encoder and rows of invented words; return what the arithmetic needs."""
    num_words, layers, hidden = (200, 2, 32) if smoke else (50_000, 12, 768)
    vocabulary = {name: number for number, name in enumerate(SPECIAL.values())}
    vocabulary |= {f"w{number}": len(vocabulary) + number for number in range(num_words)}
    config = XLMRobertaConfig(
        vocab_size=len(vocabulary) if smoke else 250_002,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 16 if smoke else 12,
        intermediate_size=4 * hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(0)
    backbone = XLMRobertaModel(config, add_pooling_layer=False)
    save_backbone(backbone, folder / "encoder")
    _write_tokenizer(folder / "encoder", vocabulary, hidden)
    rng = random.Random(0)
    query_words, document_words = (4, 10) if smoke else (12, 110)
    tokens = squares = 0.0
    lines = []
    for _ in range(num_rows):
        lengths = [_draw(rng, query_words, 60), *(_draw(rng, document_words, 250) for _ in range(1 + NEGATIVES))]
        query, positive, *negatives = (_words(rng, length, num_words) for length in lengths)
        lines.append(json.dumps({"query": query, "positive": positive, "negatives": negatives}))
        tokens += sum(length + 2 for length in lengths)
        squares += sum((length + 2) ** 2 for length in lengths)
    (folder / "rows.jsonl").write_text("\n".join(lines))
    weights = sum(p.numel() for name, p in backbone.named_parameters() if "embeddings" not in name)
    flop = 6 * weights * tokens + 12 * layers * hidden * squares
    return {"tokens_per_query": tokens / num_rows, "flop_per_query": flop / num_rows}


def measure(
    side: str, folder: Path, batch: int, device: str, shape: dict[str, float], peak: float | None
) -> tuple[str, str, str, str]:
    """Train in a process of its own; return the cells of a row."""
    who, mode = side.split()
    at_once = 0 if who == "ours" else min(32, batch)
    done = subprocess.run(
        [sys.executable, str(HERE / f"train_{who}.py"), *map(str, (folder, batch, 64, 256, at_once, mode, device))],
        env=os.environ | {"PYTHONPATH": f"{HERE.parent}:{HERE}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "out of memory" in done.stderr.lower():
        return "out of memory", "", "", ""
    if done.returncode:
        raise RuntimeError(f"{side}: expected a measurement, got exit status {done.returncode}:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    times = [wall for wall, _ in result["times"]]
    queries = batch / statistics.median(b - a for a, b in zip(times[1:], times[2:], strict=False))
    share = f"{queries * shape['flop_per_query'] / (peak * 1e12):.1%}" if peak else "unknown"
    return f"{queries:.1f}", f"{queries * shape['tokens_per_query']:.0f}", share, f"{result['peak_mb'] / 1e3:.2f}"


def _write_tokenizer(folder: Path, vocabulary: dict[str, int], hidden: int) -> None:
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    write_tokenizer_config(folder, max_tokens=512, special_tokens=SPECIAL)
    write_layout(folder, hidden_size=hidden, max_tokens=512, pooling="mean", query_prompt="", document_prompt="")


def _draw(rng: random.Random, median: int, longest: int) -> int:
    """Draw a length: texts are many times as long as others, as in real corpora."""
    return max(1, min(longest, round(median * rng.lognormvariate(0, 0.6))))


def _words(rng: random.Random, length: int, num_words: int) -> str:
    return " ".join(f"w{rng.randrange(num_words)}" for _ in range(length))


if __name__ == "__main__":
    main()
