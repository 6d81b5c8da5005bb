"""A checkpoint: a model's files in one folder in the Hub's layout, and what they and the model card say together."""

import dataclasses
import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from beige.errors import CheckpointError, ModelNotFoundError, UsageError
from beige.models.card import SPLADE, Kind, ModelCard, Pooling
from beige.models.catalogue import find_card
from beige.models.fingerprint import fingerprint
from beige.models.heads import FILES, head_file, open_head
from beige.models.layout import CONFIG, TOKENIZER, TOKENIZER_CONFIG, Settings, read_json, read_settings, special_token
from beige.models.modules import MODULES
from beige.models.pull import folder_named, known, present
from beige.models.pull import pull as fetch
from beige.models.tensors import WEIGHTS, Tensors, open_file, open_tensors
from beige.models.tokenizer import Tokenizer
from beige.values import Floats, Output, Role

_PLAIN: Mapping[Role, str] = {"query": "{text}", "document": "{text}"}
DECODERS = ("mistral", "qwen2", "qwen3", "gemma", "gemma2", "cost_wise_gemma", "minicpm")
"""The architectures of language models' kind."""

_LEAST = 3
"""Tokens that a text may be cut to: its special ones and one of its own."""

_ARTICLE: Mapping[Kind, str] = {"embedder": "an embedder", "reranker": "a reranker"}

_log = logging.getLogger("beige")


@dataclass(frozen=True)
class Checkpoint:
    """A model's files, opened; nothing large is read before it is asked for.

    Attributes:
        folder: what it was opened as.
        path: where its configuration, tokenizer and weights lie: the folder, or one beneath it.
        name: the card's name, else the repository's id on the Hub, else the folder's name.
        card: what is known of it as a published checkpoint; None for a folder that the catalogue does not know.
        config: `config.json`.
        pooling: how hidden states become one vector.
        dimension: length of the vectors.
        max_tokens: the longest text that it reads, special tokens included.
        outputs: what it gives.
        templates: by role, a `str.format` string with `{text}` (and `{task}` and `{examples}`).
        prompts: by name, what queries may be asked with: templates with `{text}`, and tasks without.
        kind: embedder or reranker.
        query_table: the folder of a table of weights by which queries are embedded without the model, as documents'
            models of learned sparse retrieval have it.
    """

    folder: Path
    path: Path
    name: str
    card: ModelCard | None
    config: Mapping[str, Any] = field(repr=False)
    pooling: Pooling
    dimension: int
    max_tokens: int
    outputs: tuple[Output, ...]
    templates: Mapping[Role, str]
    prompts: Mapping[str, str]
    kind: Kind
    query_table: Path | None = None

    @property
    def architecture(self) -> str:
        """`model_type` of the configuration: "bert", "xlm-roberta" and so on."""
        return str(self.config["model_type"])

    @property
    def is_decoder(self) -> bool:
        """Whether it is of a language model's kind: each token sees only those before it."""
        return self.architecture in DECODERS

    @functools.cached_property
    def types_passages(self) -> bool:
        """Whether the passage of a pair has token type 1, for models that have two: where its tokenizer says so.

        BERT's does unless its configuration lists inputs without it; transformers' class of no architecture does not.
        """
        stated = read_json(self.path / TOKENIZER_CONFIG)
        untyped = stated.get("tokenizer_class") == "TokenizersBackend"
        return "token_type_ids" in stated.get("model_input_names", () if untyped else ("token_type_ids",))

    @functools.cached_property
    def fingerprint(self) -> str:
        """Identifies the vectors or scores, as hex sha256.

        The tensors that the graph uses (fp32), tokenizer, pooling, document template and dimension are in it; neither
        the precision nor the query template is.
        """
        settings = {
            "pooling": self.pooling,
            "template": self.templates["document"],
            "dimension": self.dimension,
        }
        heads = () if self.pooling in SPLADE else [head_file(self.path, name) for name in FILES if name in self.outputs]
        within = self.kind == "reranker" or self.pooling in SPLADE
        return fingerprint(self.path, self.tensors(), settings, heads=heads, heads_within=within)

    def shortens_to(self, dimensions: int) -> bool:
        """Whether it was trained so that the first so many numbers of a vector are a vector too.

        That is what its `config.json` says as vLLM reads it, `matryoshka_dimensions` or `is_matryoshka`,
        https://docs.vllm.ai/en/latest/models/pooling_models.html; no model of the catalogue does.
        """
        lengths = self.config.get("matryoshka_dimensions")
        return dimensions in lengths if isinstance(lengths, list) else self.config.get("is_matryoshka") is True

    @property
    def multi_dimension(self) -> int:
        """Length of the vectors of the output "multi".

        Raises:
            CheckpointError: the file of its head is missing or damaged.
        """
        return len(open_head(self.path, "multi", self.dimension).bias)

    def tensors(self) -> Tensors:
        """Every tensor by canonical name ("encoder.layer.0.output.dense.weight"), mapped from disk.

        float32 and float16 come as read-only views of the file in their stored dtype, bfloat16 widened to float32.

        Raises:
            CheckpointError: a safetensors file is missing or damaged.
        """
        return open_tensors(self.path, ("bert.", "roberta.", "model."))

    def query_weights(self) -> Floats | None:
        """The weight of each word in a query, float32, (v,); None where queries go through the model.

        Raises:
            CheckpointError: the table's file is missing or damaged, or of another vocabulary.
        """
        if self.query_table is None:
            return None
        file, rows = self.query_table / WEIGHTS, _count(self.path, self.config, "vocab_size")
        if not file.is_file():
            raise CheckpointError(f"{self.query_table} lacks {WEIGHTS}, the weights of queries: pull it again")
        table = open_file(file).get("weight")
        if table is None or table.ndim != 1 or len(table) > rows:
            raise CheckpointError(f"{file} holds no weights of the model's {rows} words: pull the checkpoint again")
        return np.asarray(table, np.float32)

    def tokenizer(self) -> Tokenizer:
        """The tokenizer, without truncation and padding of its own.

        Raises:
            CheckpointError: it is missing, damaged, or has more words than the embedding table has rows.
        """
        file = self.path / TOKENIZER
        if not file.is_file():
            raise CheckpointError(f"{self.path} holds no {TOKENIZER}: save it with a fast tokenizer, or pull it again")
        stated = read_json(self.path / TOKENIZER_CONFIG)
        tokenizer = Tokenizer(
            file,
            self.max_tokens,
            _count(self.path, self.config, "pad_token_id"),
            # transformers obeys these whatever tokenizer.json says; BGE's decoders end every text with EOS by them.
            begins=special_token(stated, "bos_token") if stated.get("add_bos_token") else None,
            ends=special_token(stated, "eos_token") if stated.get("add_eos_token") else None,
        )
        rows = _count(self.path, self.config, "vocab_size")
        if rows and tokenizer.vocabulary_size > rows:
            raise CheckpointError(
                f"{file} has {tokenizer.vocabulary_size} tokens, the model {rows}: they are not of one checkpoint"
            )
        return tokenizer


