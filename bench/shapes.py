"""Checkpoints of published shapes with random weights, for speed and memory, which do not depend on the numbers."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_DTYPES = {"fp32": "F32", "fp16": "F16", "bf16": "BF16"}


@dataclass(frozen=True)
class Shape:
    """An XLM-RoBERTa's sizes.

    Attributes:
        architecture: the class that transformers has for it.
        layers: how many.
        hidden: numbers of a state.
        heads: of attention.
        max_tokens: of a text.
        vocabulary: words.
    """

    architecture: str
    layers: int
    hidden: int
    heads: int
    max_tokens: int
    vocabulary: int = 250_002


M3 = Shape("XLMRobertaModel", 24, 1024, 16, 8192)
RERANKER = Shape("XLMRobertaForSequenceClassification", 12, 768, 12, 512)


def write(folder: Path, shape: Shape, texts: Iterable[str], stored: str = "fp32") -> Path:
    """Write a checkpoint in the Hub's layout.

    Args:
        folder: where to.
        shape: of what sizes; an embedder gets M3's heads.
        texts: whose words the tokenizer shall know, one token each.
        stored: fp32, fp16 or bf16.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", _config(shape))
    _write_tokenizer(folder, shape, texts)
    _write_tensors(folder / "model.safetensors", dict(_shapes(shape)), stored)
    if shape.architecture == "XLMRobertaModel":
        for name, rows in (("sparse_linear", 1), ("colbert_linear", shape.hidden)):
            _write_head(folder / f"{name}.pt", rows, shape.hidden)  # FlagEmbedding reads no other form
        _write_modules(folder, shape)
    return folder


def _config(shape: Shape) -> dict[str, Any]:
    labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    return {
        "architectures": [shape.architecture],
        "model_type": "xlm-roberta",
        "hidden_size": shape.hidden,
        "intermediate_size": 4 * shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.max_tokens + 2,
        "vocab_size": shape.vocabulary,
        "type_vocab_size": 1,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "torch_dtype": "float32",
        **(labels if shape.architecture == RERANKER.architecture else {}),
    }


def _shapes(shape: Shape) -> Iterable[tuple[str, tuple[int, ...]]]:
    hidden, inner = shape.hidden, 4 * shape.hidden
    backbone = "" if shape.architecture == "XLMRobertaModel" else "roberta."
    yield f"{backbone}embeddings.word_embeddings.weight", (shape.vocabulary, hidden)
    yield f"{backbone}embeddings.position_embeddings.weight", (shape.max_tokens + 2, hidden)
    yield f"{backbone}embeddings.token_type_embeddings.weight", (1, hidden)
    linear = [
        *((f"attention.self.{part}", hidden, hidden) for part in ("query", "key", "value")),
        ("attention.output.dense", hidden, hidden),
        ("intermediate.dense", inner, hidden),
        ("output.dense", hidden, inner),
    ]
    norms = [f"{backbone}embeddings.LayerNorm"]
    for number in range(shape.layers):
        layer = f"{backbone}encoder.layer.{number}"
        for name, rows, columns in linear:
            yield f"{layer}.{name}.weight", (rows, columns)
            yield f"{layer}.{name}.bias", (rows,)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for norm in norms:
        yield f"{norm}.weight", (hidden,)
        yield f"{norm}.bias", (hidden,)
    if backbone:
        for name, rows in (("dense", hidden), ("out_proj", 1)):
            yield f"classifier.{name}.weight", (rows, hidden)
            yield f"classifier.{name}.bias", (rows,)


def _write_tensors(path: Path, shapes: Mapping[str, tuple[int, ...]], stored: str) -> None:
    """One tensor after the other, so that the model need not fit into memory twice."""
    width = 4 if stored == "fp32" else 2
    header, at = {}, 0
    for name, shape in shapes.items():
        size = width * int(np.prod(shape))
        header[name] = {"dtype": _DTYPES[stored], "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            file.write(_as_stored(_values(random, name, shape), stored).tobytes())


def _values(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    values = random.standard_normal(shape, np.float32)
    if name.endswith("LayerNorm.weight"):
        return 1 + values * np.float32(0.1)
    return values * np.float32(0.1 if len(shape) == 1 else shape[1] ** -0.5)


def _as_stored(values: NDArray[np.float32], stored: str) -> NDArray[Any]:
    if stored == "bf16":
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(np.float16 if stored == "fp16" else np.float32)


def _write_tokenizer(folder: Path, shape: Shape, texts: Iterable[str]) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    split = pre_tokenizers.BertPreTokenizer()
    words = dict.fromkeys(word for text in texts for word, _ in split.pre_tokenize_str(text))
    ids = {word: number for number, word in enumerate([*_SPECIAL, *words][: shape.vocabulary])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokenizer.pre_tokenizer = split
    tokenizer.add_special_tokens(list(_SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    tokens = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>"}
    stated = {f"{kind}_token": token for kind, token in tokens.items()}
    _write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": shape.max_tokens, **stated},
    )


def _write_modules(folder: Path, shape: Shape) -> None:
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    _write_json(
        folder / "modules.json",
        [
            {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for at, (kind, path) in enumerate(kinds.items())
        ],
    )
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {"word_embedding_dimension": shape.hidden, "pooling_mode_cls_token": True}
    _write_json(folder / "1_Pooling" / "config.json", pooling)


def _write_head(path: Path, rows: int, hidden: int) -> None:
    import torch

    random = np.random.default_rng(rows)
    weight, bias = _values(random, "", (rows, hidden)), _values(random, "", (rows,))
    torch.save({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}, path)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
