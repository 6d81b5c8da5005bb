"""`/v1/embeddings` and `/v1/models` through the packages that people use."""

import base64

import numpy as np
import openai
import pytest

from beige.embedder import Embedder

TEXTS = ["the speed of light", "a stone in the river", "", "flow over a wing " * 100]


@pytest.fixture(scope="module")
def embedder(folders) -> Embedder:
    return Embedder(folders["bert"], precision="fp32")


@pytest.fixture(scope="module")
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as made:
        yield made


def rows(response) -> np.ndarray:
    return np.array([one.embedding for one in response.data])


@pytest.mark.parametrize("form", ["float", "base64", None])
def test_vectors_are_the_embedders(client, embedder, form):
    more = {"encoding_format": form} if form else {}
    given = client.embeddings.create(model="tiny-bert", input=TEXTS, **more)
    expected = embedder.encode_document(TEXTS)
    if form == "base64":
        found = np.array([np.frombuffer(base64.b64decode(one.embedding), "<f4") for one in given.data])
    else:
        found = rows(given)
    assert np.abs(found - expected.dense).max() < 1e-5
    assert [one.index for one in given.data] == [0, 1, 2, 3]
    assert (given.object, given.model, given.data[0].object) == ("list", "tiny-bert", "embedding")
    read = np.minimum(expected.tokens, embedder.max_tokens).sum()
    assert (given.usage.prompt_tokens, given.usage.total_tokens) == (read, read)


def test_one_text_alone(client, embedder):
    given = client.embeddings.create(model="tiny-bert", input="light")
    assert np.abs(rows(given)[0] - embedder.encode_document("light").dense).max() < 1e-5


def test_what_is_cut_is_told(client):
    raw = client.embeddings.with_raw_response.create(model="tiny-bert", input=TEXTS)
    assert raw.headers["beige-truncated"] == "1"
    assert "beige-truncated" not in client.embeddings.with_raw_response.create(model="tiny-bert", input="a").headers


def test_token_ids_are_texts(client, embedder):
    ids = [embedder.tokenize([text])[0].ids.tolist() for text in TEXTS[:2]]
    expected = embedder.encode_document(TEXTS[:2]).dense
    assert np.abs(rows(client.embeddings.create(model="tiny-bert", input=ids)) - expected).max() < 1e-5
    bare = ids[0][1:-1]  # without [CLS] and [SEP]
    assert np.abs(rows(client.embeddings.create(model="tiny-bert", input=bare))[0] - expected[0]).max() < 1e-5


def test_ids_of_another_tokenizer_are_refused(client):
    with pytest.raises(openai.BadRequestError, match="token id 90000, which tiny-bert does not have"):
        client.embeddings.create(model="tiny-bert", input=[[3, 90000]])


def test_dimensions_are_the_first_numbers_at_unit_length(client, embedder):
    found = rows(client.embeddings.create(model="tiny-bert", input=TEXTS, dimensions=8))
    expected = embedder.encode_document(TEXTS).dense[:, :8]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(found - expected).max() < 1e-5
    with pytest.raises(openai.BadRequestError, match="dimensions is 33"):
        client.embeddings.create(model="tiny-bert", input="a", dimensions=33)


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "with-template:query"},
        {"model": "with-template", "extra_body": {"input_type": "query"}},
        {"model": "with-template", "extra_body": {"input_type": "search_query"}},
        {"model": "with-template", "extra_body": {"prompt_name": "query"}},
    ],
)
def test_a_role_has_its_template(serve, folders, tmp_path, asked):
    import json
    import shutil

    folder = tmp_path / "with-template"
    shutil.copytree(folders["bert"], folder)
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "search query: "}}))
    embedder = Embedder(folder, precision="fp32")
    expected = embedder.encode_query("light").dense
    assert np.abs(expected - embedder.encode_document("light").dense).max() > 0.01
    with (
        serve(models=(str(folder),), precision="fp32", keys=tmp_path / "keys") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
    ):
        found = rows(client.embeddings.create(input="light", **asked))[0]
        assert np.abs(found - expected).max() < 1e-5


