"""Every architecture in PyTorch against transformers, text by text without padding."""

from pathlib import Path

import numpy as np
import pytest

from beige.engines.exits import Exits
from beige.errors import CheckpointError, EngineError, UsageError
from beige.models.checkpoint import DECODERS, open_folder
from beige.models.tokenizer import Tokens
from tests import checkpoints, decoder_checkpoints, xlmr_checkpoints

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from beige.engines import torch_decoder  # noqa: E402
from beige.engines.precision import Choice  # noqa: E402
from beige.engines.torch_engine import TorchEngine  # noqa: E402

LENGTHS = (1, 2, 3, 17, 24, 25, 40, 100)
TOLERANCE = 1e-4


def texts(vocabulary: int, lengths=LENGTHS, first: int = 5) -> list[Tokens]:
    random = np.random.default_rng(0)
    return [Tokens(random.integers(first, vocabulary, n).astype(np.int32), n, False) for n in lengths]


def engine(folder: Path, precision="fp32", **more) -> TorchEngine:
    return TorchEngine(open_folder(folder), "cpu", Choice(precision, "asked for"), **more)


def hidden_states(folder: Path, inputs: list[Tokens]) -> list[np.ndarray]:
    """The last layer's, from transformers, one text at a time."""
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager", dtype="float32").eval()
    with torch.inference_mode():
        return [model(torch.from_numpy(text.ids)[None].long()).last_hidden_state[0].numpy() for text in inputs]


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


@pytest.mark.parametrize("architecture", decoder_checkpoints.EMBEDDERS)
def test_decoders_pool_the_last_token(architecture, tmp_path):
    folder = decoder_checkpoints.tiny_decoder(tmp_path / "model", architecture)
    runner = engine(folder)
    inputs = texts(open_folder(folder).config["vocab_size"])
    expected = np.stack([unit(states[-1]) for states in hidden_states(folder, inputs)])
    vectors = np.stack([raw["dense"] for raw in runner.run(inputs, ("dense",))])
    assert np.abs(vectors - expected).max() < TOLERANCE
    assert (vectors @ vectors.T - np.eye(len(vectors))).max() < 0.98  # texts differ


def test_windows_are_longer_than_some_texts_and_matter(tmp_path):
    """So that the parity above is of layers that see everything and of layers that do not."""
    for architecture in ("mistral", "gemma2"):
        short = decoder_checkpoints.tiny_decoder(tmp_path / f"{architecture}-short", architecture)
        wide = decoder_checkpoints.tiny_decoder(tmp_path / f"{architecture}-wide", architecture, sliding_window=200)
        inputs = texts(open_folder(short).config["vocab_size"])
        windowed, whole = (
            np.stack([raw["dense"] for raw in engine(folder).run(inputs, ("dense",))]) for folder in (short, wide)
        )
        apart = np.abs(windowed - whole).max(axis=1)
        assert (apart[[len(text.ids) <= 24 for text in inputs]] < 1e-6).all()
        assert apart[-1] > 1e-3


def test_blocks_of_queries_change_nothing(tmp_path, monkeypatch):
    folder = decoder_checkpoints.tiny_decoder(tmp_path / "model", "gemma2")
    inputs = texts(open_folder(folder).config["vocab_size"])
    whole = [raw["dense"] for raw in engine(folder).run(inputs, ("dense",))]
    monkeypatch.setattr(torch_decoder, "_BLOCK", 7)
    for one, other in zip(whole, engine(folder).run(inputs, ("dense",)), strict=True):
        assert np.abs(one - other["dense"]).max() < 1e-6


@pytest.mark.parametrize(
    ("architecture", "more"),
    [
        ("qwen2", {"use_sliding_window": True}),
        (
            "qwen3",
            {
                "layer_types": ["full_attention", "sliding_attention"] * 2,
                "sliding_window": 9,
                "use_sliding_window": True,
            },
        ),
        ("mistral", {"sliding_window": None, "rope_theta": 500.0}),
        ("mistral", {"num_key_value_heads": 4}),
        ("gemma2", {"attn_logit_softcapping": None, "hidden_activation": "silu"}),
    ],
)
def test_decoders_follow_their_configuration(architecture, more, tmp_path):
    folder = decoder_checkpoints.tiny_decoder(tmp_path / "model", architecture, **more)
    inputs = texts(open_folder(folder).config["vocab_size"])
    expected = np.stack([unit(states[-1]) for states in hidden_states(folder, inputs)])
    vectors = np.stack([raw["dense"] for raw in engine(folder).run(inputs, ("dense",))])
    assert np.abs(vectors - expected).max() < TOLERANCE


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "no rope scaling 'yarn'"),
        ({"is_causal": False}, "no attention 'bidirectional'"),
        ({"attention_bias": True}, "no bias of attention"),
        ({"hidden_act": "mish"}, "no activation 'mish'"),
    ],
)
def test_what_is_not_computed_is_refused(more, said, tmp_path):
    folder = decoder_checkpoints.tiny_decoder(tmp_path / "model", "qwen3", **more)
    with pytest.raises(EngineError, match=said):
        engine(folder)


def test_every_decoder_is_known_without_importing_torch():
    assert set(torch_decoder.ARCHITECTURES) == set(DECODERS)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_bert(pooling, tmp_path):
    folder = checkpoints.tiny_bert(tmp_path / "model", pooling=pooling)
    inputs = texts(len(checkpoints.vocabulary()))
    states = hidden_states(folder, inputs)
    expected = np.stack([unit(state[0] if pooling == "cls" else state.mean(0)) for state in states])
    vectors = np.stack([raw["dense"] for raw in engine(folder).run(inputs, ("dense",))])
    assert np.abs(vectors - expected).max() < TOLERANCE


