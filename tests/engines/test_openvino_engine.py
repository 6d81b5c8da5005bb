import shutil
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from beige.engines import open_engine
from beige.engines import openvino_engine as module
from beige.engines.openvino_engine import OpenVINOEngine
from beige.engines.precision import Choice
from beige.errors import EngineError, NotFiniteError, UsageError
from beige.models.checkpoint import open_checkpoint
from beige.models.tokenizer import Tokens
from tests import checkpoints
from tests.engines.inputs import DENSE, NAN_TOKEN, check_one_vector, dense, texts


@pytest.fixture(scope="module")
def engine(tiny_bert):
    return OpenVINOEngine(open_checkpoint(tiny_bert), Choice("fp32", "asked for"))


@pytest.fixture(scope="module")
def sick_engine(tmp_path_factory):
    """An engine whose checkpoint has NaN in one token's embedding."""
    folder = checkpoints.tiny_bert(tmp_path_factory.mktemp("sick") / "sick-bert")
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"][NAN_TOKEN] = np.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return OpenVINOEngine(open_checkpoint(folder), Choice("fp32", "asked for"))


@pytest.mark.parametrize("pooling", ["tiny_bert", "tiny_mean_bert"])
def test_a_text_has_one_vector_alone_and_in_any_batch_and_order(pooling, request):
    engine = OpenVINOEngine(open_checkpoint(request.getfixturevalue(pooling)), Choice("fp32", "asked for"))
    check_one_vector(engine, texts(300))


def test_windows_do_not_change_results(engine, monkeypatch):
    inputs = texts(100)
    expected = dense(engine, inputs)
    monkeypatch.setattr("beige.engines.batches.WINDOW_TEXTS", 7)
    assert np.abs(dense(engine, inputs) - expected).max() < 1e-5


def test_results_stream_and_reading_ahead_is_bounded(engine, monkeypatch):
    monkeypatch.setattr("beige.engines.batches.WINDOW_TEXTS", 10)
    monkeypatch.setattr(module, "BUDGET", 64)
    inputs, read = texts(400), []
    stream = engine.run((read.append(n) or text for n, text in enumerate(inputs)), DENSE)
    assert not read
    ahead = []
    for given, _ in enumerate(stream, 1):
        ahead.append(len(read) - given)
    assert given == 400
    assert max(ahead) < 60


def test_nothing_gives_nothing(engine):
    assert list(engine.run([], DENSE)) == []


