"""A plain ONNX export of a BERT, written as a checkpoint in the Hub's layout.

Such an export keeps the PyTorch names of embedding tables, biases and LayerNorms; the weight of a Linear is the
transposed constant of the MatMul that is called after its module. sentence-transformers and transformers load what is
written.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from beige.errors import CheckpointError
from beige.models.card import ModelCard
from beige.models.layout import CONFIG, LENGTH, POOLING_FLAGS, PROMPTS, TOKENIZER, TOKENIZER_CONFIG, read_json
from beige.models.modules import MODULES
from beige.models.tensors import WEIGHTS
from beige.values import Floats

_TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")
_LINEARS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
_NORMS = ("attention.output.LayerNorm", "output.LayerNorm")
_SPECIAL = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
_POOLING_MODES = {"cls": "cls", "mean": "mean", "last": "lasttoken"}


def import_onnx(onnx: Path, tokenizer: Path, card: ModelCard, heads: int, folder: Path) -> None:
    """Write a checkpoint.

    Args:
        onnx: the export; its tensors must be those of a BERT without pooler, none missing and none left over.
        tokenizer: its `tokenizer.json`.
        card: tells pooling, templates and length, which the export does not.
        heads: attention heads, which no tensor's shape tells.
        folder: where to write; made if it is missing.

    Raises:
        CheckpointError: the export is damaged, or is not that of a BERT; the text names the tensors.
    """
    from safetensors.numpy import save_file

    tensors = read_onnx(onnx)
    config = _config(onnx, tensors, heads)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    for name, content in _described(card, config, read_json(tokenizer)).items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2) + "\n"
        file.write_text(text, encoding="utf-8")
    shutil.copyfile(tokenizer, folder / TOKENIZER)
    shutil.copymode(folder / TOKENIZER, folder / WEIGHTS)  # safetensors writes for the owner alone


def read_onnx(onnx: Path) -> dict[str, Floats]:
    """The trained tensors of an ONNX export, by their PyTorch names; a Linear's weight is (outputs, inputs).

    Raises:
        CheckpointError: the file is damaged.
    """
    from beige._openvino import ov

    try:
        operations = ov.Core().read_model(onnx).get_ordered_ops()
    except RuntimeError as error:
        raise CheckpointError(f"{onnx} is no readable ONNX file: fetch it again") from error
    tensors: dict[str, Floats] = {}
    for operation in operations:
        if operation.get_type_name() != "Constant":
            continue
        name = operation.get_friendly_name()
        users = [user.get_node() for user in operation.output(0).get_target_inputs()]
        matmul = next((user for user in users if user.get_type_name() == "MatMul"), None)
        if matmul is not None:
            module = matmul.get_friendly_name().removeprefix("/").removesuffix("/MatMul").replace("/", ".")
            tensors[f"{module}.weight"] = np.array(operation.data.T, np.float32, order="C")
        elif re.fullmatch(r"(embeddings|encoder)\..+\.(weight|bias)", name):
            tensors[name] = np.array(operation.data, np.float32)
    return tensors


def _config(onnx: Path, tensors: Mapping[str, Floats], heads: int) -> dict[str, Any]:
    """The configuration that the tensors' shapes tell, once they are known to be a whole BERT's."""
    layers = {int(found[1]) for name in tensors if (found := re.match(r"encoder\.layer\.(\d+)\.", name))}
    expected = set(_bert_names(len(layers)))
    if missing := sorted(expected - tensors.keys()):
        raise CheckpointError(f"{onnx} is not the export of a BERT: it lacks {', '.join(missing[:3])}")
    if surplus := sorted(tensors.keys() - expected):
        raise CheckpointError(f"{onnx} is not the export of a BERT: it also holds {', '.join(surplus[:3])}")
    (words, hidden), (positions, _), (types, _) = (tensors[f"embeddings.{table}.weight"].shape for table in _TABLES)
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": hidden,
        "intermediate_size": tensors["encoder.layer.0.intermediate.dense.bias"].shape[0],
        "num_hidden_layers": len(layers),
        "num_attention_heads": heads,
        "max_position_embeddings": positions,
        "vocab_size": words,
        "type_vocab_size": types,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "pad_token_id": 0,
        "torch_dtype": "float32",
    }


def _bert_names(layers: int) -> Iterator[str]:
    modules = [f"embeddings.{table}" for table in _TABLES]
    yield from (f"{module}.weight" for module in modules)
    modules = ["embeddings.LayerNorm"]
    modules += [f"encoder.layer.{layer}.{part}" for layer in range(layers) for part in (*_LINEARS, *_NORMS)]
    yield from (f"{module}.{kind}" for module in modules for kind in ("weight", "bias"))


def _described(card: ModelCard, config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """Every file of the Hub's layout besides the weights and the tokenizer, by its path in the folder."""
    words = tokenizer["model"]["vocab"]
    normalizer = tokenizer.get("normalizer") or {}
    special = {token: f"[{token.removesuffix('_token').upper()}]" for token in _SPECIAL}
    mode = _POOLING_MODES[card.pooling or "cls"]
    kinds = ("Transformer", "Pooling", "Normalize")
    folders = ("", "1_Pooling", "2_Normalize")
    return {
        CONFIG: dict(config),
        TOKENIZER_CONFIG: {
            "tokenizer_class": "BertTokenizer",
            "model_max_length": card.max_tokens,
            "do_lower_case": normalizer.get("lowercase", True),
            "strip_accents": normalizer.get("strip_accents"),
            "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
            **special,
        },
        "special_tokens_map.json": special,
        "vocab.txt": "".join(f"{word}\n" for word in sorted(words, key=words.__getitem__)),
        MODULES: [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (path, kind) in enumerate(zip(folders, kinds, strict=True))
        ],
        f"1_Pooling/{CONFIG}": {
            "word_embedding_dimension": config["hidden_size"],
            **{flag: stated == mode for flag, stated in POOLING_FLAGS.items()},
        },
        f"2_Normalize/{CONFIG}": {},
        LENGTH: {"max_seq_length": card.max_tokens, "do_lower_case": False},
        PROMPTS: {
            "prompts": {role: template.removesuffix("{text}") for role, template in card.templates.items()},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    }
