"""The routes of text-embeddings-inference, by their shapes: it has no client of its own."""

import numpy as np
import pytest

from beige.embedder import Embedder
from beige.reranker import Reranker
from beige.scores import logistic

TEXTS = ["the speed of light", "a stone in the river"]
LONG = "paper " * 300


@pytest.fixture(scope="module")
def m3(serve_m3):
    return serve_m3


@pytest.fixture(scope="module")
def serve_m3(folders, tmp_path_factory):
    import httpx2

    from tests.serve.conftest import serving

    settings = {"models": (str(folders["m3"]),), "rerankers": (str(folders["reranker"]),), "precision": "fp32"}
    with (
        serving(keys=tmp_path_factory.mktemp("keys") / "keys", **settings) as server,
        httpx2.Client(base_url=server.url) as client,
    ):
        yield lambda path, body: client.post(path, json=body)


@pytest.fixture(scope="module")
def embedder(folders) -> Embedder:
    return Embedder(folders["m3"], precision="fp32")


def test_embed(m3, embedder):
    assert np.abs(np.array(m3("/embed", {"inputs": TEXTS}).json()) - embedder.encode_document(TEXTS).dense).max() < 1e-5
    one = np.array(m3("/embed", {"inputs": TEXTS[0], "dimensions": 8, "prompt_name": "query"}).json())
    assert one.shape == (1, 8)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)


def test_embed_sparse(m3, embedder):
    found = m3("/embed_sparse", {"inputs": TEXTS}).json()
    for row, one in zip(found, embedder.encode(TEXTS, outputs=("sparse",)), strict=True):
        assert [entry["index"] for entry in row] == one.sparse.ids.tolist()
        assert np.abs(np.array([entry["value"] for entry in row]) - one.sparse.weights).max() < 1e-5


def test_embed_all(m3, embedder):
    found = m3("/embed_all", {"inputs": TEXTS}).json()
    for row, one in zip(found, embedder.encode(TEXTS, outputs=("multi",)), strict=True):
        assert np.abs(np.array(row) - one.multi).max() < 1e-5


@pytest.mark.parametrize("raw", [True, False])
def test_rerank(m3, folders, raw):
    scores = Reranker(folders["reranker"], precision="fp32").score("light", TEXTS)
    expected = scores if raw else logistic(scores)
    found = m3("/rerank", {"query": "light", "texts": TEXTS, "raw_scores": raw, "return_text": True}).json()
    assert [one["index"] for one in found] == np.argsort(-scores).tolist()
    for one in found:
        assert one == {
            "index": one["index"],
            "score": pytest.approx(expected[one["index"]], abs=1e-4),
            "text": TEXTS[one["index"]],
        }


def test_tokenize_gives_what_embeds_alike(m3, embedder):
    found = m3("/tokenize", {"inputs": TEXTS}).json()
    for text, tokens, expected in zip(TEXTS, found, embedder.tokenize(TEXTS), strict=True):
        assert [token["id"] for token in tokens] == expected.ids.tolist()
        assert set(tokens[0]) == {"id", "text", "special", "start", "stop"}
        assert [token["special"] for token in tokens] == [True] + [False] * (len(tokens) - 2) + [True]
        assert (
            "".join(text[token["start"] : token["stop"]] for token in tokens[1:-1]).split()
            == "".join(token["text"] for token in tokens[1:-1]).split()
        )
        ids = [token["id"] for token in tokens]
        assert m3("/embed", {"inputs": [ids]}).json() == m3("/embed", {"inputs": text}).json()
    bare = m3("/tokenize", {"inputs": TEXTS[0], "add_special_tokens": False}).json()[0]
    assert bare == found[0][1:-1]


def test_info_and_health(url):
    import httpx2

    info = httpx2.get(f"{url}/info").json()
    assert info["model_id"] == "tiny-bert"
    assert info["model_dtype"] == "fp32"
    assert info["model_type"] == {"embedding": {"pooling": "cls"}}
    assert info["max_input_length"] == 128
    assert httpx2.get(f"{url}/health").status_code == 200


def test_long_texts_are_cut_and_counted_or_refused(m3):
    cut = m3("/embed", {"inputs": [LONG, "a"]})
    assert cut.headers["beige-truncated"] == "1"
    told = m3("/embed", {"inputs": ["a", LONG], "truncate": False})
    assert told.status_code == 422
    assert set(told.json()) == {"error", "error_type"}
    assert told.json()["error_type"] == "Validation"
    assert "input 1" in told.json()["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed", {"inputs": "a", "normalize": False}),
        ("/embed", {"inputs": "a", "truncation_direction": "Left"}),
        ("/embed", {"inputs": [], "truncate": True}),
        ("/embed", {"inputs": "a", "prompt_name": "nobody"}),
        ("/embed", {"text": "a"}),
        ("/rerank", {"query": "a", "texts": []}),
    ],
)
def test_what_cannot_be_done_is_refused(m3, path, body):
    told = m3(path, body)
    assert told.status_code == 422
    assert told.json()["error_type"] == "Validation"


def test_an_output_that_the_model_lacks_is_refused(post):
    told = post("/embed_sparse", {"inputs": "a"})
    assert told.status_code == 422
    assert "gives no output 'sparse'" in told.json()["error"]
