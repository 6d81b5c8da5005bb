import numpy as np
import pytest

from beige import Reranker
from beige.engines.precision import Choice
from beige.errors import BeigeError, InputError, UsageError
from tests import decoder_checkpoints, xlmr_checkpoints

pytest.importorskip("torch")

QUERY = "what is light"
PASSAGES = [
    "light is a wave, and the speed of light is not that of water",
    "stone",
    "",
    "中文信息检索 \ud800",
    "the river " * 400,
    "mountain paper engine wing",
    "stone",
]
BUILDERS = {
    "xlm-roberta": xlmr_checkpoints.tiny_reranker,
    "bert": xlmr_checkpoints.tiny_bert_reranker,
    "yes": decoder_checkpoints.tiny_yes_reranker,
    "layerwise": decoder_checkpoints.tiny_layerwise_reranker,
    "lightweight": decoder_checkpoints.tiny_lightweight_reranker,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("rerankers")
    return {name: build(root / name) for name, build in BUILDERS.items()}


@pytest.fixture(scope="module", params=BUILDERS)
def reranker(request, folders):
    return Reranker(folders[request.param], device="cpu", precision="fp32")


def test_a_pair_has_one_score_alone_and_among_others(reranker):
    scores = reranker.score(QUERY, PASSAGES)
    assert scores.shape == (len(PASSAGES),)
    assert scores.dtype == np.float32
    for passage, score in zip(PASSAGES, scores, strict=True):
        assert abs(reranker.score(QUERY, [passage])[0] - score) < 1e-4
    assert np.abs(reranker.score(QUERY, PASSAGES[::-1]) - scores[::-1]).max() < 1e-4
    assert np.ptp(scores) > 0.05
    assert abs(reranker.score("another question", PASSAGES[:1])[0] - scores[0]) > 1e-4


def test_reranking_orders_and_tells_what_was_cut(reranker):
    scores = reranker.score(QUERY, PASSAGES)
    ranked = reranker.rerank(QUERY, PASSAGES)
    assert sorted(one.index for one in ranked) == list(range(len(PASSAGES)))
    assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)
    assert all(abs(one.score - scores[one.index]) < 1e-4 for one in ranked)
    assert {one.index for one in ranked if one.truncated} == {4}
    same = [one.index for one in ranked if one.index in {1, 6}]
    assert same == [1, 6]  # equal passages keep their order
    assert [one.index for one in reranker.rerank(QUERY, PASSAGES, 2)] == [one.index for one in ranked[:2]]
    assert reranker.rerank(QUERY, []) == []
    assert reranker.score(QUERY, []).shape == (0,)


def test_normalised_scores_are_the_logistic_function_of_raw_ones(reranker):
    raw = reranker.score(QUERY, PASSAGES).astype(np.float64)
    normalised = reranker.score(QUERY, PASSAGES, normalise=True)
    assert np.abs(normalised - 1 / (1 + np.exp(-raw))).max() < 1e-5
    assert [one.index for one in reranker.rerank(QUERY, PASSAGES, normalise=True)] == [
        one.index for one in reranker.rerank(QUERY, PASSAGES)
    ]


def test_only_the_passage_is_cut(reranker):
    """A cut passage scores as its kept beginning does, and the query is whole."""
    from beige.models.pairs import Pairs

    (pair,) = Pairs(reranker.checkpoint).encode(QUERY, ["the river " * 400])
    first, last = pair.passage
    assert len(pair.ids) == reranker.checkpoint.max_tokens
    assert pair.truncated
    (whole,) = Pairs(reranker.checkpoint).encode(QUERY, ["the river"])
    assert (whole.ids[: whole.passage[0]] == pair.ids[:first]).all()
    assert (whole.ids[whole.passage[1] :] == pair.ids[last:]).all()


def test_a_query_without_room_for_a_passage_is_refused(reranker):
    with pytest.raises(InputError, match="leaves no room for a passage"):
        reranker.score("the river " * 400, ["stone"])


