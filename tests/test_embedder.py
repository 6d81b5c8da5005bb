import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from beige.embedder import Embedder
from beige.engines import capabilities
from beige.errors import InputError, NotFiniteError, UsageError
from beige.values import Embedding, Embeddings
from tests import checkpoints, xlmr_checkpoints

SCRIPTS = (
    "The lift of a thin wing at a small angle grows with the square of the speed of the air that flows past it. ",
    "中文信息检索模型把查询和文本变成向量，相近的意思在空间里离得很近。",
    "Die Größe der Strömung hängt von Druck, Wärme und Oberfläche ab; über 30 °C ändert sie sich. ",
    "Скорость света в воде меньше, чем в пустоте, примерно на четверть. ",
    "سرعة الضوء في الماء أقل منها في الفراغ بمقدار الربع تقريبا. ",
    "光の速さは水の中では真空中のおよそ四分の三になります。",
    "प्रकाश की गति जल में निर्वात से लगभग एक चौथाई कम होती है। ",
    "def f(x): return {k: v**2 for k, v in x.items()}  # naïve 😀 0x1F\n",
)
LENGTHS = (1, 3, 7, 15, 40, 90, 200, 450)
TEXTS = ["", " \n\t", "a"]
TEXTS += [(script * 60)[:length] for length in LENGTHS for script in SCRIPTS]
TEXTS += [(script * 60)[:length] for length in (900, 2200) for script in SCRIPTS[::3]]
REAL = TEXTS[::3] + TEXTS[-1:]  # fewer, of every script, since torch takes its time; `bench.parity` has hundreds
BOUNDS = {"fp32": 0.99999, "bf16": 0.9999, "int8": 0.999}


def reference(folder: Path, texts: list[str]) -> np.ndarray:
    """What sentence-transformers makes of the texts, float32, (n, d)."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu").encode(texts, batch_size=8, show_progress_bar=False)


def lowest_cosine(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one.astype(np.float64), other.astype(np.float64)
    return ((one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)).min()


@pytest.fixture(scope="module")
def embedder(tiny_bert):
    return Embedder(tiny_bert, precision="fp32")


@pytest.mark.parametrize("pooling", ["tiny_bert", "tiny_mean_bert"])
def test_vectors_are_those_of_sentence_transformers(pooling, request):
    folder = request.getfixturevalue(pooling)
    expected = reference(folder, TEXTS)
    assert (expected @ expected.T).min() < 0.9  # the texts differ
    found = Embedder(folder, precision="fp32").encode(TEXTS)
    assert lowest_cosine(found.dense, expected) >= BOUNDS["fp32"]
    assert np.abs(np.linalg.norm(found.dense, axis=1) - 1).max() < 1e-5


@pytest.fixture(scope="module")
def published_reference(published_model):
    """A real model, the role, and sentence-transformers' vectors of the texts as that role has them."""
    prefix, suffix = Embedder(published_model, precision="fp32").affixes["query"]
    return published_model, reference(published_model, [prefix + text + suffix for text in REAL])


@pytest.mark.parametrize("precision", BOUNDS)
def test_vectors_of_real_models_are_those_of_sentence_transformers(published_reference, precision):
    if precision == "bf16" and "bf16" not in capabilities():
        pytest.skip("this CPU has no bf16")
    folder, expected = published_reference
    found = Embedder(folder, precision=precision).encode_query(REAL)
    assert lowest_cosine(found.dense, expected) >= BOUNDS[precision]


def test_bge_small_knows_what_is_alike(bge_small):
    embedder = Embedder(bge_small)
    query = embedder.encode_query("how fast does light travel in water?")
    documents = embedder.encode_document(["Light moves at 225,000 km/s in water.", "The river stones were smooth."])
    near, far = documents.dense @ query.dense
    assert near > far + 0.2


def test_a_string_gives_one_a_list_many_an_iterator_batches(embedder):
    texts = ["light", "water and stone", "the river"]
    one, many, parts = embedder.encode(texts[1]), embedder.encode(texts), list(embedder.encode(iter(texts)))
    assert isinstance(one, Embedding)
    assert isinstance(many, Embeddings)
    assert one.dense.shape == (32,)
    assert one.dense.dtype == np.float32
    assert many.dense.shape == (3, 32)
    assert many.tokens.tolist() == [3, 5, 4]
    assert len(parts) == 1
    assert np.abs(many[1].dense - one.dense).max() < 1e-5
    assert np.abs(many.dense - parts[0].dense).max() < 1e-5
    assert np.abs(embedder.encode(np.array(texts)).dense - many.dense).max() < 1e-5


