"""Beige: the BGE embedding and reranking models on your own machines.

Everything here is loaded when it is first used: `import beige` loads no engine, no tokenizer and no numpy.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "BeigeError": "errors",
    "Embedder": "embedder",
    "Embedding": "values",
    "Embeddings": "values",
    "Example": "instructions",
    "Hit": "search",
    "Index": "search",
    "Reranker": "reranker",
    "Searcher": "search",
    "Sparse": "values",
    "Text": "documents.text",
}
"""Each public name and the module that defines it."""

__all__ = ["__version__", *sorted(_HOMES)]  # noqa: PLE0604  # the keys are strings

if TYPE_CHECKING:
    from beige.documents.text import Text as Text
    from beige.embedder import Embedder as Embedder
    from beige.errors import BeigeError as BeigeError
    from beige.instructions import Example as Example
    from beige.reranker import Reranker as Reranker
    from beige.search import Hit as Hit
    from beige.search import Index as Index
    from beige.search import Searcher as Searcher
    from beige.values import Embedding as Embedding
    from beige.values import Embeddings as Embeddings
    from beige.values import Sparse as Sparse


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'beige' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"beige.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