@pytest.mark.parametrize(
    ("query", "passages"), [(QUERY, "one string"), (None, ["a"]), (QUERY, ["a", None]), (QUERY, [b"a"]), (3, ["a"])]
)
def test_inputs_that_are_no_strings_are_refused(folders, query, passages):
    with pytest.raises(InputError):
        Reranker(folders["xlm-roberta"], precision="fp32").score(query, passages)


def test_both_engines_give_the_same(folders):
    from beige.engines.torch_engine import TorchEngine

    for name in ("xlm-roberta", "bert"):
        reranker = Reranker(folders[name], device="cpu", precision="fp32")
        scores = reranker.score(QUERY, PASSAGES)
        reranker.engine = TorchEngine(reranker.checkpoint, "cpu", Choice("fp32", "asked for"))
        assert np.abs(reranker.score(QUERY, PASSAGES) - scores).max() < 1e-3


def test_several_layers_give_the_scores_of_each(folders):
    together = Reranker(folders["layerwise"], precision="fp32", layers=(4, 2)).score(QUERY, PASSAGES)
    assert together.shape == (len(PASSAGES), 2)
    for column, layer in enumerate((4, 2)):
        alone = Reranker(folders["layerwise"], precision="fp32", layers=(layer,)).score(QUERY, PASSAGES)
        assert alone.shape == (len(PASSAGES),)
        assert np.abs(together[:, column] - alone).max() < 1e-4
    default = Reranker(folders["layerwise"], precision="fp32").score(QUERY, PASSAGES)
    assert np.abs(default - together[:, 0]).max() < 1e-4
    last = Reranker(folders["layerwise"], precision="fp32", layers=(4, 2)).rerank(QUERY, PASSAGES, 1)
    assert last[0].index == together[:, 1].argmax()


def test_compression_by_one_changes_nothing_and_by_more_something(folders):
    plain, one, two = (
        Reranker(folders["lightweight"], precision="fp32", layers=(4,), compression=ratio, compressed=(1,)).score(
            QUERY, PASSAGES
        )
        for ratio in (1, 1, 2)
    )
    assert np.array_equal(plain, one)
    assert np.abs(plain - two)[:1].max() > 1e-3


def test_what_is_no_reranker_is_refused(tiny_bert, tmp_path):
    with pytest.raises(UsageError, match="tiny-bert is no reranker, it is an embedder: see 'beige models'"):
        Reranker(tiny_bert)
    with pytest.raises(UsageError, match="is no reranker"):
        Reranker(decoder_checkpoints.tiny_decoder(tmp_path / "decoder", "mistral"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_tokens": 1000}, "max_tokens is 1000"),
        ({"layers": (2,)}, "takes no layers"),
        ({"precision": "fp8"}, "no precision"),
        ({"device": "tpu"}, "no device"),
    ],
)
def test_options_that_mean_nothing_are_refused(folders, more, said):
    with pytest.raises(UsageError, match=said):
        Reranker(folders["xlm-roberta"], **{"precision": "fp32", **more})


def test_a_limit_below_one_is_refused(folders):
    with pytest.raises(UsageError, match="limit is 0"):
        Reranker(folders["xlm-roberta"], precision="fp32").rerank(QUERY, PASSAGES, 0)


def test_a_head_that_is_missing_is_said(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = xlmr_checkpoints.tiny_reranker(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "classifier" not in name}
    save_file(kept, folder / "model.safetensors")
    with pytest.raises(BeigeError, match=r"score|classifier"):
        Reranker(folder, precision="fp32").score(QUERY, PASSAGES)


def test_fingerprints_tell_scores_apart(folders):
    prints = {
        Reranker(folders[name], precision="fp32", **more).fingerprint
        for name, more in (
            ("xlm-roberta", {}),
            ("xlm-roberta", {"max_tokens": 64}),
            ("layerwise", {}),
            ("layerwise", {"layers": (2,)}),
        )
    }
    assert len(prints) == 4
    assert Reranker(folders["bert"], precision="fp32").fingerprint == Reranker(folders["bert"]).fingerprint
