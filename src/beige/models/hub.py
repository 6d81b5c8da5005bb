"""The Hub as a source, through `huggingface_hub` and into its cache, so that other tools find what was pulled."""

import hashlib
import re
import shutil
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from beige.environment import hub_cache, hub_endpoint
from beige.errors import ChecksumError, SourceError
from beige.models.layout import is_whole, sha256
from beige.models.tensors import INDEX, TORCH_INDEX, TORCH_WEIGHTS, WEIGHTS

_WEIGHTS = (
    (WEIGHTS, INDEX, "model-*-of-*.safetensors"),
    (TORCH_WEIGHTS, TORCH_INDEX, "pytorch_model-*-of-*.bin"),
)
"""What weights come as; the first form that a repository has is fetched."""

_DESCRIBED = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "[0-9]_*/config.json",
    "sparse_linear.pt",
    "colbert_linear.pt",
)
"""What a checkpoint is made of; ONNX exports, pictures and weights of other frameworks are left where they are."""

_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def present(repository: str) -> Path | None:
    """The snapshot of a repository's main branch, if it is whole on this machine.

    It follows the layout that `huggingface_hub` documents for its cache: importing that library for this would cost
    a cold search more than the search itself.
    """
    cached = hub_cache() / f"models--{repository.replace('/', '--')}"
    try:
        commit = (cached / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    snapshot = cached / "snapshots" / commit
    return snapshot if is_whole(snapshot) else None


def fetch(repository: str) -> Path:
    """Fetch what is missing of a repository, verify all of it, and give its snapshot folder.

    A broken download goes on where it stopped. The weights come last, so that where they are, the rest is.

    Raises:
        SourceError: the Hub cannot be reached, or has no such repository, or it holds no weights.
        ChecksumError: a file is not the one that the Hub lists; it is deleted.
    """
    from huggingface_hub import HfApi, snapshot_download

    # HTTPError is httpx's, of whichever version huggingface_hub is built on.
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        HTTPError,
        RepositoryNotFoundError,
    )

    cache, endpoint = hub_cache(), hub_endpoint()
    try:
        # The one request of the library that is not repeated for half a minute where there is no network.
        files = [file.rfilename for file in HfApi(endpoint=endpoint).model_info(repository).siblings or ()]
        described = _matching(files, _DESCRIBED)
        weights = next(filter(None, (_matching(files, form) for form in _WEIGHTS)), [])
        if not weights:
            raise SourceError(f"{repository} holds neither {WEIGHTS} nor {TORCH_WEIGHTS}, which Beige reads")
        snapshot_download(repository, cache_dir=cache, endpoint=endpoint, allow_patterns=described)
        snapshot = Path(
            snapshot_download(repository, cache_dir=cache, endpoint=endpoint, allow_patterns=[*described, *weights])
        )
    except GatedRepoError as error:
        raise SourceError(f"{repository} asks for its licence to be accepted there, and for HF_TOKEN here") from error
    except RepositoryNotFoundError as error:
        raise SourceError(f"it has no repository {repository}, or none that HF_TOKEN may see") from error
    except (HFValidationError, EntryNotFoundError, HTTPError, OSError) as error:
        raise SourceError(f"{repository} could not be fetched: {_sentence(error)}") from error
    verify(snapshot)
    if not is_whole(snapshot):
        raise SourceError(f"{repository} lacks config.json, tokenizer.json or some of its weights")
    return snapshot


def verify(snapshot: Path) -> None:
    """Check every file of a snapshot against its content's name in the cache.

    The Hub names large files by their sha256, small ones by git's hash of a blob.

    Raises:
        ChecksumError: a file differs; it is deleted, so that the next pull fetches it anew.
    """
    for file in sorted(path for path in snapshot.rglob("*") if path.is_file()):
        blob = file.resolve()
        if not _DIGEST.fullmatch(blob.name):
            continue  # a cache on a file system without links keeps no names to check against
        if _digest(blob) != blob.name:
            blob.unlink()
            shutil.rmtree(snapshot)  # links alone; without one of its files a checkpoint must not look whole
            raise ChecksumError(f"{file.name} has not the checksum {blob.name} that the Hub lists; it was deleted")


def _digest(blob: Path) -> str:
    if len(blob.name) == 64:
        return sha256(blob)
    content = blob.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _matching(files: Iterable[str], patterns: tuple[str, ...]) -> list[str]:
    return [
        name
        for name in files
        if any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in patterns)
    ]


def _sentence(error: BaseException) -> str:
    """The first line of what a library said, which may be long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
