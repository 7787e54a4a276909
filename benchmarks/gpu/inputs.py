"""What the parts of the call share: device, sizes, random weights, passages, and where results go."""

import argparse
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification, XLMRobertaModel

from tasks.models.backbone import save_backbone
from tasks.models.layout import read_json, write_layout

PEAK_TFLOPS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "4090": 165}  # dense bf16, published
MAX_TOKENS = 256
LAYERS, HIDDEN = 12, 768  # XLM-R base


class Call:
    """The options of a part, and its results."""

    def __init__(self) -> None:
        """Read them from the command line."""
        parser = argparse.ArgumentParser()
        for name in ("--carry", "--out"):
            parser.add_argument(name, type=Path, required=True)
        parser.add_argument("--device", required=True)
        options = parser.parse_args()
        self.carry, self.out, self.device = options.carry, options.out, options.device
        self.on_gpu = self.device != "cpu"
        self.layers, self.hidden = (LAYERS, HIDDEN) if self.on_gpu else (2, 32)

    def record(self, what: str, **figures: Any) -> None:
        """Append a result, at once: what comes later may fail."""
        with (self.out / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"what": what, **figures}) + "\n")

    def attempt(self, what: str, measure: Callable[[], dict[str, Any]], **facts: Any) -> None:
        """Record what a measurement gives, or why it gave nothing: the others go on."""
        try:
            figures = measure()
        except Exception as error:  # any: this one is recorded, and the next may work
            figures = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        self.record(what, **facts, **figures)
        if self.on_gpu:
            torch.cuda.empty_cache()

    def passages(self, number: int) -> list[str]:
        """Return so many, from the beginning again where there are fewer."""
        found: list[str] = json.loads((self.carry / "passages.json").read_text(encoding="utf-8"))
        return [found[place % len(found)] for place in range(number)]

    def seconds(self, work: Callable[[], Any]) -> float:
        """Return how long some work takes, the device's part of it included."""
        self.wait()
        begin = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - begin

    def wait(self) -> None:
        """Wait for the device."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def write_encoder(self, name: str, *, classifier: bool = False) -> Path:
        """Write a random encoder, or cross-encoder, with the carried tokenizer."""
        folder = self.out / name
        folder.mkdir(exist_ok=True)
        tokenizer = self.carry / "tokenizer"
        shutil.copytree(tokenizer, folder, dirs_exist_ok=True)
        config = XLMRobertaConfig(
            vocab_size=len(read_json(tokenizer / "tokenizer.json")["model"]["vocab"]) + 8,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.hidden // 64 or 2,
            intermediate_size=4 * self.hidden,
            max_position_embeddings=514,
            type_vocab_size=1,
            pad_token_id=1,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            num_labels=1,
        )
        torch.manual_seed(0)
        if classifier:
            XLMRobertaForSequenceClassification(config).save_pretrained(folder)
            return folder
        save_backbone(XLMRobertaModel(config, add_pooling_layer=False), folder)
        write_layout(
            folder,
            hidden_size=self.hidden,
            max_tokens=512,
            pooling="mean",
            query_prompt="query: ",
            document_prompt="passage: ",
        )
        return folder


def forward_flop(layers: int, hidden: int, lengths: list[int]) -> float:
    """FLOP of texts' forward pass: 2 per weight outside the embeddings and token, and the attention's products."""
    return sum(24 * layers * hidden**2 * length + 4 * layers * hidden * length**2 for length in lengths)
