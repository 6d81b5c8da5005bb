"""What embedders give beside dense vectors: M3's three outputs, SPLADE, queries without a model, MCLS."""

import itertools

import numpy as np
import pytest

from beige.embedder import Embedder
from beige.errors import CheckpointError, UsageError
from tests import family, splade_checkpoints, xlmr_checkpoints
from tests.engines.reference import states, unit

ALL = ("dense", "sparse", "multi")
TEXTS = [
    "the speed of light in water",
    "",
    " \n\t",
    "a stone, a river, a mountain!",
    "paper " * 300,
    "stone stone stone light",
    "中文 信息 \ud800 mask <mask> <s>",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return xlmr_checkpoints.tiny_m3(tmp_path_factory.mktemp("m3") / "tiny-m3")


@pytest.fixture(scope="module", params=["cpu", "torch"])
def embedder(request, folder):
    made = Embedder(folder, precision="fp32")
    if request.param == "torch":
        from beige.engines.precision import Choice
        from beige.engines.torch_engine import TorchEngine

        made.engine = TorchEngine(made.checkpoint, "cpu", Choice("fp32", "asked for"))
    return made


def test_three_outputs_of_one_pass_are_those_of_the_plain_forward_pass(embedder):
    from beige.models.heads import open_head

    sparse, multi = (open_head(embedder.checkpoint.path, output, 32) for output in ("sparse", "multi"))
    found = embedder.encode(TEXTS, outputs=ALL)
    for text, one in zip(TEXTS, found, strict=True):
        (tokens,) = embedder._tokenizer.encode([text])
        expected = states(embedder.checkpoint, tokens.ids)
        assert np.abs(one.dense - unit(expected[0])).max() < 1e-5
        assert np.abs(one.multi - unit(expected[1:] @ multi.weight.T + multi.bias)).max() < 1e-4
        weights = np.maximum(expected @ sparse.weight[0] + sparse.bias[0], 0)
        best: dict[int, float] = {}
        for token, weight in zip(tokens.ids.tolist(), weights, strict=True):
            if token > 3 and weight > 0:  # CLS, padding, EOS and the unknown are the first four
                best[token] = max(best.get(token, 0), weight)
        assert one.sparse.ids.tolist() == sorted(best)
        assert np.abs(one.sparse.weights - [best[token] for token in sorted(best)]).max(initial=0) < 1e-4
    assert len({len(one.sparse) for one in found}) > 2  # the texts differ
    assert found.truncated.tolist() == [False] * 4 + [True] + [False] * 2


def test_any_subset_equals_the_whole(embedder):
    whole = embedder.encode(TEXTS, outputs=ALL)
    for count in (1, 2):
        for outputs in itertools.permutations(ALL, count):
            part = embedder.encode(TEXTS, outputs=outputs)
            for one, other in zip(part, whole, strict=True):
                assert (one.dense is None, one.sparse is None, one.multi is None) == tuple(
                    output not in outputs for output in ALL
                )
                if "dense" in outputs:
                    assert np.abs(one.dense - other.dense).max() < 1e-5
                if "sparse" in outputs:
                    assert one.sparse.ids.tolist() == other.sparse.ids.tolist()
                    assert np.abs(one.sparse.weights - other.sparse.weights).max(initial=0) < 1e-5
                if "multi" in outputs:
                    assert np.abs(one.multi - other.multi).max() < 1e-5


def test_outputs_do_not_depend_on_the_batch(embedder):
    whole = embedder.encode(TEXTS, outputs=ALL)
    streamed = [one for part in embedder.encode(iter(TEXTS[::-1]), outputs=ALL) for one in part][::-1]
    for text, one, other in zip(TEXTS, whole, streamed, strict=True):
        alone = embedder.encode(text, outputs=ALL)
        for each in (alone, other):
            assert np.abs(one.dense - each.dense).max() < 1e-5
            assert np.abs(one.multi - each.multi).max() < 1e-5
            assert one.sparse.ids.tolist() == each.sparse.ids.tolist()


def test_words_are_told_the_heaviest_first(embedder):
    sparse = embedder.encode("the speed of light", outputs=("sparse",)).sparse
    words = embedder.words(sparse)
    assert set(words) <= {"▁the", "▁speed", "▁of", "▁light"}
    assert list(words.values()) == sorted(words.values(), reverse=True)
    assert len(words) == len(sparse)


def test_a_missing_head_is_an_error_and_another_makes_another_fingerprint(tmp_path):
    folder = xlmr_checkpoints.tiny_m3(tmp_path / "bge")
    other = xlmr_checkpoints.tiny_m3(tmp_path / "other")
    before = Embedder(folder).fingerprint
    (folder / "sparse_linear.pt").write_bytes((other / "colbert_linear.pt").read_bytes())
    with pytest.raises(CheckpointError, match=r"sparse_linear\.pt has a weight of shape \(32, 32\)"):
        Embedder(folder)
    (folder / "sparse_linear.pt").unlink()
    assert Embedder(folder).checkpoint.outputs == ("dense", "multi")
    assert Embedder(folder).fingerprint != before
    with pytest.raises(UsageError, match="gives no output 'sparse', only dense, multi"):
        Embedder(folder).encode("light", outputs=("sparse",))


def test_a_published_model_without_a_head_is_refused(tmp_path, monkeypatch):
    """The card promises what the files do not give, and nothing is made up."""
    monkeypatch.setenv("HF_HUB_CACHE", str(family.stand_ins(tmp_path, "bge-m3")))
    folder = Embedder("bge-m3").checkpoint.path
    (folder / "colbert_linear.pt").unlink()
    with pytest.raises(
        CheckpointError, match=r"lacks colbert_linear\.pt, without which it gives no output 'multi': pull"
    ):
        Embedder("bge-m3")


def test_mcls_is_the_mean_of_the_marks(folder, tmp_path):
    folder = xlmr_checkpoints.tiny_m3(tmp_path / "long", max_tokens=1024)
    embedder = Embedder(folder, precision="fp32", mcls=True)
    plain = Embedder(folder, precision="fp32")
    words = "light water stone river".split()
    for count in (0, 1, 256, 257, 512, 700, 1019, 1020, 2000):
        text = " ".join(words[n % 4] for n in range(count))
        own = plain._tokenizer.bare([text])[0][:1019]
        marked = [token for at in range(0, max(1, len(own)), 256) for token in [0, *own[at : at + 256]]] + [2]
        assert len(marked) <= 1024
        expected = states(plain.checkpoint, np.array(marked))[range(0, max(1, len(own)) + len(own) // 257, 257)]
        found = embedder.encode(text)
        assert found.dense @ unit(expected.mean(0)) > 0.99999
        assert found.truncated == (count > 1019)
    assert embedder.fingerprint != plain.fingerprint
    with pytest.raises(UsageError, match="only dense"):
        embedder.encode("light", outputs=("sparse",))


def test_mcls_needs_a_model_that_pools_the_first_token(tiny_mean_bert):
    with pytest.raises(UsageError, match="takes no mcls"):
        Embedder(tiny_mean_bert, mcls=True)


@pytest.fixture(
    scope="module",
    params=[
        ("splade", {}),
        ("splade-log", {"activation": "log1p_relu"}),
        ("doc-only", {}),
    ],
    ids=lambda param: param[0],
)
def sparse_folder(request, tmp_path_factory):
    name, options = request.param
    made = splade_checkpoints.tiny_doc_only if name == "doc-only" else splade_checkpoints.tiny_splade
    return made(tmp_path_factory.mktemp("splade") / name, **options)


@pytest.mark.parametrize("role", ["query", "document"])
def test_weights_of_words_are_those_of_sentence_transformers(sparse_folder, role):
    from sentence_transformers import SparseEncoder

    reference = SparseEncoder(str(sparse_folder), device="cpu")
    texts = [text for text in TEXTS if "\ud800" not in text]
    expected = getattr(reference, f"encode_{role}")(texts, convert_to_sparse_tensor=False).numpy()  # (n, v)
    embedder = Embedder(sparse_folder, precision="fp32")
    found = embedder.encode(texts, role, ("sparse",))
    assert (np.abs(expected[0] - expected[3]) > 0.1).any()  # the texts differ
    for one, row in zip(found, expected, strict=True):
        assert one.sparse.ids.tolist() == np.flatnonzero(row > 0).tolist()
        assert np.abs(one.sparse.weights - row[row > 0]).max(initial=0) < 1e-4
    assert found.truncated.tolist() == [text.startswith("paper") for text in texts]


def test_both_engines_weigh_words_alike(sparse_folder):
    from beige.engines.precision import Choice
    from beige.engines.torch_engine import TorchEngine

    embedder = Embedder(sparse_folder, precision="fp32")
    tokens = embedder._tokenizer.encode(TEXTS)
    torch = TorchEngine(embedder.checkpoint, "cpu", Choice("fp32", "asked for"))
    for one, other in zip(embedder.engine.run(tokens, ("words",)), torch.run(tokens, ("words",)), strict=True):
        assert np.abs(one["words"] - other["words"]).max() < 1e-4


def test_what_a_sparse_model_does_not_give_is_refused(tmp_path):
    folder = splade_checkpoints.tiny_doc_only(tmp_path / "doc-only")
    with pytest.raises(UsageError, match="gives no output 'dense', only sparse"):
        Embedder(folder).encode("light")
    (folder / "query_0_SparseStaticEmbedding" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"lacks model\.safetensors, the weights of queries"):
        Embedder(folder)
