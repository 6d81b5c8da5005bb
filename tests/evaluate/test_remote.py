"""Providers: their own clients and our adapter get the same from the same server; refusals, limits, money."""

import email.utils
import time
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from beige.errors import BudgetError, RemoteError
from beige.evaluate.cache import Cache
from beige.evaluate.encoder import embed
from beige.evaluate.endpoint import LONGEST_WAIT, TRIES
from beige.evaluate.prices import Budget, prices
from beige.evaluate.remote import Remote
from beige.evaluate.systems import Model
from tests.evaluate import providers
from tests.evaluate.providers import KEY, Refusal, State

TEXTS = ["Beige embeds text.", "Ein zweiter Satz", "第三句话", ""]
ALL = ["openai", "cohere", "voyage", "server"]


STACK = ExitStack()


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Let go of every connection."""
    yield
    STACK.close()


def opened(*args, **kwargs) -> Remote:
    system = Remote(*args, **kwargs)
    STACK.callback(system.close)
    return system


def remote(runner: str, state: State, limit: float | None = None, waits: list[float] | None = None, **given: float):
    models = {"openai": "text-embedding-3-small", "cohere": "embed-v4.0", "voyage": "voyage-4", "server": "own"}
    model = Model(runner, models[runner], f"{state.url}/v1" if runner == "server" else None)
    table = prices({name.replace("_", "-"): price for name, price in given.items()})
    return opened(model, table, Budget(limit), sleep=(waits if waits is not None else []).append)


def by_client(runner: str, state: State, texts: list[str], role: str) -> np.ndarray:
    """The vectors as the provider's own client library gives them."""
    if runner in {"openai", "server"}:
        import openai

        with openai.OpenAI(api_key=KEY, base_url=f"{state.url}/v1", max_retries=0) as client:
            data = client.embeddings.create(model="text-embedding-3-small", input=texts).data
            return np.array([row.embedding for row in sorted(data, key=lambda row: row.index)], np.float32)
    if runner == "cohere":
        import cohere

        client = cohere.ClientV2(api_key=KEY, base_url=state.url)
        kind = f"search_{role}"
        answer = client.embed(model="embed-v4.0", texts=texts, input_type=kind, embedding_types=["float"])
        client._client_wrapper.httpx_client.httpx_client.close()
        return np.array(answer.embeddings.float_, np.float32)
    import voyageai

    client = voyageai.Client(api_key=KEY, base_url=f"{state.url}/voyage", max_retries=0)
    answer = client.embed(texts, model="voyage-4", input_type=role)
    return np.array(answer.embeddings, np.float32)


@pytest.mark.parametrize("role", ["query", "document"])
@pytest.mark.parametrize("runner", ALL)
def test_the_providers_own_client_gets_the_same(provider: State, runner: str, role: str):
    theirs = by_client(runner, provider, TEXTS, role)
    ours = remote(runner, provider).encode(TEXTS, role)
    assert np.array_equal(ours.vectors, theirs)
    spoken = {key: provider.asked[1].get(key) for key in provider.asked[0]}
    spoken["model"] = provider.asked[0]["model"] if runner == "server" else spoken["model"]
    allowed = {"truncation"}  # Voyage's client says its server's default
    assert {key: value for key, value in provider.asked[0].items() if key not in allowed and value is not None} == {
        key: value for key, value in spoken.items() if key not in allowed and value is not None
    }
    assert ours.tokens is not None
    assert ours.tokens.sum() == sum(len(text.split()) + 2 for text in TEXTS)


def test_floats_that_are_not_base64_are_read(provider: State):
    provider.base64 = False
    found = remote("server", provider).encode(TEXTS, "query")
    assert np.array_equal(found.vectors, np.stack([providers.vector(text) for text in TEXTS]))


@pytest.mark.parametrize("runner", ["cohere", "voyage"])
def test_a_query_and_a_document_have_their_own_vectors(provider: State, cache: Cache, runner: str):
    system = remote(runner, provider)
    query, document = (embed(system, ["one text"], role, cache).vectors for role in ("query", "document"))
    assert not np.allclose(query, document)


def test_where_roles_are_the_same_a_text_is_paid_for_once(provider: State, cache: Cache):
    system = remote("openai", provider)
    for role in ("query", "document"):
        embed(system, ["one text", "one text"], role, cache)
    assert provider.texts == ["one text"]


