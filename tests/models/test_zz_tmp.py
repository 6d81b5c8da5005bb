import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beige.errors import CheckpointError
from beige.models.torch_file import TorchFile

torch = pytest.importorskip("torch")

READ = {
    torch.float64: np.float64,
    torch.float32: np.float32,
    torch.float16: np.float16,
    torch.bfloat16: np.float32,
    torch.int64: np.int64,
    torch.int32: np.int32,
    torch.int16: np.int16,
    torch.int8: np.int8,
    torch.uint64: np.uint64,
    torch.uint32: np.uint32,
    torch.uint16: np.uint16,
    torch.uint8: np.uint8,
    torch.bool: np.bool_,
}
REFUSED = [torch.complex64, torch.complex128, torch.float8_e4m3fn, torch.float8_e5m2]
PROTOCOLS = [2, 3, 4, 5]


def numbers(dtype):
    values = torch.arange(15).reshape(3, 5) * 7 - 20
    return values > 0 if dtype is torch.bool else values.abs().to(dtype)


def check(path, tensors):
    read = TorchFile(path)
    assert list(read) == list(tensors)
    for name, tensor in tensors.items():
        expected = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).detach().numpy()
        assert read[name].dtype == READ[tensor.dtype]
        np.testing.assert_array_equal(read[name], expected, strict=True)


def state_pickle(*, kind="FloatStorage", key="0", count=6, offset=0, shape=(2, 3), strides=(3, 1)):
    """The pickle of `{"weight": tensor}` as `torch.save` writes it, with what it states at will."""

    def push(value):
        return pickle.dumps(value, 2)[2:-1]

    storage = push("storage") + f"ctorch\n{kind}\n".encode() + push(key) + push("cpu") + push(count)
    tensor = b"(" + storage + b"tQ" + push(offset) + push(shape) + push(strides) + push(False) + push(None)
    return b"\x80\x02}" + push("weight") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + tensor + b"tRs."


def archive(folder, pickled, data=bytes(24), byteorder=b"little"):
    """An archive as `torch.save` lays it out, with a pickle at will."""
    path = folder / "model.bin"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/data.pkl", pickled)
        if byteorder is not None:
            file.writestr("model/byteorder", byteorder)
        file.writestr("model/data/0", data)
    return path


@pytest.mark.parametrize("dtype", READ, ids=str)
def test_reads_every_dtype(dtype, tmp_path):
    tensors = {"whole": numbers(dtype), "turned": numbers(dtype).T, "alone": numbers(dtype)[1, 2]}
    torch.save(tensors, tmp_path / "model.bin")
    check(tmp_path / "model.bin", tensors)


@pytest.mark.parametrize("dtype", REFUSED, ids=str)
def test_refuses_other_dtypes_by_name(dtype, tmp_path):
    torch.save({"weight": torch.zeros(2, dtype=dtype)}, tmp_path / "model.bin")
    with pytest.raises(CheckpointError, match=r"model\.bin is not read: it asks for torch (Complex|float8)"):
        TorchFile(tmp_path / "model.bin")


def test_refuses_quantised_and_sparse_tensors_by_name(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that quantised tensors are going away
        quantised = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    for tensor, name in ((quantised, "_rebuild_qtensor"), (torch.eye(3).to_sparse(), "_rebuild_sparse_tensor")):
        torch.save({"weight": tensor}, tmp_path / "model.bin")
        with pytest.raises(CheckpointError, match=name):
            TorchFile(tmp_path / "model.bin")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_a_module_with_its_metadata(protocol, tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3), torch.nn.Embedding(5, 2))
    torch.save(module.state_dict(), tmp_path / "head.pt", pickle_protocol=protocol)
    check(tmp_path / "head.pt", module.state_dict())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_every_layout(protocol, tmp_path):
    base = torch.arange(120.0).reshape(4, 5, 6)
    tensors = OrderedDict(
        base=base,
        same=base,
        tied=base.view(20, 6),
        slice=base[1:3, ::2, 1:],
        permuted=base.permute(2, 0, 1),
        expanded=base[0, 0, :1].expand(3, 4),
        empty=torch.zeros(0, 7),
        number=torch.tensor(3.5),
        parameter=torch.nn.Parameter(base[2]),
        half=base.to(torch.bfloat16).permute(2, 1, 0)[:, 1],
    )
    torch.save(tensors, tmp_path / "model.bin", pickle_protocol=protocol)
    check(tmp_path / "model.bin", tensors)