def test_nothing_gives_nothing(embedder):
    assert embedder.encode([]).dense.shape == (0, 32)
    assert len(embedder.encode([])) == 0
    assert list(embedder.encode(iter([]))) == []


def test_empty_texts_are_embedded_like_others(embedder):
    found = embedder.encode(["", "   \n"])
    assert found.tokens.tolist() == [2, 2]
    assert not found.truncated.any()


def test_tokens_and_truncation_are_told(embedder):
    found = embedder.encode(["light " * n for n in (1, 126, 127, 500)])
    assert found.tokens.tolist() == [3, 128, 129, 502]
    assert found.truncated.tolist() == [False, False, True, True]
    assert np.abs(found.dense[1] - found.dense[2:]).max() < 1e-5  # cut to the same 128 tokens


def test_max_tokens_cuts_earlier(tiny_bert, embedder):
    short = Embedder(tiny_bert, precision="fp32", max_tokens=5)
    found = short.encode("light water stone river mountain")
    assert (found.tokens, found.truncated, short.max_tokens) == (7, True, 5)
    assert np.abs(found.dense - embedder.encode("light water stone").dense).max() < 1e-5
    for outside in (2, 129):
        with pytest.raises(UsageError, match=f"max_tokens is {outside}; tiny-bert takes 3 to 128"):
            Embedder(tiny_bert, max_tokens=outside)


def test_a_reranker_is_no_embedder(tmp_path):
    with pytest.raises(UsageError, match="pairs is no embedder, it is a reranker: see 'beige models'"):
        Embedder(xlmr_checkpoints.tiny_reranker(tmp_path / "pairs"))


def test_a_model_is_read_later_in_another_current_folder(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_bert.parent)
    opened = Embedder(tiny_bert.name, precision="fp32")
    monkeypatch.chdir(tmp_path)
    assert opened.checkpoint.path == opened.checkpoint.folder == tiny_bert
    assert opened.fingerprint == Embedder(tiny_bert, precision="fp32").fingerprint


def test_an_iterator_is_read_as_results_are_taken(embedder):
    read = 0

    def texts():
        nonlocal read
        for number in itertools.count():
            read += 1
            yield f"stone {number % 7}"

    stream = embedder.encode(texts())
    assert read == 0
    ahead = []
    for number, part in enumerate(itertools.islice(stream, 20), 1):
        assert len(part) == 512
        ahead.append(read - 512 * number)
    assert max(ahead) < 2 * 4096 + 256


def test_results_are_in_the_order_of_the_inputs(embedder):
    words = checkpoints.WORDS
    random = np.random.default_rng(3)
    texts = [" ".join(random.choice(words, random.integers(0, 60))) for _ in range(700)]
    whole = embedder.encode(texts).dense
    streamed = np.concatenate([part.dense for part in embedder.encode(text for text in texts)])
    assert np.abs(whole - streamed).max() < 1e-5
    for place in range(0, 700, 50):
        assert np.abs(embedder.encode(texts[place]).dense - whole[place]).max() < 1e-5


def test_threads_share_an_embedder(embedder):
    texts = [f"{word} of light" for word in checkpoints.WORDS]
    expected = embedder.encode(texts).dense
    found = {}

    def work(number):
        found[number] = np.stack([embedder.encode(text).dense for text in texts[number::8]])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        assert np.abs(found[number] - expected[number::8]).max() < 1e-5


@pytest.mark.parametrize(
    ("instruction", "whole"),
    [
        (None, "query: light"),
        ("", "light"),
        ("the river ", "the river light"),
        ("the {text} of stone", "the light of stone"),
        ("{{ {text} }}", "{ light }"),
    ],
)
def test_an_instruction_goes_before_queries_only(instruction, whole, tmp_path):
    folder = checkpoints.tiny_bert(tmp_path / "prompted")
    checkpoints.write_json(
        folder / "config_sentence_transformers.json", {"prompts": {"query": "query: ", "document": "document: "}}
    )
    embedder = Embedder(folder, precision="fp32", instruction=instruction)
    bare = Embedder(folder, precision="fp32", instruction="")
    assert np.abs(embedder.encode_query("light").dense - bare.encode_query(whole).dense).max() < 1e-5
    assert embedder.encode_document("light").tokens == bare.encode_query("document: light").tokens
    assert embedder.fingerprint == bare.fingerprint


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ("find {query}: {text}", "placeholder {query}"),
        ("find {task}: {text}", "placeholder {task}"),
        ("a brace { alone", "unexpected '{'"),
        ("{text} and {text}", "must have one {text}"),
        ("{text!r}", "format 'r'"),
        ("{}", "placeholder {}"),
    ],
)
def test_an_instruction_that_is_not_understood_is_refused(tiny_bert, instruction, message):
    with pytest.raises(UsageError, match="template") as caught:
        Embedder(tiny_bert, instruction=instruction)
    assert message in str(caught.value)


