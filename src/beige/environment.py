"""The environment variables and folders that Beige obeys; the one place where they are read."""

import os
from pathlib import Path

HOME = "BEIGE_HOME"
INDEX = "BEIGE_INDEX"
OFFLINE = "BEIGE_OFFLINE"

_TRUE = {"1", "true", "yes", "on"}


def _flag(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in _TRUE


def offline() -> bool:
    """Whether no socket may leave the machine: `BEIGE_OFFLINE`, or the Hub's own `HF_HUB_OFFLINE`."""
    return _flag(OFFLINE) or _flag("HF_HUB_OFFLINE")


def home() -> Path:
    """The folder of pulled checkpoints: `BEIGE_HOME`, else `$XDG_CACHE_HOME/beige`, else `~/.cache/beige`."""
    if path := os.environ.get(HOME):
        return Path(path).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "beige"


def default_index() -> str:
    """Where the index is when no `--index` says so: `BEIGE_INDEX`, else `.beige` in the current folder."""
    return os.environ.get(INDEX) or ".beige"


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
