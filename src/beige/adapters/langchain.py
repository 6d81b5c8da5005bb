"""Beige as parts of LangChain: `Embeddings`, a retriever and a vector store. Needs langchain-core.

What these take beyond LangChain's own is what `beige.search.Request` takes: `legs`, `rerank`, `group`, …
"""

import asyncio
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from beige.adapters.values import described, rows
from beige.documents.chunk import Document as Stored
from beige.documents.text import Text
from beige.embedder import DEFAULT_MODEL, Embedder
from beige.errors import InputError, MissingPackageError, UsageError
from beige.index.filter import RECORD, All, Condition, Filter
from beige.index.store import Passage
from beige.search import AnyIndex, Hit, Index
from beige.search.folding import joined

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore
    from pydantic import Field
except ModuleNotFoundError as error:
    raise MissingPackageError("beige.adapters.langchain", "langchain-core") from error

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun

Where = str | Filter | Mapping[str, Any] | None
"""A filter: as `beige.search.Request` takes it, or values of metadata by name, each one or a list of alternatives."""


class BeigeEmbeddings(Embeddings):
    """A Beige embedder as LangChain's: queries and documents each in their own template.

    Args:
        embedder: an `Embedder`, or the name of its model.
        options: for `Embedder`, where a name is given.
    """

    def __init__(self, embedder: Embedder | str = DEFAULT_MODEL, **options: Any) -> None:
        self.embedder = Embedder(embedder, **options) if isinstance(embedder, str) else embedder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Dense vectors of documents, of unit length."""
        return rows(self.embedder.encode_document(texts).dense)

    def embed_query(self, text: str) -> list[float]:
        """The dense vector of a query, of unit length."""
        return rows(self.embedder.encode_query([text]).dense)[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents`, in a thread."""
        return await asyncio.to_thread(self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query`, in a thread."""
        return await asyncio.to_thread(self.embed_query, text)


class BeigeRetriever(BaseRetriever):
    """The best passages of an index, each with what tells where it stands.

    A document's metadata are the fields of the document that it is from, and `source`, `score`, `relevance`, `start`,
    `end`, `line_start`, `line_end`, `page` and `headings` of the passage. Options of `invoke` go before its own.
    """

    index: AnyIndex
    k: int = 10
    reranker: Any = None
    """A `beige.Reranker`; None for none."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What else `Index.search` takes."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: "CallbackManagerForRetrieverRun", **options: Any
    ) -> list[Document]:
        asked = {"k": self.k, "reranker": self.reranker, **self.options, **options}
        return [_located(hit) for hit in _search(self.index, query, **asked)]


class BeigeVectorStore(VectorStore):
    """An index of texts as LangChain's vector store: metadata are fields, ids are sources.

    The index makes its own vectors and searches by all its legs, so there is no search by a vector alone. A text longer
    than a chunk is found as its passages, which have its id and its metadata; `group=True` gives its best alone.
    Metadata are what fields can be: texts, numbers, truth values and lists of these, by name.

    Args:
        index: an open `beige.Index`, also of a server.
    """

    def __init__(self, index: AnyIndex) -> None:
        self.index = index

    @property
    def embeddings(self) -> BeigeEmbeddings | None:
        """The index's own embedder; None where a server has it."""
        return BeigeEmbeddings(self.index.embedder) if isinstance(self.index, Index) else None

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add texts; each replaces what has its id.

        Args:
            texts: what is to be found.
            metadatas: one for each text.
            ids: one for each text; None for a new one.
            kwargs: what else `Index.add` takes: `ttl`, `tell`.

        Raises:
            InputError: there are not as many metadata or ids as texts, or a field cannot hold a value.
        """
        every = list(texts)
        given: Sequence[str | None] = [None] * len(every) if ids is None else ids
        fields = [{}] * len(every) if metadatas is None else metadatas
        if not len(every) == len(given) == len(fields):
            raise InputError(f"{len(every)} texts need as many metadata and ids, not {len(fields)} and {len(given)}")
        names = [name or str(uuid.uuid4()) for name in given]
        made = [Text(name, text, fields=some) for name, text, some in zip(names, every, fields, strict=True)]
        if made:
            self.index.add(made, **kwargs)
        return names

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Remove texts by id; one that is not there is passed over.

        Raises:
            UsageError: no ids are named, which would mean everything.
        """
        if ids is None:
            raise UsageError("name the ids to delete: to remove everything, delete the index's folder")
        if ids:
            self.index.delete(*ids, **kwargs)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The texts with these ids, in their order; one that is not there is left out.

        White space at the ends of a text, and between its chunks, is not kept.
        """
        found = map(self.index.document, ids)
        return [
            Document(id=one.source, page_content=_whole(one), metadata=dict(one.fields))
            for one in found
            if one is not None
        ]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The best passages.

        Args:
            query: a question or some words.
            k: the most passages.
            kwargs: `filter`, `reranker` and what else `Index.search` takes.
        """
        return [_plain(hit) for hit in _search(self.index, query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """The best passages with their fused scores, higher is better."""
        return [(_plain(hit), hit.score) for hit in _search(self.index, query, k, **kwargs)]

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_score`, in a thread."""
        return await asyncio.to_thread(self.similarity_search_with_score, query, k, **kwargs)

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """The best passages that are not alike.

        Args:
            query: a question or some words.
            k: the most passages.
            fetch_k: how many candidates each leg gives.
            lambda_mult: from 0, the most diverse, to 1, the order as it is.
            kwargs: as for `similarity_search`.
        """
        return self.similarity_search(query, k, depth=fetch_k, diversity=1 - lambda_mult, **kwargs)

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        return [(_plain(hit), _relevance(hit)) for hit in _search(self.index, query, k, **kwargs)]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        return await asyncio.to_thread(self._similarity_search_with_relevance_scores, query, k, **kwargs)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | Path | None = None,
        **kwargs: Any,
    ) -> Self:
        """A store of these texts, added to the index where there is one.

        Args:
            texts: what is to be found.
            embedding: `BeigeEmbeddings`, since the index makes its own vectors.
            metadatas: one for each text.
            ids: one for each text; None for new ones.
            path: the index's folder, and what else `Index.open` says of it.
            kwargs: what else `Index.open` takes: `legs`, `language`, …

        Raises:
            UsageError: the embeddings are not Beige's.
        """
        if not isinstance(embedding, BeigeEmbeddings):
            raise UsageError(f"an index makes its own vectors: give BeigeEmbeddings, not {type(embedding).__name__}")
        index = Index.open(path, embedding.embedder, **kwargs)
        try:
            store = cls(index)
            store.add_texts(texts, metadatas, ids=ids)
        except BaseException:
            index.close()
            raise
        return store


def _search(
    index: AnyIndex, query: str, k: int, *, filter: Where = None, reranker: Any = None, **options: Any
) -> list[Hit]:
    where = filter if filter is None or not isinstance(filter, Mapping) else _where(filter)
    return index.search(query, k, reranker=reranker, filter=where, **options)


def _where(values: Mapping[str, Any]) -> Filter:
    """Every field holds its value, or one of several."""
    return All(
        tuple(
            Condition(RECORD + name, "=", tuple(value) if isinstance(value, list | tuple | set) else (value,))
            for name, value in values.items()
        )
    )


def _relevance(hit: Hit) -> float:
    if hit.relevance is None:
        raise UsageError("relevance cannot be told from these legs: search a dense leg or bm25 too")
    return hit.relevance


def _whole(document: Stored) -> str:
    """A document's text, of its chunks."""
    chunks = [
        Passage(place, document.source, place, chunk.text, chunk.locator, document.media)
        for place, chunk in enumerate(document.chunks)
    ]
    return joined(chunks).text if chunks else ""


def _plain(hit: Hit) -> Document:
    """A hit as what was added: with its metadata and no others."""
    return Document(id=hit.source, page_content=hit.text, metadata=dict(hit.fields))


def _located(hit: Hit) -> Document:
    return Document(page_content=hit.text, metadata=described(hit))
