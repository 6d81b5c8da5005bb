"""A model card: what is known of a published checkpoint, as data. It knows nothing of files on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from beige.values import Output, Role

Pooling = Literal["cls", "mean", "last", "mcls", "splade", "splade-log"]
"""Which hidden states become the text's vector: the first token's, the mean of all, the last token's, the mean of CLS
tokens that stand every `MCLS_STRIDE` tokens. Or how the logits of words become their weights: see `SPLADE`."""

MCLS_STRIDE = 256
"""Tokens of a text between two CLS tokens."""

SPLADE: Mapping[str, int] = {"splade": 1, "splade-log": 2}
"""The poolings that give a weight for each word of the vocabulary, the maximum over tokens of log(1 + relu(logit)):
how many times log(1 + x) is taken."""

Kind = Literal["embedder", "reranker"]


@dataclass(frozen=True, slots=True)
class MavenFiles:
    """Where a checkpoint's ONNX export and tokenizer stand in a Maven repository.

    Attributes:
        artifact: `group:artifact:version` of a jar that holds `<name>.onnx` and `<name>-tokenizer.json`.
        onnx: hex sha256 of the ONNX file.
        tokenizer: hex sha256 of the tokenizer file.
        heads: attention heads, the one number of the configuration that no tensor's shape tells.
    """

    artifact: str
    onnx: str
    tokenizer: str
    heads: int


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A published checkpoint.

    Attributes:
        name: how Beige calls it.
        repository: its id on the Hub.
        kind: embedder or reranker.
        architecture: `model_type` of its `config.json`.
        parameters: how many numbers it has, rounded as its publisher rounds.
        dimension: length of its vectors; None for a reranker.
        max_tokens: the longest text it reads, special tokens included.
        pooling: how hidden states become one vector; None for a reranker.
        languages: ISO 639-1 codes, "code" for programming languages, "multilingual" for a hundred and more.
        licence: SPDX identifier, or "Gemma" for the Gemma terms of use.
        outputs: what an embedder gives; empty for a reranker.
        templates: by role, a `str.format` string with `{text}`, and where the model takes them `{task}`, what queries
            are for, and `{examples}`.
        tasks: by name, what queries may be for; the first is taken where none is given.
        example: an example of a query and its answer, a `str.format` string with `{task}`, `{query}` and `{response}`;
            empty where it takes none.
        aliases: other names that people use for it.
        maven: where it can be had besides the Hub.
        width: bytes of a parameter in the published files.
        trained_on: public data sets that its publisher names among its training data; empty where they are not named.
        note: what a user should know besides, in a few words.
    """

    name: str
    repository: str
    kind: Kind
    architecture: str
    parameters: int
    dimension: int | None
    max_tokens: int
    pooling: Pooling | None
    languages: tuple[str, ...]
    licence: str
    outputs: tuple[Output, ...]
    templates: Mapping[Role, str]
    tasks: Mapping[str, str] = field(default_factory=dict)
    example: str = ""
    aliases: tuple[str, ...] = ()
    maven: MavenFiles | None = None
    width: int = 4
    trained_on: tuple[str, ...] = ()
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes of its weights on disk, as closely as `parameters` is known."""
        return self.parameters * self.width

    def reads(self, language: str) -> bool:
        """Whether it was made for a language, ISO 639-1."""
        return language in self.languages or "multilingual" in self.languages