def test_an_instruction_goes_before_queries_alone(provider: State):
    model = Model("openai", "text-embedding-3-small", instruction="find: ")
    system = opened(model, prices(), Budget())
    system.encode(["a"], "query")
    system.encode(["a"], "document")
    opened(Model("voyage", "m", instruction="Q: {text} A:"), prices(), Budget()).encode(["a"], "query")
    assert provider.texts == ["find: a", "a", "Q: a A:"]


def test_where_an_instruction_puts_the_query_is_a_vector_of_its_own(provider: State, cache: Cache):
    for instruction in ("a b ", "a {text} b ", "a b {text}"):
        model = Model("server", "m", f"{provider.url}/v1", instruction=instruction)
        embed(opened(model, prices(), Budget()), ["x"], "query", cache)
    assert provider.texts == ["a b x", "a x b "]  # the third is written as the first, and not asked for again


@pytest.mark.parametrize("runner", ALL)
def test_busy_and_broken_servers_are_asked_again(provider: State, runner: str):
    provider.refusals = [Refusal(429, "slow down", {"Retry-After": "7"}), Refusal(503, "later"), Refusal(500, "oh")]
    waits: list[float] = []
    found = remote(runner, provider, waits=waits).encode(["a"], "document")
    assert len(found.vectors) == 1
    assert len(waits) == 3
    assert waits[0] == 7
    assert 0 < waits[1] <= 2 < 4 >= waits[2]


def test_retry_after_may_be_a_date(provider: State):
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    provider.refusals = [Refusal(429, "slow down", {"Retry-After": date})]
    waits: list[float] = []
    remote("openai", provider, waits=waits).encode(["a"], "document")
    assert 50 < waits[0] <= 60


def test_too_long_a_pause_is_an_error_at_once(provider: State):
    provider.refusals = [Refusal(429, "slow down", {"Retry-After": str(LONGEST_WAIT + 1)})]
    waits: list[float] = []
    with pytest.raises(RemoteError, match="pause of 301 s: run the same command again"):
        remote("openai", provider, waits=waits).encode(["a"], "document")
    assert waits == []


def test_patience_ends(provider: State):
    provider.refusals = [Refusal(500, "broken")] * TRIES
    with pytest.raises(RemoteError, match=rf"answered 500: broken, {TRIES} times; what was answered before is kept"):
        remote("voyage", provider).encode(["a"], "document")


def test_a_used_up_quota_is_no_matter_of_waiting(provider: State):
    said = {
        "error": {
            "message": "You exceeded your current quota",
            "type": "insufficient_quota",
            "code": "insufficient_quota",
        }
    }
    provider.refusals = [Refusal(429, said)]
    with pytest.raises(RemoteError, match="429: You exceeded your current quota"):
        remote("openai", provider).encode(["a"], "document")


@pytest.mark.parametrize(
    ("runner", "variable"),
    [
        ("openai", "OPENAI_API_KEY"),
        ("cohere", "CO_API_KEY"),
        ("voyage", "VOYAGE_API_KEY"),
        ("server", "BEIGE_SERVER_KEY"),
    ],
)
def test_a_wrong_key_names_the_variable(provider: State, monkeypatch: pytest.MonkeyPatch, runner: str, variable: str):
    monkeypatch.setenv(variable, "wrong")
    with pytest.raises(RemoteError, match=f"401: Incorrect API key provided; is the key in {variable}"):
        remote(runner, provider).encode(["a"], "document")


