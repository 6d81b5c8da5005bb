import os
import signal
import threading
import time

import numpy as np
import pytest

from beige.engines.engine import open_engine
from beige.engines.exits import Exits
from beige.engines.precision import Choice
from beige.errors import CheckpointError, EngineError, MissingExtraError, NotFiniteError, UsageError
from beige.models.checkpoint import open_folder
from beige.models.tokenizer import Tokens
from tests import checkpoints, decoder_checkpoints, xlmr_checkpoints
from tests.engines.inputs import DENSE, NAN_TOKEN, check_one_vector, dense, texts

torch = pytest.importorskip("torch")

from beige.engines import torch_engine  # noqa: E402
from beige.engines.torch_engine import TorchEngine  # noqa: E402
from beige.engines.torch_pool import TorchPool  # noqa: E402

FP32 = Choice("fp32", "asked for")


@pytest.fixture(scope="module", params=["bert", "mistral", "gemma2", "qwen3"])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("engines") / request.param
    if request.param == "bert":
        return checkpoints.tiny_bert(path)
    return decoder_checkpoints.tiny_decoder(path, request.param)


@pytest.fixture
def engine(folder):
    return TorchEngine(open_folder(folder), "cpu", FP32)


@pytest.fixture
def vocabulary(folder):
    return open_folder(folder).config["vocab_size"]


def test_a_text_has_one_vector_alone_and_in_any_batch_and_order(engine, vocabulary):
    check_one_vector(engine, texts(40, vocabulary))


def test_no_texts_give_nothing(engine):
    assert list(engine.run([], DENSE)) == []


class Memory:
    """A model that runs out of memory above so many tokens of a batch, as a device would."""

    def __init__(self, model, tokens):
        self.model = model
        self.tokens = tokens
        self.refused = []
        self.ran = []

    def __call__(self, batch, ids, lengths, outputs):
        if ids.numel() > self.tokens:
            self.refused.append(ids.numel())
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.ran.append(ids.numel())
        return self.model(batch, ids, lengths, outputs)


@pytest.mark.parametrize("tokens", [150, 500, 900])
def test_too_little_memory_halves_the_budget_and_loses_nothing(engine, vocabulary, tokens):
    inputs = texts(40, vocabulary)
    expected = dense(engine, inputs)
    memory = engine._model = Memory(engine._model, tokens)
    assert np.abs(dense(engine, inputs) - expected).max() < 1e-5
    first = len(memory.refused)
    assert 0 < first <= 3  # 1024, 512, 256
    assert np.abs(dense(engine, inputs) - expected).max() < 1e-5
    assert len(memory.refused) == first  # the smaller budget is kept
    assert sum(count > tokens / 4 for count in memory.ran) > 3  # and is not smaller than it must be


def test_a_text_that_does_not_fit_alone_is_named(engine, vocabulary):
    inputs = [text for text in texts(60, vocabulary) if len(text.ids) < 50]
    inputs.insert(3, Tokens(np.full(99, 20, np.int32), 99, False))
    engine._model = Memory(engine._model, 70)
    with pytest.raises(
        EngineError, match=r"text 3 \(counted from 0\), of 99 tokens, does not fit into the memory of cpu"
    ):
        dense(engine, inputs)


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: an illegal memory access"), ValueError("x"), MemoryError()]
)
def test_any_other_error_is_raised_as_it_is_at_once(engine, vocabulary, error):
    calls = []

    def broken(*_):
        calls.append(1)
        raise error

    engine._model = broken
    with pytest.raises(type(error)) as caught:
        dense(engine, texts(60, vocabulary))
    assert caught.value is error
    assert len(calls) == 1


