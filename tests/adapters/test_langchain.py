"""What LangChain's own standard tests ask of its parts, and what Beige's have beyond it."""

import asyncio
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from beige import Embedder, Index
from beige.adapters.langchain import BeigeEmbeddings, BeigeRetriever, BeigeVectorStore
from beige.errors import BeigeError, InputError, UsageError
from beige.index.filter import Condition
from tests.search.test_results import Backwards
from tests.standin import StandIn

FOO = Document(id="1", page_content="foo", metadata={"id": 1})
BAR = Document(id="2", page_content="bar", metadata={"id": 2})


@pytest.fixture
def store(index: Index) -> BeigeVectorStore:
    return BeigeVectorStore(index)


def documents(*with_ids: Document) -> list[Document]:
    return [Document(page_content=one.page_content, metadata=dict(one.metadata)) for one in with_ids]


def test_embeddings_are_those_of_the_embedder(tiny_bert: Path) -> None:
    texts = ["foo", "", "a stone in the river"]
    embeddings, embedder = BeigeEmbeddings(str(tiny_bert), precision="fp32"), Embedder(tiny_bert, precision="fp32")
    found = embeddings.embed_documents(texts)
    assert found == embedder.encode_document(texts).dense.tolist()
    assert {type(number) for row in found for number in row} == {float}
    assert embeddings.embed_query("foo") == embedder.encode_query(["foo"]).dense[0].tolist()
    assert embeddings.embed_documents([]) == []
    assert asyncio.run(embeddings.aembed_documents(texts)) == found
    assert asyncio.run(embeddings.aembed_query("foo")) == embeddings.embed_query("foo")


def test_an_empty_store_finds_nothing(store: BeigeVectorStore) -> None:
    assert store.similarity_search("foo", k=1) == []
    assert store.get_by_ids(["1", "2"]) == []
    assert store.add_documents([]) == []
    assert store.delete(["1"])


def test_documents_come_back_as_they_were_added(store: BeigeVectorStore) -> None:
    given = documents(FOO, BAR)
    ids = store.add_documents(given)
    assert given == documents(FOO, BAR)
    expected = [
        Document(id=ids[1], **BAR.model_dump(exclude={"id"})),
        Document(id=ids[0], **FOO.model_dump(exclude={"id"})),
    ]
    assert store.similarity_search("bar", k=2) == expected
    assert store.get_by_ids(ids[::-1]) == expected
    store.delete([ids[0]])
    assert store.similarity_search("foo", k=2) == store.get_by_ids(ids) == expected[:1]


def test_a_document_replaces_what_has_its_id(store: BeigeVectorStore) -> None:
    for _ in range(2):
        assert store.add_documents(documents(FOO, BAR), ids=["1", "2"]) == ["1", "2"]
        assert store.similarity_search("bar", k=2) == [BAR, FOO]
    changed = Document(id="1", page_content="new foo", metadata={"id": 1, "some_other_field": "foo"})
    store.add_documents([changed])
    assert store.similarity_search("new foo", k=2) == [changed, BAR]
    store.delete(["1", "2", "3"])
    assert store.similarity_search("foo", k=1) == []


def test_some_ids_may_be_left_open(store: BeigeVectorStore) -> None:
    ids = store.add_documents([Document(id="foo", page_content="foo"), Document(page_content="bar")])
    assert ids[0] == "foo"
    assert [(one.id, one.page_content) for one in store.get_by_ids(ids)] == [("foo", "foo"), (ids[1], "bar")]


def test_it_all_works_in_an_event_loop(store: BeigeVectorStore) -> None:
    async def program() -> None:
        assert await store.aadd_documents([FOO, BAR]) == ["1", "2"]
        assert await store.asimilarity_search("bar", k=2) == [BAR, FOO]
        assert [one for one, _ in await store.asimilarity_search_with_score("bar", k=1)] == [BAR]
        assert await store.aget_by_ids(["2", "3", "1"]) == [BAR, FOO]
        assert await store.as_retriever(search_kwargs={"k": 1}).ainvoke("bar") == [BAR]
        assert await store.adelete(["2"])
        assert await store.asimilarity_search("bar") == [FOO]

    asyncio.run(program())


@pytest.mark.parametrize("where", [{"id": 2}, {"id": [2, 3]}, "id:2", Condition("id", "=", (2,))])
def test_filters_are_expressions_trees_or_metadata(store: BeigeVectorStore, where: object) -> None:
    store.add_documents([FOO, BAR])
    assert store.similarity_search("foo", filter=where) == [BAR]


def test_metadata_named_as_a_field_of_the_index_are_metadata(store: BeigeVectorStore) -> None:
    store.add_texts(["foo", "bar"], [{"type": "a", "source": "x"}, {"type": "b", "source": "y"}])
    assert [one.page_content for one in store.similarity_search("foo", filter={"type": "b", "source": "y"})] == ["bar"]