def open_folder(path: Path, card: ModelCard | None = None) -> Checkpoint:
    """Open a checkpoint folder. Its own files decide; the card fills what they leave open.

    Where they differ, the logger "beige" says so once; with neither, pooling is CLS, as in the BGE family, and said.

    Args:
        path: the folder.
        card: its card; None looks for one by the folder's name, and takes it if the model's kind and size agree.

    Raises:
        CheckpointError: `config.json` is missing, a file is damaged or asks for what Beige does not run, or a
            cross-encoder has more than one label.
    """
    said = read_settings(path)
    config = read_json(said.backbone / CONFIG)
    if not isinstance(config.get("model_type"), str):
        raise CheckpointError(f"{said.backbone} is no checkpoint: its {CONFIG} is missing or names no model_type")
    dimension = _count(path, config, "hidden_size")
    card = card or _card_of(path, config["model_type"], dimension)
    if card:
        _compare(path, card, said, dimension)
    kind = card.kind if card else _kind(path, config)
    if kind == "reranker" and (labels := len(config.get("id2label") or ())) > 1:
        raise CheckpointError(f"{path} sorts pairs into {labels} classes, and a reranker gives one score: take another")
    pooling = said.pooling or (card.pooling if card else None)
    if pooling is None:
        pooling = "last" if config["model_type"] in DECODERS else "cls"
        if kind == "embedder":
            _warn(f"{path}: no file says how to pool; {pooling.upper()} is taken, as in the BGE family")
    positions = _positions(path, config)
    return Checkpoint(
        folder=path.absolute(),  # it is read later too, in whatever folder the process is then
        path=said.backbone.absolute(),
        name=card.name if card else _name(path),
        card=card,
        config=config,
        pooling=pooling,
        dimension=dimension,
        max_tokens=min(said.max_tokens or (card.max_tokens if card else positions), positions),
        outputs=card.outputs if card else _outputs(path, pooling) if kind == "embedder" else (),
        templates={**_PLAIN, **(card.templates if card else {}), **said.templates},
        prompts={**(card.tasks if card else {}), **said.prompts},
        kind=kind,
        query_table=said.query_table and said.query_table.absolute(),
    )