def test_no_key_is_told_before_anything_is_sent(provider: State, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(RemoteError, match="openai:text-embedding-3-small needs a key: set OPENAI_API_KEY"):
        remote("openai", provider)


def test_a_providers_key_goes_to_no_other_server(provider: State, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BEIGE_SERVER_KEY")
    with pytest.raises(RemoteError, match="is the key in BEIGE_SERVER_KEY"):
        remote("server", provider).encode(["a"], "document")


def test_a_dead_endpoint(provider: State):
    system = opened(Model("server", "m", "http://127.0.0.1:9/v1"), prices(), Budget(), sleep=lambda _: None)
    with pytest.raises(RemoteError, match=r"http://127.0.0.1:9/v1/embeddings cannot be reached"):
        system.encode(["a"], "document")


def test_offline_means_no_socket(monkeypatch: pytest.MonkeyPatch, provider: State):
    monkeypatch.setenv("BEIGE_OFFLINE", "1")
    assert len(remote("openai", provider).encode(["a"], "document").vectors) == 1  # this machine's own server
    system = opened(Model("server", "m", "http://example.invalid/v1"), prices(), Budget())
    with pytest.raises(RemoteError, match="BEIGE_OFFLINE=1 keeps this machine offline"):
        system.encode(["a"], "document")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"<html>", "no JSON: '<html>'"),
        ({"data": []}, "not of its kind"),
        ({"data": [{"index": 1, "embedding": [1.0]}]}, "indexes are not 0, 1, 2"),
        ({"data": [{"index": 0, "embedding": "!!"}]}, "no base64"),
        ({"data": [{"index": 0, "embedding": [[1.0]]}]}, r"a vector of the shape \(1, 1\)"),
        ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]}, "2 vectors for 1 texts"),
        ([], "not of its kind"),
    ],
)
def test_malformed_answers(provider: State, answer: object, says: str):
    provider.refusals = [Refusal(200, answer)]
    with pytest.raises(RemoteError, match=says):
        remote("openai", provider).encode(["a"], "document")


def test_another_dimension_midway_is_an_error(provider: State, cache: Cache):
    system = remote("openai", provider)
    embed(system, ["a", "b"], "document", cache)
    provider.dimension = 12
    with pytest.raises(RemoteError, match="vectors of 12 numbers after vectors of 24: it changed its model midway"):
        embed(system, ["a", "c"], "document", cache)


@pytest.mark.parametrize("number", [float("nan"), 0.0])
def test_a_vector_without_direction_is_an_error(provider: State, cache: Cache, number: float):
    provider.refusals = [Refusal(200, {"data": [{"index": 0, "embedding": [number] * 4}]})]
    with pytest.raises(RemoteError, match="zero, NaN or infinite"):
        embed(remote("server", provider), ["a"], "document", cache)


def test_the_spend_limit_stops_before_the_request(provider: State):
    system = remote("openai", provider, limit=0.001, text_embedding_3_small=100.0)
    system.encode(["one two"], "document")  # 4 tokens for $0.0004, as the server counts them
    with pytest.raises(BudgetError, match=r"would cost about \$0.0\d+, and with the \$0.0004 spent pass the limit"):
        system.encode(["three four " * 4], "document")
    assert provider.texts == ["one two"]


def test_without_a_price_no_limit_can_be_kept(provider: State):
    system = opened(Model("openai", "text-embedding-9"), prices(), Budget(1.0))
    with pytest.raises(BudgetError, match=r"no list price is known.*--price text-embedding-9=DOLLARS"):
        system.encode(["a"], "document")
    assert provider.asked == []
    opened(Model("openai", "text-embedding-9"), prices({"text-embedding-9": 0.5}), Budget(1.0)).encode(["a"], "query")
    opened(Model("openai", "text-embedding-9"), prices(), Budget(None)).encode(["a"], "query")


def test_a_server_of_ones_own_costs_nothing_unless_said(provider: State):
    budget = Budget(0.0)
    opened(Model("server", "own", f"{provider.url}/v1"), prices(), budget).encode(["a"], "document")
    assert budget.spent == 0


def test_a_server_that_counts_no_tokens(provider: State):
    provider.usage = False
    assert remote("server", provider).encode(["a"], "document").tokens is None


def test_what_was_answered_is_not_asked_again_after_a_break(provider: State, cache: Cache):
    texts = [f"text {number}" for number in range(100)]
    provider.refusals = []
    system = remote("server", provider)  # 32 texts a request
    answered = provider.asked

    class Killed(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= 64:
            raise Killed

    with pytest.raises(Killed):
        embed(system, texts, "document", cache, stop)
    assert len(answered) == 2
    found = embed(system, texts, "document", cache)
    assert sorted(provider.texts) == sorted(texts)
    wanted = np.stack([providers.vector(text) for text in texts])
    assert np.allclose(found.vectors, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-6)
    assert found.tokens == sum(len(text.split()) + 2 for text in texts)
    again = embed(system, texts, "document", cache)
    assert (again.tokens, again.seconds) == (found.tokens, found.seconds)  # the cost is that of the first time
    assert len(provider.texts) == 100
