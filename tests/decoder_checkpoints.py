"""Builders of tiny random decoders in the Hub's layout: embedders that pool the last token, and rerankers.

Their tensors are scaled so that outputs differ between texts, as in `checkpoints`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from tests.checkpoints import HAN, WORDS, write_json

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"

EMBEDDERS: Mapping[str, dict[str, Any]] = {
    "mistral": {"sliding_window": 24},
    "gemma2": {
        "sliding_window": 24,
        "query_pre_attn_scalar": 11,
        "attn_logit_softcapping": 3.0,
        "final_logit_softcapping": 5.0,
        "hidden_activation": "gelu_pytorch_tanh",
    },
    "qwen2": {"use_sliding_window": False, "sliding_window": 24, "max_window_layers": 2},
    "qwen3": {"head_dim": 12},
}
"""What each architecture's configuration says besides."""

_BIASED = {"qwen2"}
_NORMED = {"qwen3"}
_CENTRED = {"gemma", "gemma2", "cost_wise_gemma"}
_SANDWICH = {"gemma2", "cost_wise_gemma"}


def byte_tokenizer(*, bos: bool, eos: bool) -> Tokenizer:
    """A byte-level BPE tokenizer of a few merges, which adds the special tokens asked for."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS), "".join(HAN), *["Yes No A: B:"] * 9], trainer)
    template = f"{BOS} " * bos + "$A" + f" {EOS}" * eos
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, tokenizer.token_to_id(token)) for token in (BOS, EOS)]
    )
    return tokenizer


def decoder_config(architecture: str, vocabulary: int, **more: Any) -> dict[str, Any]:
    """A configuration as the architecture's publishers write it."""
    return {
        "model_type": architecture,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "hidden_act": "gelu_pytorch_tanh" if architecture in _CENTRED else "silu",
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "vocab_size": vocabulary,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": architecture in _CENTRED,
        "torch_dtype": "float32",
        **more,
    }


def decoder_tensors(config: Mapping[str, Any], seed: int) -> dict[str, np.ndarray]:
    """Random tensors by transformers' names of the backbone, without a prefix."""
    random = np.random.default_rng(seed)
    architecture, hidden, inner = config["model_type"], config["hidden_size"], config["intermediate_size"]
    heads, keys, width = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    tensors: dict[str, np.ndarray] = {}

    def normal(name: str, *shape: int, scale: float) -> None:
        tensors[name] = (random.standard_normal(shape) * scale).astype(np.float32)

    def linear(name: str, rows: int, columns: int, *, bias: bool = False) -> None:
        normal(f"{name}.weight", rows, columns, scale=1.5 / columns**0.5)
        if bias:
            normal(f"{name}.bias", rows, scale=0.3)

    def norm(name: str, size: int = hidden) -> None:
        normal(f"{name}.weight", size, scale=0.2)
        if architecture not in _CENTRED:
            tensors[f"{name}.weight"] += 1

    normal(
        "embed_tokens.weight", config["vocab_size"], hidden, scale=1 / hidden**0.5 if architecture in _CENTRED else 1.0
    )
    for number in range(config["num_hidden_layers"]):
        layer = f"layers.{number}"
        for part, count in (("q", heads), ("k", keys), ("v", keys)):
            linear(f"{layer}.self_attn.{part}_proj", count * width, hidden, bias=architecture in _BIASED)
        linear(f"{layer}.self_attn.o_proj", hidden, heads * width)
        if architecture in _NORMED:
            norm(f"{layer}.self_attn.q_norm", width)
            norm(f"{layer}.self_attn.k_norm", width)
        for part in ("gate", "up"):
            linear(f"{layer}.mlp.{part}_proj", inner, hidden)
        linear(f"{layer}.mlp.down_proj", hidden, inner)
        norm(f"{layer}.input_layernorm")
        norm(f"{layer}.post_attention_layernorm")
        if architecture in _SANDWICH:
            norm(f"{layer}.pre_feedforward_layernorm")
            norm(f"{layer}.post_feedforward_layernorm")
    norm("norm")
    return tensors