def test_maps_what_lies_contiguously(tmp_path):
    torch.save({"a": torch.ones(8, 8), "part": torch.arange(64.0)[16:32]}, tmp_path / "model.bin")
    read = TorchFile(tmp_path / "model.bin")
    assert all(np.shares_memory(read[name], read._map) and not read[name].flags.writeable for name in read)


@pytest.mark.parametrize(("order", "byteorder"), [(">", b"big"), ("<", b"little"), ("<", None)])
def test_reads_either_byte_order(order, byteorder, tmp_path):
    """Files from before torch 2.0 do not state it."""
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = archive(tmp_path, state_pickle(), values.astype(f"{order}f4").tobytes(), byteorder)
    np.testing.assert_array_equal(TorchFile(path)["weight"], values, strict=True)


def test_reads_bfloat16_of_the_other_byte_order(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    stored = (values.view(np.uint32) >> 16).astype(">u2").tobytes()
    path = archive(tmp_path, state_pickle(kind="BFloat16Storage"), stored, b"big")
    np.testing.assert_array_equal(TorchFile(path)["weight"], values, strict=True)


def test_refuses_the_old_format_and_bare_pickles_with_the_remedy(tmp_path):
    old, bare = tmp_path / "old.bin", tmp_path / "bare.bin"
    torch.save({"a": torch.ones(2)}, old, _use_new_zipfile_serialization=False)
    bare.write_bytes(pickle.dumps({"a": np.ones(2)}))
    for path in (old, bare):
        with pytest.raises(CheckpointError, match=r"before version 1\.6; .*safetensors\.torch\.save_file"):
            TorchFile(path)


class Bomb:
    """What a hostile file holds: unpickling it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_never_runs_what_a_file_asks_for(protocol, tmp_path):
    trace = tmp_path / "was-run"
    torch.save({"weight": torch.ones(2), "bomb": Bomb(trace)}, tmp_path / "model.bin", pickle_protocol=protocol)
    with pytest.raises(CheckpointError, match=r"it asks for (pathlib|builtins|__builtin__)"):
        TorchFile(tmp_path / "model.bin")
    assert not trace.exists()
    torch.load(tmp_path / "model.bin", weights_only=False)
    assert trace.exists()  # the file was a bomb


@pytest.mark.parametrize(
    ("pickled", "said"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "os system"),
        (b"\x80\x02cbuiltins\neval\nX\x04\x00\x00\x001+1\x85R.", "builtins eval"),
        (b"\x80\x02}X\x01\x00\x00\x00aK\x01s.", "under 'a' it holds a int"),
        (b"\x80\x02]K\x01a.", "no state dictionary"),
        (b"\x80\x02}K\x01K\x01s.", "keys are no names"),
        (b"\x80\x02}}X\x05\x00\x00\x00classX\x01\x00\x00\x00asb.", "sets attributes"),
        (b"\x80\x02X\x17\x00\x00\x00collections OrderedDict)R.", "calls what is no function"),
        (b"\x80\x02ccollections\nOrderedDict\n}\x85R.", "in a way that torch does not"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "in a way that torch does not"),
        (b"\x80\x02K\x01Q.", "refers to what is no storage"),
        (b"\x80\x02}K\x01a.", "appends to what is no list"),
        (b"\x80\x02}", "damaged"),
        (b"", "damaged"),
        (b"\x80\x02r\xff\xff\xff\xff.", "damaged"),
    ],
)
def test_refuses_pickles_that_hold_something_else(pickled, said, tmp_path):
    with pytest.raises(CheckpointError, match=said):
        TorchFile(archive(tmp_path, pickled))


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"offset": 1}, "reaches outside"),
        ({"offset": 1 << 70}, "reaches outside"),
        ({"offset": -1}, "proper shape"),
        ({"offset": 0.0}, "proper shape"),
        ({"strides": (4, 1)}, "reaches outside"),
        ({"strides": (-1, 1)}, "proper shape"),
        ({"strides": (3,)}, "proper shape"),
        ({"shape": (2, 4)}, "reaches outside"),
        ({"shape": (1 << 40, 3), "strides": (0, 1)}, "larger than the whole file"),
        ({"shape": (0, 1 << 70)}, "larger than the whole file"),
        ({"shape": (1,) * 40, "strides": (1,) * 40}, "larger than the whole file"),
        ({"count": 7}, "does not hold the numbers"),
        ({"key": "9"}, "does not hold the numbers"),
        ({"key": "../byteorder"}, "does not hold the numbers"),
        ({"kind": "DoubleStorage"}, "does not hold the numbers"),
        ({"kind": "FloatTensor"}, "torch FloatTensor"),
    ],
)
def test_refuses_tensors_that_do_not_fit_their_numbers(stated, said, tmp_path):
    with pytest.raises(CheckpointError, match=said):
        TorchFile(archive(tmp_path, state_pickle(**stated)))


def test_refuses_compressed_archives(tmp_path):
    path = tmp_path / "bomb.bin"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model/data.pkl", state_pickle(count=1 << 24, shape=(1 << 24,), strides=(1,)))
        file.writestr("model/data/0", bytes(1 << 26))
    with pytest.raises(CheckpointError, match="compressed"):
        TorchFile(path)


def entry(content, name):
    """Where a record's entry begins in the directory at the archive's end."""
    return content.rindex(name) - 46


def test_refuses_records_of_another_header(tmp_path):
    path = archive(tmp_path, state_pickle())
    content = bytearray(path.read_bytes())
    one, other = entry(content, b"model/data/0"), entry(content, b"model/byteorder")
    content[other + 42 : other + 46] = content[one + 42 : one + 46]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not where its directory says"):
        TorchFile(path)


def test_refuses_overlapping_records(tmp_path):
    path = archive(tmp_path, state_pickle())
    content = bytearray(path.read_bytes())
    place = entry(content, b"model/data.pkl") + 20
    size = struct.unpack_from("<I", content, place)[0] + 64
    struct.pack_into("<II", content, place, size, size)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="overlap"):
        TorchFile(path)


def test_refuses_two_records_of_one_name(tmp_path):
    path = archive(tmp_path, state_pickle())
    with zipfile.ZipFile(path, "a") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.writestr("model/data/0", bytes(24))
    with pytest.raises(CheckpointError, match="two records data/0"):
        TorchFile(path)


@pytest.mark.parametrize("content", [b"", b"P", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"version https://git-lfs"])
def test_refuses_what_is_no_torch_file(content, tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is not read"):
        TorchFile(path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file with several dtypes and layouts, and what it holds."""
    folder = tmp_path_factory.mktemp("saved")
    base = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    tensors = {"base": base, "turned": base.T, "half": base.bfloat16(), "whole": torch.arange(5)}
    torch.save(tensors, folder / "model.bin")
    return folder / "damaged.bin", (folder / "model.bin").read_bytes(), TorchFile(folder / "model.bin")


def survives(path, content, expected):
    """Whether the file is read; if it is, everything in it is right."""
    path.write_bytes(content)
    try:
        read = TorchFile(path)
        values = {name: read[name] for name in read}
    except CheckpointError:
        return False
    assert values.keys() == expected.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(value, expected[name], strict=True)
    return True


def test_every_flipped_byte_is_refused_or_harmless(saved):
    path, content, expected = saved
    masks = np.random.default_rng(0).integers(1, 256, len(content))
    survived = 0
    for place, mask in enumerate(masks):
        damaged = bytearray(content)
        damaged[place] ^= int(mask)
        survived += survives(path, bytes(damaged), expected)
    assert 0 < survived < len(content)  # padding and unused fields do no harm


def test_every_truncation_is_refused(saved):
    path, content, expected = saved
    assert not any(survives(path, content[:end], expected) for end in range(0, len(content), 7))


@settings(max_examples=20000, deadline=None)
@given(st.data())
def test_damaged_pickles_are_refused_or_bounded(tmp_path_factory, data):
    """With a right checksum the interpreter itself is met: whatever opcodes come, only a CheckpointError leaves it."""
    pickled = bytearray(state_pickle())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(pickled) - 1))
        pickled[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    path = archive(tmp_path_factory.getbasetemp(), bytes(pickled))
    try:
        read = TorchFile(path)
        assert all(value.nbytes <= 1 << 20 for value in read.values())
    except CheckpointError:
        pass