def open_checkpoint(name_or_path: str | Path, *, pull: bool = True) -> Checkpoint:
    """Open a folder, or a model by its name; a folder that holds a `config.json` wins over a name.

    Args:
        name_or_path: a folder, a name of the catalogue, or a repository's id on the Hub.
        pull: whether a model that is not on this machine is fetched; the logger "beige" says so.

    Raises:
        ModelNotFoundError: neither a folder nor a known name, or not on this machine while `pull` is off.
        SourceError: no source gave it.
        CheckpointError: its files are damaged or not understood.
    """
    if folder := folder_named(name_or_path):
        return open_folder(folder)
    name, card = known(str(name_or_path))
    path = present(name)
    if path is None and not pull:
        raise ModelNotFoundError(f"{name} is not on this machine: beige pull {name}")
    return open_folder(path or fetch(name).path, card)


def open_kind(kind: Kind, name_or_path: str | Path, max_tokens: int | None = None) -> Checkpoint:
    """Open a model that must be of a kind, and shall read no more than so many tokens; its own length by default.

    Raises:
        UsageError: it is of the other kind, or `max_tokens` is below 3 or above its own length.
        BeigeError: see `open_checkpoint`.
    """
    checkpoint = open_checkpoint(name_or_path)
    if checkpoint.kind != kind:
        raise UsageError(f"{checkpoint.name} is no {kind}, it is {_ARTICLE[checkpoint.kind]}: see 'beige models'")
    if max_tokens is None:
        return checkpoint
    if not _LEAST <= max_tokens <= checkpoint.max_tokens:
        raise UsageError(f"max_tokens is {max_tokens}; {checkpoint.name} takes {_LEAST} to {checkpoint.max_tokens}")
    return dataclasses.replace(checkpoint, max_tokens=max_tokens)


def _card_of(path: Path, architecture: str, dimension: int) -> ModelCard | None:
    try:
        card = find_card(_name(path))
    except ModelNotFoundError:
        return None
    return card if (card.architecture, card.dimension or dimension) == (architecture, dimension) else None


def _compare(path: Path, card: ModelCard, said: Settings, dimension: int) -> None:
    """Say where the files differ from the card; what either leaves open differs from nothing."""
    differing = [
        ("pooling", said.pooling, card.pooling),
        ("max_tokens", said.max_tokens, card.max_tokens),
        ("dimension", dimension, card.dimension),
        *((f"{role} template", template, card.templates.get(role)) for role, template in said.templates.items()),
    ]
    for what, value, expected in differing:
        if None not in (value, expected) and value != expected:
            _warn(f"{path}: its files say {what} {value!r}, the model card {expected!r}; the files are followed")


def _name(path: Path) -> str:
    """The folder's name; for a snapshot in the Hub's cache, the repository's id, for that folder's name is a hash."""
    path = path.resolve()
    repository = path.parent.parent.name
    if path.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/", 1)
    return path.name


def _positions(path: Path, config: Mapping[str, Any]) -> int:
    """How many tokens the position table holds; RoBERTa's begins after the padding id."""
    rows = _count(path, config, "max_position_embeddings")
    if "roberta" in config["model_type"]:
        rows -= _count(path, config, "pad_token_id") + 1
    if rows < 1:
        raise CheckpointError(f"{path / CONFIG} says nothing of max_position_embeddings: pull the checkpoint again")
    return rows


def _count(path: Path, config: Mapping[str, Any], key: str) -> int:
    """A number of the configuration; 0 where it says nothing."""
    value = config.get(key) or 0
    if not isinstance(value, int) or value < 0:
        raise CheckpointError(f"{path / CONFIG} says {key} {value!r}, which is no number: pull the checkpoint again")
    return value


def _kind(path: Path, config: Mapping[str, Any]) -> Kind:
    """A folder's kind by what `config.json` names: language models are rerankers unless their files say how to pool."""
    names = config.get("architectures") or [""]
    ending = "ForSequenceClassification" if (path / MODULES).is_file() else ("ForSequenceClassification", "ForCausalLM")
    return "reranker" if str(names[0]).endswith(ending) else "embedder"


def _outputs(path: Path, pooling: Pooling) -> tuple[Output, ...]:
    if pooling in SPLADE:
        return ("sparse",)
    return ("dense", *(output for output, stem in FILES.items() if any(path.glob(f"{stem}.*"))))


@functools.cache
def _warn(message: str) -> None:
    _log.warning(message)
