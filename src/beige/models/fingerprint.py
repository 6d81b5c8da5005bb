"""What made an index's vectors, as one hash; the hash of the large files is cached by their size and time."""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beige.environment import home
from beige.models.layout import TOKENIZER, read_json
from beige.models.tensors import open_file, weight_files

_UNUSED = ("pooler.", "cls.", "lm_head.", "classifier.")
_TABLES = ("embeddings.position_ids", "embeddings.token_type_ids")


def used(name: str) -> bool:
    """Whether an embedder's graph uses a tensor: not the pooler, task heads, or tables that only count upwards."""
    return not name.startswith(_UNUSED) and name not in _TABLES


def fingerprint(
    folder: Path,
    tensors: Mapping[str, NDArray[Any]],
    settings: Mapping[str, object],
    *,
    heads: Sequence[Path] = (),
    heads_within: bool = False,
) -> str:
    """Hash a checkpoint.

    Args:
        folder: the checkpoint; its tokenizer is hashed as it tokenizes, without the truncation and padding that
            a publisher left switched on.
        tensors: by canonical name; those that the graph uses are hashed as fp32.
        settings: pooling, document template, dimension.
        heads: the files of heads beside the backbone.
        heads_within: whether heads among the tensors are hashed too, as rerankers need them.

    Returns:
        Hex sha256.
    """
    files = (*weight_files(folder), *heads, folder / TOKENIZER)
    state = {str(file.resolve()): [file.stat().st_size, file.stat().st_mtime_ns] for file in files}
    record = home() / "fingerprints" / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]}.json"
    cached = _read(record)
    if cached.get("files") != state:
        cached = {"files": state, "contents": _contents(folder, tensors, heads, heads_within)}
        _write(record, cached)
    whole = json.dumps([cached["contents"], settings], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def _contents(folder: Path, tensors: Mapping[str, NDArray[Any]], heads: Sequence[Path], within: bool) -> str:
    digest = hashlib.sha256()

    def add(name: str, stored: NDArray[Any]) -> None:
        tensor = np.ascontiguousarray(stored, np.float32)
        digest.update(f"{name}{tensor.shape}".encode())
        digest.update(tensor.data)

    for name in sorted(name for name in tensors if within or used(name)):
        add(name, tensors[name])
    for file in heads:
        for name, tensor in open_file(file).items():
            add(f"{file.stem}.{name}", tensor)
    tokenizer = read_json(folder / TOKENIZER)
    kept = {key: value for key, value in tokenizer.items() if key not in {"version", "truncation", "padding"}}
    digest.update(json.dumps(kept, sort_keys=True).encode())
    return digest.hexdigest()


def _read(record: Path) -> dict[str, Any]:
    try:
        value = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # no record, or a damaged one: it is only a cache
    return value if isinstance(value, dict) else {}


def _write(record: Path, value: Mapping[str, Any]) -> None:
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=record.parent, delete=False, encoding="utf-8") as file:
            json.dump(value, file)
        Path(file.name).replace(record)
    except OSError:
        pass  # a home that cannot be written costs the time of hashing again, nothing else
