"""The files of a checkpoint in the Hub's layout: their names, and what they say of pooling, length and prompts."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beige.errors import CheckpointError
from beige.models.card import Pooling
from beige.models.modules import BACKBONES, Modules, read_modules
from beige.models.tensors import weight_files
from beige.values import Role

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
LENGTH = "sentence_bert_config.json"
PROMPTS = "config_sentence_transformers.json"

POOLING_FLAGS: Mapping[str, str] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
"""sentence-transformers' flags before version 5.4, and what it calls each mode since."""

_POOLINGS: Mapping[str, Pooling] = {"cls": "cls", "mean": "mean", "lasttoken": "last"}
_SPLADE: Mapping[str, Pooling] = {"relu": "splade", "log1p_relu": "splade-log"}
_ROLES: Mapping[str, Role] = {"query": "query", "document": "document", "passage": "document", "corpus": "document"}
_UNBOUNDED = 1_000_000  # tokenizers without a limit state 1e30


@dataclass(frozen=True, slots=True)
class Settings:
    """What a checkpoint's own files say; None and absent roles are what they leave open.

    Attributes:
        backbone: the folder of the model's configuration, tokenizer and weights; the checkpoint's own but where a
            router leads to several.
        query_table: the folder of the weights of words that queries take without a model.
        pooling: from the pooling module's `config.json`.
        max_tokens: from `sentence_bert_config.json`, else `model_max_length` of the tokenizer's configuration.
        prompts: by name, templates with `{text}`; an empty prompt says nothing, for sentence-transformers writes one
            for every model.
    """

    backbone: Path
    query_table: Path | None
    pooling: Pooling | None
    max_tokens: int | None
    prompts: Mapping[str, str]

    @property
    def templates(self) -> dict[Role, str]:
        """The prompts whose names are those of roles, by role."""
        return {role: self.prompts[name] for name, role in _ROLES.items() if name in self.prompts}


def is_whole(folder: Path) -> bool:
    """Whether a folder holds all that a checkpoint needs: configuration, tokenizer and every weight file."""
    try:
        weight_files(folder)
    except CheckpointError:
        return False
    return (folder / CONFIG).is_file() and (folder / TOKENIZER).is_file()


def sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; an empty one where there is no file.

    Raises:
        CheckpointError: the file is not readable, or not a JSON object.
    """
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): pull the checkpoint again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no JSON object: pull the checkpoint again")
    return value


def special_token(stated: Mapping[str, Any], name: str) -> str | None:
    """A special token as `tokenizer_config.json` states it: its text, or an object that holds it."""
    token = stated.get(name)
    token = token.get("content") if isinstance(token, dict) else token
    return token if isinstance(token, str) else None


def read_settings(folder: Path) -> Settings:
    """Read what a folder's files say.

    Raises:
        CheckpointError: a file is damaged, or asks for a module or a pooling that Beige does not run.
    """
    modules = read_modules(folder)
    backbone = modules.find(*BACKBONES) or folder
    table = next((module.path for module in modules.query if module.kind == "SparseStaticEmbedding"), None)
    return Settings(backbone, table, _read_pooling(modules), _read_length(backbone), _read_prompts(folder))


def _read_length(folder: Path) -> int | None:
    for file, key in ((LENGTH, "max_seq_length"), (TOKENIZER_CONFIG, "model_max_length")):
        length = read_json(folder / file).get(key)
        if length is None:
            continue
        if not isinstance(length, int | float) or length < 1:
            raise CheckpointError(f"{folder / file} says {key} {length!r}, which is no number of tokens")
        return int(length) if length < _UNBOUNDED else None
    return None


def _read_prompts(folder: Path) -> dict[str, str]:
    prompts = read_json(folder / PROMPTS).get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(prompt, str) for prompt in prompts.values()):
        raise CheckpointError(f"{folder / PROMPTS} holds prompts that are not names with texts")
    return {name: prompt.replace("{", "{{").replace("}", "}}") + "{text}" for name, prompt in prompts.items() if prompt}


def _read_pooling(modules: Modules) -> Pooling | None:
    if splade := modules.find("SpladePooling"):
        return _read_splade(splade / CONFIG)
    pooling = modules.find("Pooling")
    if pooling is None:
        return None
    file = pooling / CONFIG
    stated = read_json(file)
    flags = [mode for flag, mode in POOLING_FLAGS.items() if stated.get(flag)]
    modes = stated.get("pooling_mode", flags)
    modes = [modes] if isinstance(modes, str) else modes
    if len(modes) != 1 or modes[0] not in _POOLINGS or not stated.get("include_prompt", True):
        raise CheckpointError(f"{file} asks for pooling by {' + '.join(modes) or 'nothing'}, which Beige does not run")
    return _POOLINGS[modes[0]]


def _read_splade(file: Path) -> Pooling:
    stated = read_json(file)
    strategy, activation = stated.get("pooling_strategy", "max"), stated.get("activation_function", "relu")
    if strategy != "max" or activation not in _SPLADE:
        raise CheckpointError(f"{file} asks for pooling by {strategy} of {activation}, which Beige does not run")
    return _SPLADE[activation]