def test_several_threads_share_an_engine(engine, vocabulary):
    inputs = texts(40, vocabulary)
    expected = dense(engine, inputs)
    wrong = []

    def ask(seed):
        order = np.random.default_rng(seed).permutation(len(inputs))
        if np.abs(dense(engine, [inputs[place] for place in order]) - expected[order]).max() > 1e-5:
            wrong.append(seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def sick(path):
    from safetensors.numpy import load_file, save_file

    folder = decoder_checkpoints.tiny_decoder(path, "qwen2")
    tensors = load_file(folder / "model.safetensors")
    tensors["embed_tokens.weight"][NAN_TOKEN] = np.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_vector_that_is_not_finite_names_its_text(tmp_path):
    engine = TorchEngine(open_folder(sick(tmp_path / "sick")), "cpu", FP32)
    inputs = texts(30, 100)
    inputs[17] = Tokens(np.array([20, NAN_TOKEN, 30], np.int32), 3, False)
    with pytest.raises(NotFiniteError, match=r"text 17 \(counted from 0\)"):
        dense(engine, inputs)


def test_a_device_without_memory_for_the_model_is_said(folder, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch_engine, "open_model", full)
    with pytest.raises(EngineError, match="cpu has too little memory for"):
        TorchEngine(open_folder(folder), "cpu", FP32)


@pytest.fixture(scope="module")
def pool_and_single(tmp_path_factory):
    """Two processes on one CPU, and one engine that does the same."""
    folder = decoder_checkpoints.tiny_decoder(tmp_path_factory.mktemp("pool") / "model", "qwen3")
    checkpoint = open_folder(folder)
    return TorchPool(checkpoint, ("cpu", "cpu"), FP32), TorchEngine(checkpoint, "cpu", FP32)


def test_several_devices_give_what_one_gives(pool_and_single):
    pool, single = pool_and_single
    inputs = texts(100, 300)
    assert pool.device == "cpu,cpu"
    assert np.abs(dense(pool, inputs) - dense(single, inputs)).max() < 1e-5
    assert list(pool.run([], DENSE)) == []


def test_several_threads_share_several_devices(pool_and_single):
    pool, single = pool_and_single
    parts = [texts(30, 300, seed=seed) for seed in range(4)]
    found = {}
    threads = [
        threading.Thread(target=lambda number=number: found.update({number: dense(pool, parts[number])}))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, part in enumerate(parts):
        assert np.abs(found[number] - dense(single, part)).max() < 1e-5


def test_what_an_engine_raises_comes_back_from_its_process(pool_and_single):
    pool, single = pool_and_single
    with pytest.raises(EngineError, match="gives no output 'sparse'"):
        list(pool.run(texts(5, 300), ("sparse",)))
    assert np.abs(dense(pool, texts(5, 300)) - dense(single, texts(5, 300))).max() < 1e-5


@pytest.mark.timeout(120)
def test_a_dead_process_is_an_error_at_once_for_everybody(tmp_path):
    """Both processes are stopped, so that nobody can answer; then one dies."""
    pool = TorchPool(open_folder(decoder_checkpoints.tiny_decoder(tmp_path / "model", "qwen3")), ("cpu", "cpu"), FP32)
    dead, stuck = (worker.process for worker in pool._workers)
    for process in (dead, stuck):
        os.kill(process.pid, signal.SIGSTOP)
    said = []

    def ask():
        try:
            dense(pool, texts(40, 300))
        except EngineError as error:
            said.append(str(error))

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    time.sleep(0.2)
    assert not said
    dead.kill()
    while not said:
        time.sleep(0.01)
    assert "the process of cpu died (exit code -9)" in said[0]
    with pytest.raises(EngineError, match="died"):
        dense(pool, texts(5, 300))
    pool._finish()
    for thread in asking:
        thread.join()
    assert len(said) == 2
    assert stuck.poll() is not None


@pytest.mark.timeout(120)
def test_a_process_that_cannot_load_says_why(tmp_path):
    folder = decoder_checkpoints.tiny_decoder(tmp_path / "model", "qwen3")
    checkpoint = open_folder(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        TorchPool(checkpoint, ("cpu", "cpu"), FP32)


def test_decoders_run_in_torch_on_the_cpu(tmp_path):
    folder = decoder_checkpoints.tiny_decoder(tmp_path / "model", "mistral")
    engine = open_engine(open_folder(folder), "cpu", "bf16")
    assert (type(engine).__name__, engine.device, engine.choice.precision) == ("TorchEngine", "cpu", "bf16")
    with pytest.raises(EngineError, match="PyTorch has no int8"):
        open_engine(open_folder(folder), "cpu", "int8")
    with pytest.raises(UsageError, match="no precision 'fp8'"):
        open_engine(open_folder(folder), "cpu", "fp8")


def test_without_torch_a_decoder_says_what_to_install(tmp_path, monkeypatch):
    import sys

    folder = decoder_checkpoints.tiny_decoder(tmp_path / "model", "mistral")
    for name in ("torch_engine", "torch_pool"):
        monkeypatch.delitem(sys.modules, f"beige.engines.{name}")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'beige\[torch\]'"):
        open_engine(open_folder(folder))


def test_exits_are_refused_where_there_are_none(tiny_bert, tmp_path):
    with pytest.raises(UsageError, match="takes no layers"):
        open_engine(open_folder(tiny_bert), "cpu", "fp32", Exits((2,)))
    light = open_folder(decoder_checkpoints.tiny_lightweight_reranker(tmp_path / "light"))
    layerwise = open_folder(decoder_checkpoints.tiny_layerwise_reranker(tmp_path / "layerwise"))
    for checkpoint, exits, said in (
        (light, Exits((5,)), "no exit after layer 5: take some of 1 to 4"),
        (layerwise, Exits((1, 3)), "no exit after layer 1: take some of 2 to 4"),
        (light, Exits((3,), 3), "compression is 3; it must be one of 1, 2, 4, 8"),
        (light, Exits((3,), 2), "compression before layer 8 changes nothing when .* stops after layer 3"),
        (layerwise, Exits((3,), 2, (1,)), "does not compress"),
    ):
        with pytest.raises(UsageError, match=said):
            open_engine(checkpoint, "cpu", "fp32", exits)


def test_both_engines_give_the_same(tmp_path):
    from beige.engines.openvino_engine import OpenVINOEngine

    checkpoint = open_folder(xlmr_checkpoints.tiny_m3(tmp_path / "m3"))
    inputs = texts(50, checkpoint.config["vocab_size"])
    outputs = ("dense", "sparse", "multi")
    engines = [
        engine.run(inputs, outputs)
        for engine in (TorchEngine(checkpoint, "cpu", FP32), OpenVINOEngine(checkpoint, FP32))
    ]
    for one, other in zip(*engines, strict=True):
        for output in outputs:
            assert one[output].shape == other[output].shape
            assert np.abs(one[output] - other[output]).max(initial=0) < 1e-4
