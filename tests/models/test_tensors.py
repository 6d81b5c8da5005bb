"""Safetensors as mapped arrays: the stored values, in every dtype, single or in shards; damaged files are named."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch

from beige.errors import CheckpointError
from beige.models.tensors import open_tensors


def test_values_equal_the_librarys_and_are_read_only_views(tiny_bert: Path) -> None:
    ours, theirs = open_tensors(tiny_bert, ()), load_file(tiny_bert / "model.safetensors")
    assert set(ours) == set(theirs)
    assert len(ours) == len(theirs)
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(ours[name], tensor)
        assert ours[name].dtype == tensor.dtype
        assert not ours[name].flags.writeable
        assert not ours[name].flags.owndata


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool]
)
def test_every_dtype_keeps_its_values(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = (torch.randn(5, 7) * 3).to(dtype)
    save_torch({"a": tensor, "empty": tensor[:0], "scalar": tensor[0, 0].clone()}, tmp_path / "model.safetensors")
    read = open_tensors(tmp_path, ())
    np.testing.assert_array_equal(read["a"], tensor.float().numpy() if dtype is torch.bfloat16 else tensor.numpy())
    assert read["empty"].shape == (0, 7)
    assert read["scalar"].shape == ()


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_bfloat16_is_widened_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    folder = tmp_path_factory.mktemp("bf16")
    tensor = torch.tensor(values).to(torch.bfloat16)
    save_torch({"a": tensor}, folder / "model.safetensors")
    np.testing.assert_array_equal(open_tensors(folder, ())["a"], tensor.float().numpy())


@pytest.mark.parametrize(("prefix", "expected"), [("bert.", "bert."), ("roberta.", "roberta."), ("", "")])
def test_a_backbones_prefix_is_taken_off_and_heads_keep_their_names(tmp_path: Path, prefix: str, expected: str) -> None:
    ones = np.ones(2, np.float32)
    save_file({f"{prefix}embeddings.x": ones, "classifier.bias": ones}, tmp_path / "model.safetensors")
    assert set(open_tensors(tmp_path, ("bert.", "roberta."))) == {"embeddings.x", "classifier.bias"}


def test_shards_read_as_one(tmp_path: Path, tiny_bert: Path) -> None:
    whole = load_file(tiny_bert / "model.safetensors")
    names = sorted(whole)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, kept in shards.items():
        save_file({name: whole[name] for name in kept}, tmp_path / file)
    weight_map = {name: file for file, kept in shards.items() for name in kept}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    read = open_tensors(tmp_path, ())
    assert set(read) == set(whole)
    for name in names:
        np.testing.assert_array_equal(read[name], whole[name])
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model-00002-of-00002"):
        open_tensors(tmp_path, ())
    for damaged in ("{", '{"weight_map": 3}', "[]", "{}"):
        index.write_text(damaged)
        with pytest.raises(CheckpointError, match="index"):
            open_tensors(tmp_path, ())


def test_torchs_files_read_as_safetensors_do(tmp_path: Path, tiny_bert: Path) -> None:
    whole = {
        f"bert.{name}": torch.from_numpy(tensor) for name, tensor in load_file(tiny_bert / "model.safetensors").items()
    }
    single, sharded = tmp_path / "single", tmp_path / "sharded"
    single.mkdir()
    sharded.mkdir()
    torch.save(whole, single / "pytorch_model.bin")
    names = sorted(whole)
    shards = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for file, kept in shards.items():
        torch.save({name: whole[name] for name in kept}, sharded / file)
    weight_map = {name: file for file, kept in shards.items() for name in kept}
    (sharded / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    expected = open_tensors(tiny_bert, ())
    for folder in (single, sharded):
        read = open_tensors(folder, ("bert.",))
        assert set(read) == set(expected)
        for name in read:
            np.testing.assert_array_equal(read[name], expected[name], strict=True)
            assert not read[name].flags.owndata


def test_safetensors_are_preferred_to_a_pickle_beside_them(tmp_path: Path) -> None:
    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "model.safetensors")
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    assert not open_tensors(tmp_path, ())["a"].any()


def test_a_shard_outside_the_folder_is_not_opened(tmp_path: Path, tiny_bert: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.safetensors").write_bytes((tiny_bert / "model.safetensors").read_bytes())
    (inside / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    with pytest.raises(CheckpointError, match="secret"):
        open_tensors(inside, ())


def test_a_folder_without_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        open_tensors(tmp_path, ())


def damage(content: bytes) -> dict[str, bytes]:
    length = struct.unpack("<Q", content[:8])[0]
    return {
        "empty": b"",
        "eight bytes": content[:8],
        "cut in the header": content[: 8 + length // 2],
        "cut in the data": content[:-1],
        "longer than said": content + b"x",
        "a header of 2**63 bytes": struct.pack("<Q", 1 << 63) + content[8:],
        "no JSON": content[:8] + b"x" * length + content[8 + length :],
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(200),
    }


@pytest.mark.parametrize("kind", list(damage(struct.pack("<Q", 2) + b"{}")))
def test_a_damaged_file_is_named(tmp_path: Path, tiny_bert: Path, kind: str) -> None:
    damaged = damage((tiny_bert / "model.safetensors").read_bytes())[kind]
    (tmp_path / "model.safetensors").write_bytes(damaged)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        open_tensors(tmp_path, ())


def test_a_dtype_that_is_not_read_is_named(tmp_path: Path) -> None:
    save_torch({"a": torch.zeros(2, 2).to(torch.float8_e4m3fn)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="F8_E4M3"):
        open_tensors(tmp_path, ())
