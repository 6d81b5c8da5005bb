"""Cohere's and Jina's routes, through the `cohere` package and by their shapes."""

import base64

import cohere
import numpy as np
import pytest

from beige.embedder import Embedder
from beige.reranker import Reranker
from beige.scores import logistic

TEXTS = ["the speed of light", "a stone in the river"]
PASSAGES = ["the speed of light", "a stone", "light and water", "paper"]


@pytest.fixture(scope="module")
def client(url):
    with cohere.ClientV2(api_key="none", base_url=url) as made:
        yield made


@pytest.fixture(scope="module")
def scores(folders) -> np.ndarray:
    return logistic(Reranker(folders["reranker"], precision="fp32").score("light", PASSAGES))


def test_embed(client, folders):
    given = client.embed(model="tiny-bert", texts=TEXTS, input_type="search_document", embedding_types=["float"])
    expected = Embedder(folders["bert"], precision="fp32").encode_document(TEXTS)
    assert np.abs(np.array(given.embeddings.float_) - expected.dense).max() < 1e-5
    assert given.texts == TEXTS
    assert given.meta.billed_units.input_tokens == expected.tokens.sum()


def test_every_form(post, folders):
    forms = ["float", "base64", "int8", "uint8", "binary", "ubinary"]
    body = {"model": "tiny-bert", "texts": TEXTS, "input_type": "classification", "embedding_types": forms}
    found = post("/v2/embed", body).json()
    assert set(found) == {"id", "embeddings", "texts", "meta", "response_type"}
    assert found["response_type"] == "embeddings_by_type"
    given = {form: found["embeddings"][form] for form in forms}
    expected = Embedder(folders["bert"], precision="fp32").encode_document(TEXTS).dense
    assert np.abs(np.array(given["float"]) - expected).max() < 1e-5
    decoded = [np.frombuffer(base64.b64decode(row), "<f4") for row in given["base64"]]
    assert np.abs(np.array(decoded) - expected).max() < 1e-5
    for form, middle in (("int8", 0), ("uint8", 128)):
        whole = np.array(given[form]) - middle
        assert np.abs(whole).max() == 127
        cosines = (whole * expected).sum(1) / np.linalg.norm(whole, axis=1)
        assert cosines.min() > 0.999
    bits = np.unpackbits(np.array(given["ubinary"], np.uint8), axis=1)
    assert (bits == (expected > 0)).all()
    assert (np.array(given["binary"]) + 128 == np.array(given["ubinary"])).all()


def test_rerank(client, scores):
    given = client.rerank(model="tiny-reranker", query="light", documents=PASSAGES, top_n=3)
    order = np.argsort(-scores, kind="stable")[:3]
    assert [one.index for one in given.results] == order.tolist()
    assert np.abs(np.array([one.relevance_score for one in given.results]) - scores[order]).max() < 1e-4


def test_rerank_of_the_first_version(folders, url, scores):
    with cohere.Client(api_key="none", base_url=url) as client:
        documents = [{"text": passage} for passage in PASSAGES]
        given = client.rerank(model="tiny-reranker", query="light", documents=documents, return_documents=True)
    assert [one.document.text for one in given.results] == [PASSAGES[place] for place in np.argsort(-scores)]


def test_passages_may_be_cut_earlier(client, scores):
    given = client.rerank(model="tiny-reranker", query="light", documents=["the speed of light"], max_tokens_per_doc=3)
    cut = client.rerank(model="tiny-reranker", query="light", documents=["the speed of"])
    assert given.results[0].relevance_score == pytest.approx(cut.results[0].relevance_score, abs=1e-5)
    assert abs(given.results[0].relevance_score - scores[0]) > 1e-4


def test_jinas_shape(post, scores):
    body = {"model": "tiny-reranker", "query": "light", "documents": PASSAGES, "return_documents": True}
    found = post("/v1/rerank", body).json()
    assert {"model", "object", "usage", "results"} <= set(found)
    assert found["usage"]["total_tokens"] > 0
    best = int(np.argmax(scores))
    assert found["results"][0] == {
        "index": best,
        "relevance_score": pytest.approx(scores[best], abs=1e-4),
        "document": {"text": PASSAGES[best]},
    }


def test_errors_are_coheres(client, post):
    with pytest.raises(cohere.errors.NotFoundError) as raised:
        client.embed(model="nobody", texts=["a"], input_type="search_query", embedding_types=["float"])
    assert set(raised.value.body) == {"message"}
    told = post("/v1/rerank", {"query": "light", "documents": []})
    assert told.status_code == 400
    assert set(told.json()) == {"message", "detail"}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v2/embed", {"input_type": "search_query", "texts": ["paper " * 200], "truncate": "NONE"}, "the model reads"),
        ("/v2/embed", {"input_type": "search_query", "texts": ["a"], "truncate": "START"}, "END or NONE"),
        ("/v2/embed", {"input_type": "image", "texts": ["a"]}, "is no role"),
        ("/v2/embed", {"input_type": "search_query", "texts": ["a"], "output_dimension": 99}, "output_dimension is 99"),
        ("/v2/rerank", {"query": "light " * 200, "documents": ["a"]}, "leaves no room"),
        ("/v2/rerank", {"query": "light", "documents": [{"title": "a"}]}, "documents"),
    ],
)
def test_what_cannot_be_done_is_refused(post, path, body, said):
    model = "tiny-bert" if "texts" in body else "tiny-reranker"
    told = post(path, {"model": model, **body})
    assert told.status_code == 400
    assert said in told.json()["message"]
