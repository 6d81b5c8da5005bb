"""Builders of tiny random checkpoints in the Hub's layout, with numpy and safetensors alone.

Their tensors are scaled so that outputs differ between texts: a parity test that passes on constant outputs is no test.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (
    "the a of and to in is was for on with as by at from it an be this that which query document vector search index "
    "model "
    "light speed water stone river mountain paper engine wing flow heat plate pressure boundary layer"
).split()
LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789") + list(".,!?;:'\"()-")
HAN = list("中文信息检索模型向量文本查询的是在有人这个学习语言")


def vocabulary() -> dict[str, int]:
    """Special tokens, words, single letters and their continuations, some Han characters."""
    pieces = [*SPECIAL, *WORDS, *LETTERS, *("##" + letter for letter in LETTERS), *HAN]
    return {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}


def wordpiece_tokenizer(max_tokens: int) -> Tokenizer:
    """A lower-casing WordPiece tokenizer as BERT's, `[CLS] text [SEP]`."""
    words = vocabulary()
    tokenizer = Tokenizer(models.WordPiece(words, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", words["[CLS]"]), ("[SEP]", words["[SEP]"])],
    )
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def bert_tensors(config: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
    """Random tensors of a `BertModel`, by transformers' names."""
    random = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]

    def matrix(rows: int, columns: int, scale: float) -> np.ndarray:
        return (random.standard_normal((rows, columns)) * scale).astype(np.float32)

    def vector(length: int) -> np.ndarray:
        return (random.standard_normal(length) * 0.1).astype(np.float32)

    tensors: dict[str, np.ndarray] = {}

    def linear(name: str, rows: int, columns: int) -> None:
        tensors[f"{name}.weight"] = matrix(rows, columns, 1.5 / columns**0.5)
        tensors[f"{name}.bias"] = vector(rows)

    def norm(name: str) -> None:
        tensors[f"{name}.weight"] = 1 + vector(hidden)
        tensors[f"{name}.bias"] = vector(hidden)

    for table, rows in (
        ("word_embeddings", config["vocab_size"]),
        ("position_embeddings", config["max_position_embeddings"]),
        ("token_type_embeddings", config["type_vocab_size"]),
    ):
        tensors[f"embeddings.{table}.weight"] = matrix(rows, hidden, 1.0)
    norm("embeddings.LayerNorm")
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", hidden, hidden)
        linear(f"{layer}.attention.output.dense", hidden, hidden)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", inner, hidden)
        linear(f"{layer}.output.dense", hidden, inner)
        norm(f"{layer}.output.LayerNorm")
    linear("pooler.dense", hidden, hidden)
    return tensors


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")


def write_sentence_transformers(folder: Path, dimension: int, pooling: str, max_tokens: int) -> None:
    """`modules.json`, `1_Pooling` and the rest, as sentence-transformers writes them; pooling is "cls" or "mean"."""
    kinds = ("Transformer", "Pooling", "Normalize")
    paths = ("", "1_Pooling", "2_Normalize")
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(zip(paths, kinds, strict=True))
        ],
    )
    write_json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": dimension,
            "pooling_mode_cls_token": pooling == "cls",
            "pooling_mode_mean_tokens": pooling == "mean",
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens, "do_lower_case": False})


def tiny_bert(
    folder: Path,
    *,
    pooling: str = "cls",
    hidden: int = 32,
    layers: int = 3,
    heads: int = 4,
    max_tokens: int = 128,
    seed: int = 0,
) -> Path:
    """A random BERT embedder in the Hub's layout, loadable by sentence-transformers and transformers."""
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": max_tokens,
        "vocab_size": len(vocabulary()),
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "pad_token_id": 0,
        "torch_dtype": "float32",
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    save_file(bert_tensors(config, seed), folder / "model.safetensors", metadata={"format": "pt"})
    wordpiece_tokenizer(max_tokens).save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_tokens,
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
    )
    write_sentence_transformers(folder, hidden, pooling, max_tokens)
    return folder
