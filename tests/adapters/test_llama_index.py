import asyncio
from pathlib import Path

from llama_index.core.schema import MetadataMode

from beige import Embedder, Index
from beige.adapters.llama_index import BeigeEmbedding, BeigeRetriever
from tests.search.test_results import Backwards


def test_embeddings_are_those_of_the_embedder(tiny_bert: Path) -> None:
    embedder = Embedder(tiny_bert, precision="fp32")
    embedding = BeigeEmbedding(embedder, embed_batch_size=2)
    texts = ["foo", "bar", "a stone in the river"]
    expected = embedder.encode_document(texts).dense.tolist()
    assert embedding.get_text_embedding_batch(texts[:2]) == embedder.encode_document(texts[:2]).dense.tolist()
    assert len(embedding.get_text_embedding_batch(texts)) == 3
    assert embedding.get_text_embedding("foo") == embedder.encode_document(["foo"]).dense[0].tolist()
    assert embedding.get_query_embedding("foo") == embedder.encode_query(["foo"]).dense[0].tolist()
    assert embedding.model_name == embedder.checkpoint.name
    assert embedding.class_name() == "BeigeEmbedding"

    async def program() -> None:
        assert len(await embedding.aget_text_embedding_batch(texts)) == len(expected)
        assert await embedding.aget_text_embedding("foo") == embedding.get_text_embedding("foo")
        assert await embedding.aget_query_embedding("foo") == embedding.get_query_embedding("foo")

    asyncio.run(program())


def test_nodes_are_hits_and_say_where_they_stand(rivers: Index) -> None:
    retriever = BeigeRetriever(rivers, 2, filter="path:**/rivers/**")
    found, hits = retriever.retrieve("Adriatic"), rivers.search("Adriatic", 2, filter="path:**/rivers/**")
    assert [(one.text, one.score) for one in found] == [(hit.text, hit.score) for hit in hits]
    first = found[0].node
    assert first.source_node is not None
    assert first.source_node.node_id == first.metadata["source"] == hits[0].source
    assert (first.start_char_idx, first.end_char_idx) == (hits[0].locator.start, hits[0].locator.end)
    assert first.metadata["headings"] == ["Rivers", "Po"]
    shown = first.get_content(MetadataMode.LLM)
    assert hits[0].source in shown
    assert "line_start" not in shown
    again = asyncio.run(retriever.aretrieve("Adriatic"))
    assert [(one.node_id, one.score) for one in again] == [(one.node_id, one.score) for one in found]


def test_a_reranker_orders_nodes(rivers: Index) -> None:
    found = BeigeRetriever(rivers, reranker=Backwards()).retrieve("flows")
    assert [one.text for one in found] == [hit.text for hit in rivers.search("flows", reranker=Backwards())]