def tiny_decoder(folder: Path, architecture: str, *, seed: int = 0, padding_side: str = "left", **more: Any) -> Path:
    """A random embedder that pools the last token, loadable by sentence-transformers, transformers, FlagEmbedding."""
    tokenizer = byte_tokenizer(bos=not architecture.startswith("qwen"), eos=True)
    config = decoder_config(architecture, tokenizer.get_vocab_size(), **{**EMBEDDERS[architecture], **more})
    config["architectures"] = [
        {"mistral": "Mistral", "gemma2": "Gemma2", "qwen2": "Qwen2", "qwen3": "Qwen3"}[architecture] + "Model"
    ]
    _write(folder, config, decoder_tensors(config, seed), tokenizer, padding_side)
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(kinds.items())
        ],
    )
    write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": config["hidden_size"], "pooling_mode_lasttoken": True},
    )
    return folder


def tiny_yes_reranker(folder: Path, *, seed: int = 0) -> Path:
    """A random Gemma whose score is the logit of "Yes", as bge-reranker-v2-gemma."""
    tokenizer = byte_tokenizer(bos=True, eos=False)
    config = decoder_config("gemma", tokenizer.get_vocab_size(), architectures=["GemmaForCausalLM"])
    tensors = {f"model.{name}": tensor for name, tensor in decoder_tensors(config, seed).items()}
    return _write(folder, config, tensors, tokenizer, "right")


def tiny_layerwise_reranker(folder: Path, *, seed: int = 0, layers: int = 4, start: int = 2) -> Path:
    """A random MiniCPM with a head at each layer from one on, as bge-reranker-v2-minicpm-layerwise."""
    tokenizer = byte_tokenizer(bos=True, eos=False)
    config = decoder_config(
        "minicpm",
        tokenizer.get_vocab_size(),
        architectures=["LayerWiseMiniCPMForCausalLM"],
        rope_scaling=None,
        scale_emb=3,
        dim_model_base=8,
        scale_depth=1.4,
        num_hidden_layers=layers,
        start_layer=start,
        head_multi=True,
        head_type="simple",
    )
    del config["head_dim"]
    heads = range(config["start_layer"], config["num_hidden_layers"] + 1)
    return _write(folder, config, _with_heads({**config, "head_dim": 8}, len(heads), seed), tokenizer, "left")


def tiny_lightweight_reranker(folder: Path, *, seed: int = 0, layers: int = 4, start: int = 1) -> Path:
    """A random Gemma 2 with layer exits and token compression, as bge-reranker-v2.5-gemma2-lightweight."""
    tokenizer = byte_tokenizer(bos=True, eos=False)
    config = decoder_config(
        "cost_wise_gemma",
        tokenizer.get_vocab_size(),
        architectures=["CostWiseGemmaForCausalLM"],
        **EMBEDDERS["gemma2"],
        num_hidden_layers=layers,
        start_layer=start,
        layer_sep=1,
        layer_wise=True,
    )
    heads = range(config["start_layer"], config["num_hidden_layers"] + 1, config["layer_sep"])
    return _write(folder, config, _with_heads(config, len(heads), seed), tokenizer, "right")


def _with_heads(config: Mapping[str, Any], count: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed + 1000)
    tensors = {f"model.{name}": tensor for name, tensor in decoder_tensors(config, seed).items()}
    for number in range(count):
        head = random.standard_normal((1, config["hidden_size"])) * 0.5
        tensors[f"lm_head.{number}.linear_head.weight"] = head.astype(np.float32)
    return tensors


def _write(
    folder: Path, config: dict[str, Any], tensors: dict[str, np.ndarray], tokenizer: Tokenizer, padding_side: str
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": config["max_position_embeddings"],
            "padding_side": padding_side,
            "pad_token": PAD,
            "bos_token": BOS,
            "eos_token": EOS,
        },
    )
    return folder