def test_threads_share_an_engine(engine):
    inputs = [texts(60, seed=seed) for seed in range(6)]
    expected = [dense(engine, part) for part in inputs]
    found: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        for _ in range(4):
            found[number] = dense(engine, inputs[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(6):
        assert np.abs(found[number] - expected[number]).max() < 1e-5


def test_a_paused_stream_blocks_no_other(engine, monkeypatch):
    monkeypatch.setattr(module, "BUDGET", 32)
    inputs = texts(50)
    paused = engine.run(inputs, DENSE)
    first = next(paused)["dense"]
    whole = dense(engine, inputs)
    assert np.abs(first - whole[0]).max() < 1e-5
    assert len(list(paused)) == 49


def test_an_abandoned_stream_leaves_the_engine_usable(engine, monkeypatch):
    monkeypatch.setattr(module, "BUDGET", 32)
    inputs = texts(50)
    expected = dense(engine, inputs)
    for taken in range(5):
        stream = engine.run(inputs, DENSE)
        for _ in range(taken):
            next(stream)
        stream.close()
    assert np.abs(dense(engine, inputs) - expected).max() < 1e-5


def test_an_error_of_the_input_passes_through_and_leaves_the_engine_usable(engine):
    def failing() -> Iterator[Tokens]:
        yield from texts(20)
        raise ZeroDivisionError("from the input")

    with pytest.raises(ZeroDivisionError, match="from the input"):
        list(engine.run(failing(), DENSE))
    assert len(dense(engine, texts(20))) == 20


def test_an_error_of_the_device_is_an_engine_error_and_leaves_the_engine_usable(engine):
    outside = Tokens(np.full(200, 7, np.int32), 200, False)  # more than the position table holds
    with pytest.raises(EngineError, match="OpenVINO could not run tiny-bert"):
        list(engine.run([outside], DENSE))
    assert len(dense(engine, texts(20))) == 20


def test_a_vector_that_is_not_finite_names_its_text(sick_engine):
    inputs = texts(60)
    inputs[41] = Tokens(np.array([7, NAN_TOKEN, 8], np.int32), 3, False)
    with pytest.raises(NotFiniteError, match=r"text 41 \(counted from 0\) gives a vector that is not finite"):
        list(sick_engine.run(inputs, DENSE))
    del inputs[41]
    assert np.isfinite(dense(sick_engine, inputs)).all()


def test_one_batch_gives_what_a_run_gives(engine):
    inputs = texts(20)
    found = np.stack([raw["dense"] for raw in engine.run_batch(inputs, DENSE)])
    assert np.abs(found - dense(engine, inputs)).max() < 1e-5


def test_in_one_batch_only_the_text_that_is_not_finite_fails(sick_engine):
    inputs = texts(6)
    inputs[4] = Tokens(np.array([7, NAN_TOKEN, 8], np.int32), 3, False)
    found = sick_engine.run_batch(inputs, DENSE)
    assert [isinstance(raw, NotFiniteError) for raw in found] == [False] * 4 + [True, False]
    assert all(np.isfinite(raw["dense"]).all() for raw in found if not isinstance(raw, NotFiniteError))


def test_the_engine_outlives_the_checkpoint_object(tiny_bert):
    engines = [OpenVINOEngine(open_checkpoint(tiny_bert), Choice("fp32", "asked for")) for _ in range(3)]
    inputs = texts(30)
    vectors = [dense(engine, inputs) for engine in engines]
    stream = engines.pop().run(inputs, DENSE)
    del engines
    assert np.array_equal(np.stack([raw["dense"] for raw in stream]).round(4), vectors[0].round(4))


def test_open_engine_says_what_there_is(tiny_bert):
    checkpoint = open_checkpoint(tiny_bert)
    engine = open_engine(checkpoint, precision="fp32")
    assert (engine.device, engine.choice.precision) == ("cpu", "fp32")
    with pytest.raises(UsageError, match="no device 'tpu': take auto, cpu"):
        open_engine(checkpoint, device="tpu")
    with pytest.raises(UsageError, match="no precision 'fp8': take one of auto, fp32, bf16, fp16, int8"):
        open_engine(checkpoint, precision="fp8")


def test_a_bias_of_all_keys_changes_nothing(engine, tiny_bert, tmp_path):
    """It is no attention's business; in bf16 a large one rounded away what differs between the keys."""
    folder = shutil.copytree(tiny_bert, tmp_path / "biased")
    tensors = load_file(folder / "model.safetensors")
    for name in tensors:
        if name.endswith("attention.self.key.bias"):
            tensors[name] += 300
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    biased = OpenVINOEngine(open_checkpoint(folder), Choice("fp32", "asked for"))
    assert np.array_equal(dense(biased, texts(20)), dense(engine, texts(20)))


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 2)
    monkeypatch.setattr(module, "ALONE", range(1 << 40))


def test_a_text_that_comes_alone_has_all_cores_from_the_second_on(tiny_bert, two_cores):
    engine = OpenVINOEngine(open_checkpoint(tiny_bert), Choice("fp32", "asked for"))
    inputs = texts(8)
    expected = dense(engine, inputs)
    (first,) = dense(engine, inputs[:1])
    assert engine._alone is None, "one question is answered without it"
    (second,) = dense(engine, inputs[1:2])
    assert engine._alone is not None
    found = [first, second, *(dense(engine, [text])[0] for text in inputs[2:5])]
    found += [engine.run_batch([text], DENSE)[0]["dense"] for text in inputs[5:]]
    assert np.abs(np.stack(found) - expected).max() < 1e-5
    assert not engine._many.busy
    assert not engine._alone.busy
    assert len(engine._alone._idle) == 1


def test_a_text_beside_others_takes_no_more_than_a_stream(tiny_bert, two_cores):
    engine = OpenVINOEngine(open_checkpoint(tiny_bert), Choice("fp32", "asked for"))
    inputs = texts(300)
    for text in inputs[:3]:
        dense(engine, [text])
    stream = engine.run(inputs, DENSE)
    next(stream)
    assert engine._many.busy
    assert engine._compiled_for([module.Batch((0,), (inputs[0],))]) is engine._many
    stream.close()
    assert engine._compiled_for([module.Batch((0,), (inputs[0],))]) is engine._alone
    assert engine._compiled_for([module.Batch((0, 1), (inputs[0], inputs[1]))]) is engine._many


@pytest.mark.parametrize(("name", "value"), [("ALONE", range(0)), ("STREAMS", 1)])
def test_large_models_and_one_core_have_one_compiled_graph(tiny_bert, two_cores, monkeypatch, name, value):
    monkeypatch.setattr(module, name, value)
    engine = OpenVINOEngine(open_checkpoint(tiny_bert), Choice("fp32", "asked for"))
    for text in texts(3):
        dense(engine, [text])
    assert engine._alone is None


def test_threads_that_ask_alone_share_one_more_compiled_graph(tiny_bert, two_cores, monkeypatch):
    engine = OpenVINOEngine(open_checkpoint(tiny_bert), Choice("fp32", "asked for"))
    inputs = texts(40)
    expected = dense(engine, inputs)
    compiled = []
    compile_graph = OpenVINOEngine._compile
    monkeypatch.setattr(
        OpenVINOEngine, "_compile", lambda self, streams: compiled.append(streams) or compile_graph(self, streams)
    )
    found = {}

    def work(first: int) -> None:
        for place in range(first, 40, 4):
            found[place] = dense(engine, [inputs[place]])[0]

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(2):  # where every thread found another at work, none was alone
        dense(engine, inputs[:1])
    assert compiled == [1]
    assert np.abs(np.stack([found[place] for place in range(40)]) - expected).max() < 1e-5
