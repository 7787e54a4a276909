"""A tiny, randomly initialised BERT encoder in the layout of the real ones, so that unit tests run real models."""

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from tasks.models.layout import Pooling, write_layout

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # ids 0 to 3, as in XLM-R


def write_tiny_encoder(
    folder: Path,
    *,
    texts: Iterable[str] = (),
    hidden: int = 32,
    layers: int = 2,
    seed: int = 0,
    max_tokens: int = 128,
    pooling: Pooling = "mean",
    query_prompt: str = "query: ",
    document_prompt: str = "passage: ",
) -> Path:
    """Write the model folder and return it. Same arguments, same bytes.

    Each word of `texts` is one piece, each character too; all else is spelled in bytes, so any text can be
    encoded. Word vectors are large beside the rest of the network: texts that share words have a high cosine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer([query_prompt, document_prompt, *texts], max_tokens=max_tokens)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=max_tokens,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(config, add_pooling_layer=False)
        with torch.no_grad():
            model.embeddings.word_embeddings.weight *= 10.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_layout(
        folder,
        hidden_size=hidden,
        max_tokens=max_tokens,
        pooling=pooling,
        query_prompt=query_prompt,
        document_prompt=document_prompt,
    )
    return folder


def _tokenizer(texts: list[str], *, max_tokens: int) -> PreTrainedTokenizerFast:
    words = sorted({"▁" + word for text in texts for word in text.split()})
    characters = sorted({character for word in words for character in word} | {"▁"})
    pieces = [(piece, 0.0) for piece in SPECIAL]
    pieces += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    pieces += [(character, -10.0) for character in characters]
    pieces += [(word, -1.0) for word in words if len(word) > 1]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=True))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=max_tokens,
        model_input_names=["input_ids", "attention_mask"],
    )