def test_scores_are_the_hits_and_relevance_is_from_0_to_1(store: BeigeVectorStore) -> None:
    store.add_documents([FOO, BAR])
    hits = store.index.search("bar")
    assert [score for _, score in store.similarity_search_with_score("bar")] == [hit.score for hit in hits]
    assert [score for _, score in store.similarity_search_with_relevance_scores("bar")] == [
        hit.relevance for hit in hits
    ]
    least = hits[0].relevance
    assert store.similarity_search_with_relevance_scores("bar", score_threshold=least) == [(BAR, least)]


def test_diversity_is_marginal_relevance(store: BeigeVectorStore) -> None:
    store.add_texts(["stone river one", "stone river one", "stone wing"], ids=["a", "b", "c"])
    assert [one.id for one in store.max_marginal_relevance_search("stone river", 2, lambda_mult=1.0)] == ["a", "b"]
    assert [one.id for one in store.max_marginal_relevance_search("stone river", 2, lambda_mult=0.1)] == ["a", "c"]


def test_a_long_text_is_found_by_its_passages_and_comes_back_whole(store: BeigeVectorStore) -> None:
    text = "\n\n".join(
        f"Paragraph {number} of {word}. " + "Nothing else. " * 60 for number, word in enumerate(WORDS)
    ).strip()
    store.add_texts([text], [{"id": 1}], ids=["long"])
    found = store.similarity_search("wing", k=1)[0]
    assert (found.id, found.metadata) == ("long", {"id": 1})
    assert "of wing" in found.page_content
    assert len(found.page_content) < len(text)
    assert store.get_by_ids(["long"])[0].page_content.split() == text.split()
    assert len(store.similarity_search("paragraph", k=4)) > 1
    assert len(store.similarity_search("paragraph", k=4, group=True)) == 1


WORDS = ("stone", "river", "wing", "paper")


def test_from_texts_opens_an_index(tmp_path: Path, embedder: StandIn) -> None:
    store = BeigeVectorStore.from_texts(
        ["foo", "bar"], BeigeEmbeddings(embedder), [{"id": 1}, {"id": 2}], ids=["1", "2"], path=tmp_path / "new"
    )
    with store.index:
        assert store.similarity_search("bar", k=2) == [BAR, FOO]
        assert store.embeddings.embedder is embedder
    with pytest.raises(UsageError, match="give BeigeEmbeddings"):
        BeigeVectorStore.from_texts(["foo"], DeterministicFakeEmbedding(size=6), path=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_mistakes_are_told(store: BeigeVectorStore) -> None:
    with pytest.raises(UsageError, match="name the ids"):
        store.delete()
    with pytest.raises(InputError, match="2 texts need as many metadata and ids, not 1 and 2"):
        store.add_texts(["foo", "bar"], [{}])
    with pytest.raises(InputError, match="'loc'"):
        store.add_texts(["foo"], [{"loc": {"line": 1}}])
    store.add_documents([FOO])
    with pytest.raises(UsageError, match="colour"):
        store.similarity_search("foo", filter={"colour": "red"})
    with pytest.raises(BeigeError, match="no option"):
        store.similarity_search("foo", tilt=1)


@pytest.mark.parametrize("k", [1, 3])
def test_a_retriever_gives_k_documents(rivers: Index, k: int) -> None:
    assert len(BeigeRetriever(index=rivers, k=k).invoke("where does the river flow?")) == k
    found = BeigeRetriever(index=rivers).invoke("where does the river flow?", k=k)
    assert len(found) == k
    assert all(isinstance(one, Document) for one in found)
    assert asyncio.run(BeigeRetriever(index=rivers, k=k).ainvoke("where does the river flow?")) == found


def test_a_retriever_says_where_passages_stand(rivers: Index) -> None:
    retriever = BeigeRetriever(index=rivers, options={"filter": "path:**/rivers/**"})
    found = retriever.invoke("Adriatic")
    hits = rivers.search("Adriatic", filter="path:**/rivers/**")
    assert [one.page_content for one in found] == [hit.text for hit in hits]
    assert found[0].metadata["source"] == hits[0].source
    assert found[0].metadata["headings"] == ["Rivers", "Po"]
    assert "page" not in found[0].metadata
    assert len(retriever.invoke("Adriatic", filter="type:txt")) == 1


def test_a_retriever_reranks(rivers: Index) -> None:
    found = BeigeRetriever(index=rivers, reranker=Backwards()).invoke("flows")
    assert [one.page_content for one in found] == [hit.text for hit in rivers.search("flows", reranker=Backwards())]
    assert [one.page_content for one in found] != [hit.text for hit in rivers.search("flows")]
