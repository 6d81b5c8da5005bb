"""Builders of tiny random checkpoints of learned sparse retrieval, as sentence-transformers' SparseEncoder saves them.

Their tensors are scaled so that outputs differ between texts, as in `checkpoints`.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.checkpoints import tiny_bert, vocabulary, write_json

_MODULES = "sentence_transformers.sparse_encoder.modules"
_TRANSFORMER = "sentence_transformers.base.modules.transformer.Transformer"

_KIND = {"model_type": "SparseEncoder", "prompts": {"query": "", "document": ""}}


def tiny_splade(folder: Path, *, activation: str = "relu", seed: int = 0) -> Path:
    """A random BERT with its masked-language head."""
    _masked_bert(folder, seed)
    kinds = {"": _TRANSFORMER, "1_SpladePooling": f"{_MODULES}.splade_pooling.SpladePooling"}
    modules = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(kinds.items())]
    write_json(folder / "modules.json", modules)
    write_json(folder / "1_SpladePooling" / "config.json", _pooling(activation))
    write_json(folder / "config_sentence_transformers.json", _KIND)
    return folder


def tiny_doc_only(folder: Path, *, seed: int = 0) -> Path:
    """The same for documents, and a table of weights for queries, as opensearch's doc-only models."""
    folder.mkdir(parents=True, exist_ok=True)
    document, pooling, query = "document_0_Transformer", "document_1_SpladePooling", "query_0_SparseStaticEmbedding"
    _masked_bert(folder / document, seed)
    (folder / query).mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / document / name, folder / query / name)
    table = np.random.default_rng(seed).uniform(0.1, 5, len(vocabulary())).astype(np.float32)
    table[:5] = 0  # special tokens weigh nothing
    save_file({"weight": table}, folder / query / "model.safetensors")
    write_json(folder / query / "config.json", {"frozen": False})
    write_json(folder / pooling / "config.json", _pooling("relu"))
    types = {
        query: f"{_MODULES}.sparse_static_embedding.SparseStaticEmbedding",
        document: _TRANSFORMER,
        pooling: f"{_MODULES}.splade_pooling.SpladePooling",
    }
    structure = {"query": [query], "document": [document, pooling]}
    parameters = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
    write_json(folder / "router_config.json", {"types": types, "structure": structure, "parameters": parameters})
    router = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.router.Router"}
    write_json(folder / "modules.json", [router])
    write_json(folder / "config_sentence_transformers.json", _KIND)
    return folder


def _pooling(activation: str) -> dict[str, object]:
    return {"pooling_strategy": "max", "activation_function": activation, "embedding_dimension": None}


def _masked_bert(folder: Path, seed: int) -> None:
    tiny_bert(folder, seed=seed)
    for name in ("modules.json", "1_Pooling"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["BertForMaskedLM"]}
    write_json(folder / "config.json", config)
    hidden, words = config["hidden_size"], config["vocab_size"]
    random = np.random.default_rng(seed + 1)
    tensors = {
        f"bert.{name}": tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
        if not name.startswith("pooler")
    }
    head = "cls.predictions"
    tensors[f"{head}.transform.dense.weight"] = random.standard_normal((hidden, hidden)).astype("f4") / hidden**0.5
    tensors[f"{head}.transform.dense.bias"] = random.standard_normal(hidden).astype("f4") * np.float32(0.1)
    tensors[f"{head}.transform.LayerNorm.weight"] = np.ones(hidden, np.float32)
    tensors[f"{head}.transform.LayerNorm.bias"] = np.zeros(hidden, np.float32)
    tensors[f"{head}.bias"] = random.standard_normal(words).astype("f4") - np.float32(8)  # most words weigh nothing
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(
        folder / "sentence_bert_config.json",
        {
            "transformer_task": "fill-mask",
            "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
            "module_output_name": "token_embeddings",
        },
    )