def test_models_are_listed_and_known_by_other_names(client, folders):
    assert [model.id for model in client.models.list()] == ["tiny-bert", "tiny-m3", "tiny-reranker"]
    assert client.models.retrieve("tiny-m3").owned_by == "local"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt")
    for name in ("text-embedding-3-small", str(folders["bert"]), "TINY-BERT"):
        assert client.embeddings.create(model=name, input="a").model == "tiny-bert"


def test_the_first_model_answers_where_none_is_named(post):
    for path, body in (
        ("/v1/embeddings", {"input": "a"}),
        ("/v2/embed", {"texts": ["a"], "input_type": "search_document"}),
        ("/v1/encode", {"input": ["a"]}),
    ):
        answers = [post(path, {**named, **body}).raise_for_status().json() for named in ({}, {"model": "tiny-bert"})]
        assert answers[0].keys() == answers[1].keys()
        assert answers[0].get("model") == answers[1].get("model")


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ({"model": "nobody", "input": "a"}, openai.NotFoundError, "only tiny-bert, tiny-m3"),
        ({"model": "tiny-reranker", "input": "a"}, openai.NotFoundError, "no embedder 'tiny-reranker'"),
        ({"model": "tiny-bert", "input": []}, openai.BadRequestError, "input: it must be a text, a list of texts, or"),
        ({"model": "tiny-bert", "input": [1.5]}, openai.BadRequestError, "or either as token ids, and not empty"),
        ({"model": "tiny-bert", "input": [[-1]]}, openai.BadRequestError, "or either as token ids, and not empty"),
        (
            {"model": "tiny-bert", "input": "a", "extra_body": {"colour": 1}},
            openai.BadRequestError,
            "no field 'colour'",
        ),
        ({"model": "tiny-bert", "input": "a", "extra_body": {"input_type": "x"}}, openai.BadRequestError, "is no role"),
        ({"model": "tiny-bert", "input": "a", "extra_body": {"prompt_name": "x"}}, openai.BadRequestError, "no prompt"),
        (
            {"model": "tiny-bert", "input": "a", "extra_headers": {"Beige-Timeout": "-1"}},
            openai.BadRequestError,
            "Beige-Timeout",
        ),
        ({"model": "tiny-bert", "input": ["a"] * 2049}, openai.APIStatusError, "2049 inputs"),
    ],
)
def test_errors_are_openais(client, body, error, said):
    with pytest.raises(error, match=said) as raised:
        client.embeddings.create(**body)
    assert set(raised.value.response.json()["error"]) == {"message", "type", "param", "code"}


def test_asynchronous_client(url, embedder):
    import asyncio

    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            asked = [client.embeddings.create(model="tiny-bert", input=f"light {number}") for number in range(40)]
            return await asyncio.gather(*asked)

    found = np.concatenate([rows(one) for one in asyncio.run(ask())])
    expected = embedder.encode_document([f"light {number}" for number in range(40)]).dense
    assert np.abs(found - expected).max() < 1e-5


def test_langchain(url, embedder):
    from langchain_openai import OpenAIEmbeddings

    client = OpenAIEmbeddings(model="tiny-bert", base_url=f"{url}/v1", api_key="none", check_embedding_ctx_length=False)
    assert np.abs(client.embed_documents(TEXTS) - embedder.encode_document(TEXTS).dense).max() < 1e-5
    assert np.abs(client.embed_query("light") - embedder.encode_document("light").dense).max() < 1e-5


def test_llama_index(url, embedder):
    from llama_index.embeddings.openai import OpenAIEmbedding

    client = OpenAIEmbedding(model_name="tiny-bert", api_base=f"{url}/v1", api_key="none")
    texts = TEXTS[:2]
    assert np.abs(client.get_text_embedding_batch(texts) - embedder.encode_document(texts).dense).max() < 1e-5
    assert np.abs(client.get_query_embedding("light") - embedder.encode_document("light").dense).max() < 1e-5
