import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from beige.engines import openvino_encoder, openvino_graph
from beige.engines.openvino_engine import OpenVINOEngine
from beige.engines.precision import Choice
from beige.errors import CheckpointError, EngineError
from beige.models.checkpoint import Checkpoint, open_checkpoint
from beige.models.tokenizer import Tokens
from tests import checkpoints
from tests.engines.reference import forward


def texts(lengths: list[int]) -> list[Tokens]:
    random = np.random.default_rng(5)
    words = len(checkpoints.vocabulary())
    return [Tokens(random.integers(5, words, length).astype(np.int32), length, False) for length in lengths]


def vectors(checkpoint: Checkpoint, inputs: list[Tokens], precision: str = "fp32") -> np.ndarray:
    engine = OpenVINOEngine(checkpoint, Choice(precision, "asked for"))
    return np.stack([raw["dense"] for raw in engine.run(inputs, ("dense",))])


@pytest.fixture(params=["tiny_bert", "tiny_mean_bert"])
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    return open_checkpoint(request.getfixturevalue(request.param))


def test_the_graph_agrees_with_the_plain_forward_pass(checkpoint):
    inputs = texts([1, 2, 3, 7, 17, 64, 128, 5, 5])
    expected = np.stack([forward(checkpoint, text.ids) for text in inputs])
    assert np.abs(expected @ expected.T - np.eye(len(inputs))).max() < 0.99  # the texts differ
    assert np.abs(vectors(checkpoint, inputs) - expected).max() < 1e-5


def test_int8_stays_near(checkpoint):
    inputs = texts([1, 3, 40, 128])
    expected = np.stack([forward(checkpoint, text.ids) for text in inputs])
    assert (vectors(checkpoint, inputs, "int8") * expected).sum(1).min() > 0.99


def test_tensors_in_half_precision_are_read(tiny_bert, tmp_path):
    folder = checkpoints.tiny_bert(tmp_path / "half")
    halves = {name: array.astype(np.float16) for name, array in load_file(tiny_bert / "model.safetensors").items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    inputs = texts([3, 20])
    checkpoint = open_checkpoint(folder)
    expected = np.stack([forward(checkpoint, text.ids) for text in inputs])
    assert np.abs(vectors(checkpoint, inputs) - expected).max() < 1e-5


def test_the_graph_shares_the_memory_of_the_file(tiny_bert):
    graph = openvino_graph.build(open_checkpoint(tiny_bert))
    copied = [array.shape for array in graph.constants if array.base.array.flags.writeable]
    assert copied == [(128, 32)]  # positions, with the token type in them
    assert graph.inputs == ("ids", "lengths")
    assert len(graph.constants) == 4 + 3 * 15  # the keys' biases are not needed


def broken(tmp_path: Path, *, drop: str | None = None, cut: str | None = None, **config: object) -> Checkpoint:
    folder = checkpoints.tiny_bert(tmp_path / "broken")
    tensors = load_file(folder / "model.safetensors")
    if drop:
        del tensors[drop]
    if cut:
        tensors[cut] = np.ascontiguousarray(tensors[cut][:-1])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((folder / "config.json").read_text())
    checkpoints.write_json(folder / "config.json", settings | config)
    return open_checkpoint(folder)


def test_a_missing_tensor_is_named(tmp_path):
    name = "encoder.layer.1.attention.self.key.bias"
    with pytest.raises(CheckpointError, match=f"no tensor {name}: pull"):
        openvino_graph.build(broken(tmp_path, drop=name))


def test_a_tensor_of_a_wrong_shape_is_named(tmp_path):
    name = "encoder.layer.2.output.dense.weight"
    with pytest.raises(CheckpointError, match=rf"tensor {name} has shape \(31, 64\), its config.json means \(32, 64\)"):
        openvino_graph.build(broken(tmp_path, cut=name))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hidden_act": "swish"}, "no hidden_act 'swish', only gelu"),
        ({"position_embedding_type": "relative_key"}, "no position_embedding_type 'relative_key'"),
        ({"model_type": "deberta"}, "no architecture 'deberta', only bert"),
    ],
)
def test_what_the_graph_does_not_cover_is_refused(tmp_path, config, message):
    with pytest.raises(EngineError, match=message):
        openvino_graph.build(broken(tmp_path, **config))


def test_other_pooling_and_outputs_are_refused(tiny_bert):
    checkpoint = open_checkpoint(tiny_bert)
    with pytest.raises(EngineError, match="tiny-bert gives no output 'sparse'"):
        list(OpenVINOEngine(checkpoint, Choice("fp32", "asked for")).run([], ("dense", "sparse")))
    with pytest.raises(EngineError, match="no pooling 'last', only cls, mean"):
        openvino_graph.build(dataclasses.replace(checkpoint, pooling="last"))


@pytest.mark.parametrize("activation", sorted(openvino_encoder.ACTIVATIONS))
def test_activations_are_those_of_torch(activation):
    from transformers.activations import ACT2FN

    torch = pytest.importorskip("torch")
    values = np.linspace(-6, 6, 101, dtype=np.float32)
    x = openvino_encoder.ops.parameter([-1], np.float32)
    model = openvino_graph.ov.Model([openvino_encoder.ACTIVATIONS[activation](x)], [x], "activation")
    compiled = openvino_graph.ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected = ACT2FN[activation](torch.from_numpy(values)).numpy()
    assert np.abs(compiled([values])[0] - expected).max() < 1e-5