def test_m3_gives_three_outputs_of_one_pass_and_any_of_them(tmp_path):
    folder = xlmr_checkpoints.tiny_m3(tmp_path / "model")
    inputs = texts(open_folder(folder).config["vocab_size"])
    heads = {name: torch.load(folder / f"{name}_linear.pt", weights_only=True) for name in ("sparse", "colbert")}
    runner = engine(folder)
    together = list(runner.run(inputs, ("dense", "sparse", "multi")))
    for raw, states in zip(together, hidden_states(folder, inputs), strict=True):
        sparse, multi = (states @ head["weight"].numpy().T + head["bias"].numpy() for head in heads.values())
        assert np.abs(raw["dense"] - unit(states[0])).max() < TOLERANCE
        assert np.abs(raw["sparse"] - np.maximum(sparse[:, 0], 0)).max() < TOLERANCE
        assert raw["multi"].shape == (len(states) - 1, 32)
        assert np.abs(raw["multi"] - unit(multi[1:])).max(initial=0) < TOLERANCE
    for output in ("dense", "sparse", "multi"):
        for one, other in zip(together, runner.run(inputs, (output,)), strict=True):
            assert list(other) == [output]
            assert np.abs(one[output] - other[output]).max(initial=0) < TOLERANCE
    assert sum((raw["sparse"] > 0).sum() for raw in together) > 10


@pytest.mark.parametrize("kind", [xlmr_checkpoints.tiny_reranker, xlmr_checkpoints.tiny_bert_reranker])
def test_classification_heads_score_pairs(kind, tmp_path):
    folder = kind(tmp_path / "model")
    vocabulary = open_folder(folder).config["vocab_size"]
    pairs = [
        Tokens(text.ids, text.count, False, passage=(min(6, len(text.ids) - 1), len(text.ids) - 1))
        for text in texts(vocabulary, (8, 9, 30, 60))
    ]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    scores = np.concatenate([raw["score"] for raw in engine(folder).run(pairs, ("score",))])
    typed = model.config.type_vocab_size > 1
    with torch.inference_mode():
        expected = [
            model(
                torch.from_numpy(pair.ids)[None].long(),
                token_type_ids=(torch.arange(len(pair.ids)) >= pair.passage[0])[None].long() * typed,
            ).logits.item()
            for pair in pairs
        ]
    assert np.abs(scores - expected).max() < 1e-3
    assert np.ptp(scores) > 0.05


def test_yes_is_scored_by_its_logit(tmp_path):
    folder = decoder_checkpoints.tiny_yes_reranker(tmp_path / "model")
    inputs = texts(open_folder(folder).config["vocab_size"])
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    yes = transformers.AutoTokenizer.from_pretrained(folder)("Yes", add_special_tokens=False)["input_ids"][0]
    scores = np.concatenate([raw["score"] for raw in engine(folder).run(inputs, ("score",))])
    with torch.inference_mode():
        expected = [model(torch.from_numpy(text.ids)[None].long()).logits[0, -1, yes].item() for text in inputs]
    assert np.abs(scores - expected).max() < 1e-3
    assert np.ptp(scores) > 0.05


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("architecture", ["mistral", "gemma2", "qwen3"])
def test_lower_precisions_stay_near(architecture, precision, tmp_path):
    folder = decoder_checkpoints.tiny_decoder(tmp_path / "model", architecture)
    inputs = texts(open_folder(folder).config["vocab_size"])
    exact, near = (
        np.stack([raw["dense"] for raw in engine(folder, kind).run(inputs, ("dense",))]) for kind in ("fp32", precision)
    )
    assert near.dtype == np.float32
    assert (exact * near).sum(1).min() > (0.99 if precision == "bf16" else 0.9999)


def test_missing_and_wrong_tensors_are_named(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = decoder_checkpoints.tiny_decoder(tmp_path / "model", "qwen2")
    tensors = load_file(folder / "model.safetensors")
    for damaged in (
        {name: tensor for name, tensor in tensors.items() if name != "layers.2.mlp.up_proj.weight"},
        {**tensors, "layers.2.mlp.up_proj.weight": np.zeros((3, 3), np.float32)},
    ):
        save_file(damaged, folder / "model.safetensors")
        with pytest.raises(CheckpointError, match=r"layers\.2\.mlp\.up_proj\.weight"):
            engine(folder)


def test_missing_and_wrong_heads_are_named(tmp_path):
    folder = xlmr_checkpoints.tiny_m3(tmp_path / "model")
    checkpoint = open_folder(folder)
    head = torch.load(folder / "sparse_linear.pt", weights_only=True)
    (folder / "sparse_linear.pt").unlink()
    with pytest.raises(CheckpointError, match=r"lacks sparse_linear\.pt"):
        TorchEngine(checkpoint, "cpu", Choice("fp32", ""))
    for damaged, said in (
        ({"weight": head["weight"]}, "holds weight, not"),
        ({"weight": head["weight"].T, "bias": head["bias"]}, "has a weight of shape"),
    ):
        torch.save(damaged, folder / "sparse_linear.pt")
        with pytest.raises(CheckpointError, match=rf"sparse_linear\.pt {said}"):
            TorchEngine(checkpoint, "cpu", Choice("fp32", ""))


def test_outputs_that_a_model_does_not_have_are_refused(tiny_bert, tmp_path):
    decoder = engine(decoder_checkpoints.tiny_decoder(tmp_path / "decoder", "qwen2"))
    for runner, output in ((engine(tiny_bert), "sparse"), (engine(tiny_bert), "score"), (decoder, "multi")):
        with pytest.raises(EngineError, match=f"no output '{output}'"):
            list(runner.run(texts(50), (output,)))
    with pytest.raises(UsageError, match="takes no layers"):
        engine(tiny_bert, exits=Exits((2,)))
