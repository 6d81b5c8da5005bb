"""Builders of tiny random XLM-RoBERTa checkpoints in the Hub's layout: bge-m3 with its heads, and rerankers.

Their tensors are scaled so that outputs differ between texts, as in `checkpoints`.
"""

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from tests.checkpoints import HAN, LETTERS, WORDS, bert_tensors, tiny_bert, write_json, write_sentence_transformers

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def unigram_tokenizer() -> Tokenizer:
    """A Unigram tokenizer as XLM-RoBERTa's: `<s> text </s>`, pairs with two `</s>` between."""
    pieces = [*SPECIAL, "▁", *("▁" + word for word in WORDS), *LETTERS, *string.ascii_uppercase, *HAN, "<mask>"]
    scores = {piece: -1.0 - number / len(pieces) for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.Unigram(list(scores.items()), unk_id=SPECIAL.index("<unk>"), byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([*SPECIAL, "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")],
    )
    return tokenizer


def xlmr_config(vocabulary: int, max_tokens: int, **more: Any) -> dict[str, Any]:
    """A configuration as transformers writes it for XLM-RoBERTa."""
    return {
        "model_type": "xlm-roberta",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": max_tokens + 2,
        "vocab_size": vocabulary,
        "type_vocab_size": 1,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "torch_dtype": "float32",
        **more,
    }


def tiny_m3(folder: Path, *, max_tokens: int = 128, seed: int = 0) -> Path:
    """A random M3 as its publisher lays it out: weights and both heads in files that torch saved."""
    import torch

    tokenizer = unigram_tokenizer()
    config = xlmr_config(tokenizer.get_vocab_size(), max_tokens, architectures=["XLMRobertaModel"])
    _write(folder, config, tokenizer, max_tokens)
    tensors = {name: torch.from_numpy(tensor) for name, tensor in bert_tensors(config, seed).items()}
    torch.save(tensors, folder / "pytorch_model.bin")
    random = np.random.default_rng(seed + 1)
    hidden = config["hidden_size"]
    for file, rows in (("sparse_linear.pt", 1), ("colbert_linear.pt", hidden)):
        weight = (random.standard_normal((rows, hidden)) * 1.5 / hidden**0.5).astype(np.float32)
        bias = (random.standard_normal(rows) * 0.1 + (rows == 1)).astype(np.float32)  # most words weigh something
        torch.save({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}, folder / file)
    write_sentence_transformers(folder, hidden, "cls", max_tokens)
    return folder


def tiny_reranker(folder: Path, *, max_tokens: int = 128, seed: int = 0) -> Path:
    """A random cross-encoder, as bge-reranker-v2-m3."""
    tokenizer = unigram_tokenizer()
    config = xlmr_config(
        tokenizer.get_vocab_size(),
        max_tokens,
        architectures=["XLMRobertaForSequenceClassification"],
        id2label={"0": "LABEL_0"},
        label2id={"LABEL_0": 0},
    )
    _write(folder, config, tokenizer, max_tokens)
    tensors = {f"roberta.{name}": tensor for name, tensor in bert_tensors(config, seed).items() if "pooler" not in name}
    random = np.random.default_rng(seed + 1)
    hidden = config["hidden_size"]
    for part, rows in (("dense", hidden), ("out_proj", 1)):
        tensors[f"classifier.{part}.weight"] = (random.standard_normal((rows, hidden)) * 2 / hidden**0.5).astype("f4")
        tensors[f"classifier.{part}.bias"] = (random.standard_normal(rows) * 0.1).astype("f4")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def tiny_bert_reranker(folder: Path, *, max_tokens: int = 128, seed: int = 0) -> Path:
    """A random cross-encoder over BERT with two token types, as sentence-transformers' MS MARCO ones."""
    tiny_bert(folder, max_tokens=max_tokens, seed=seed)
    for name in ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    (folder / "1_Pooling").rmdir()
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
    }
    write_json(folder / "config.json", config)
    tensors = {f"bert.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    random = np.random.default_rng(seed + 1)
    tensors["classifier.weight"] = (random.standard_normal((1, config["hidden_size"])) * 0.5).astype("f4")
    tensors["classifier.bias"] = np.array([0.1], "f4")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _write(folder: Path, config: dict[str, Any], tokenizer: Tokenizer, max_tokens: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "XLMRobertaTokenizer",
            "model_max_length": max_tokens,
            "bos_token": "<s>",
            "cls_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "mask_token": "<mask>",
            "model_input_names": ["input_ids", "attention_mask"],
        },
    )
