"""Beige as parts of LlamaIndex: an embedding and a retriever. Needs llama-index-core."""

import asyncio
from typing import Any

from beige.adapters.values import described, rows
from beige.embedder import DEFAULT_MODEL, Embedder
from beige.errors import MissingPackageError
from beige.search import AnyIndex, Hit

try:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
except ModuleNotFoundError as error:
    raise MissingPackageError("beige.adapters.llama_index", "llama-index-core") from error


class BeigeEmbedding(BaseEmbedding):
    """A Beige embedder as LlamaIndex's: queries and texts each in their own template.

    Args:
        embedder: an `Embedder`, or the name of its model.
        settings: LlamaIndex's own, such as `embed_batch_size`.
    """

    _embedder: Embedder = PrivateAttr()

    def __init__(self, embedder: Embedder | str = DEFAULT_MODEL, **settings: Any) -> None:
        opened = Embedder(embedder) if isinstance(embedder, str) else embedder
        super().__init__(**{"model_name": opened.checkpoint.name, **settings})
        self._embedder = opened

    @classmethod
    def class_name(cls) -> str:
        """What LlamaIndex calls it."""
        return "BeigeEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        return rows(self._embedder.encode_query([query]).dense)[0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return rows(self._embedder.encode_document(texts).dense)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


class BeigeRetriever(BaseRetriever):
    """The best passages of an index as nodes, each with what tells where it stands.

    A node's score is the fused one; a reranker and diversity change the order of nodes and leave it as it is. Its
    metadata are as `values.described` gives them; its source node's id is the document's source.

    Args:
        index: an open `beige.Index`, also of a server.
        similarity_top_k: the most nodes.
        reranker: a `beige.Reranker`; None for none.
        options: what else `Index.search` takes: `filter`, `legs`, `rerank`, …
    """

    def __init__(self, index: AnyIndex, similarity_top_k: int = 10, *, reranker: Any = None, **options: Any) -> None:
        super().__init__()
        self._index = index
        self._limit = similarity_top_k
        self._options = {"reranker": reranker, **options}

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [_node(hit) for hit in self._index.search(query_bundle.query_str, self._limit, **self._options)]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


def _node(hit: Hit) -> NodeWithScore:
    place = hit.locator
    node = TextNode(
        id_=f"{hit.source}:{place.start}-{place.end}",
        text=hit.text,
        metadata=described(hit),
        start_char_idx=place.start,
        end_char_idx=place.end,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.source)},
    )
    names = [name for name in node.metadata if name not in ("source", "headings")]
    node.excluded_embed_metadata_keys = names
    node.excluded_llm_metadata_keys = names  # numbers that a prompt is none the better for
    return NodeWithScore(node=node, score=hit.score)