@pytest.mark.parametrize("bad", [None, 3, 2.5, b"bytes", ["nested"]])
def test_what_is_no_string_is_named_by_its_place(embedder, bad):
    with pytest.raises(InputError, match=r"text 2 \(counted from 0\) is (None|of type \w+): only strings"):
        embedder.encode(["light", "water", bad])
    with pytest.raises(InputError, match="text 1 "):
        list(embedder.encode(iter(["light", bad])))
    assert len(embedder.encode(["light"])) == 1


@pytest.mark.parametrize("bad", [None, 3, b"bytes", {"text": "light"}, {"light"}])
def test_what_is_no_series_of_texts_is_refused_at_once(embedder, bad):
    with pytest.raises(InputError, match="texts must be a string or an iterable of strings"):
        embedder.encode(bad)


def test_roles_and_outputs_that_do_not_exist_are_refused_at_once(embedder):
    with pytest.raises(UsageError, match="no role 'passage': take one of query, document"):
        embedder.encode("light", role="passage")
    with pytest.raises(UsageError, match="tiny-bert gives no output 'sparse', only dense"):
        embedder.encode(iter(["light"]), outputs=("dense", "sparse"))
    with pytest.raises(UsageError, match=r"write \('dense',\) where one is meant"):
        embedder.encode("light", outputs="dense")
    with pytest.raises(UsageError, match="no output is asked for"):
        embedder.encode("light", outputs=())


def test_a_vector_that_is_not_finite_is_never_given(tmp_path):
    folder = checkpoints.tiny_bert(tmp_path / "sick")
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"][checkpoints.vocabulary()["stone"]] = np.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    embedder = Embedder(folder, precision="fp32")
    with pytest.raises(NotFiniteError, match=r"text 2 .* not finite with sick in fp32"):
        embedder.encode(["light", "water", "a stone", "the river"])
    assert np.isfinite(embedder.encode(["light", "water", "the river"]).dense).all()


@pytest.mark.parametrize("text", ["light " * 170_000, "x" * 1_000_000, " " * 1_000_000, "中" * 1_000_000])
def test_a_text_of_a_million_characters_is_cut_and_told(embedder, text):
    found = embedder.encode(text)
    assert np.isfinite(found.dense).all()
    assert found.truncated == (found.tokens > 128)
    if text.strip():
        assert np.abs(found.dense - embedder.encode(text[:2000]).dense).max() < 1e-5


def test_lone_surrogates_are_embedded(embedder):
    found = embedder.encode(["light \ud800", "light \ufffd"])
    assert np.abs(found.dense[0] - found.dense[1]).max() < 1e-5


def test_it_says_what_it_is(embedder, tiny_bert):
    assert embedder.dimension == 32
    assert embedder.max_tokens == 128
    assert embedder.precision == "fp32"
    assert embedder.device == "cpu"
    assert embedder.checkpoint.path == tiny_bert
    assert len(embedder.fingerprint) == 64


def test_token_ids_are_texts(tiny_bert):
    embedder = Embedder(tiny_bert, precision="fp32", instruction="the query of ")
    texts = ["light and water", "", "paper " * 300]
    for role in ("query", "document"):
        written = embedder.tokenize(texts, role)
        bare = [embedder._tokenizer.bare([text])[0] for text in texts]
        framed = [[*embedder._tokenizer.affixes[0], *ids, *embedder._tokenizer.affixes[1]] for ids in bare]
        for given in (bare, framed, [texts[0], *bare[1:]]):
            for one, other in zip(embedder.tokenize(given, role), written, strict=True):
                assert one.ids.tolist() == other.ids.tolist()
                assert (one.count, one.truncated) == (other.count, other.truncated)


def test_a_batch_gives_what_encoding_gives(tiny_bert):
    embedder = Embedder(tiny_bert, precision="fp32")
    texts = ["light and water", "", "paper " * 300]
    found = embedder.encode_batch(embedder.tokenize(texts), "document", ("dense",))
    for one, other in zip(found, embedder.encode_document(texts), strict=True):
        assert np.abs(one.dense - other.dense).max() < 1e-5
        assert (one.tokens, one.truncated) == (other.tokens, other.truncated)
