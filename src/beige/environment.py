"""The environment variables and folders that Beige obeys; the one place where they are read."""

import math
import os
from pathlib import Path
from urllib.parse import urlsplit

HOME = "BEIGE_HOME"
INDEX = "BEIGE_INDEX"
OFFLINE = "BEIGE_OFFLINE"
QDRANT_KEY = "BEIGE_QDRANT_API_KEY"
SERVER_KEY = "BEIGE_API_KEY"

_CPU_SHARE = Path("/sys/fs/cgroup/cpu.max")

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_TRUE = {"1", "true", "yes", "on"}


def _flag(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in _TRUE


def offline() -> bool:
    """Whether no socket may leave the machine: `BEIGE_OFFLINE`, or the Hub's own `HF_HUB_OFFLINE`."""
    return _flag(OFFLINE) or _flag("HF_HUB_OFFLINE")


def forbidden(url: str) -> bool:
    """Whether a socket to this address may not be opened: it is another machine's, and `offline` holds."""
    return offline() and urlsplit(url).hostname not in _LOOPBACK


def home() -> Path:
    """The folder of pulled checkpoints: `BEIGE_HOME`, else `$XDG_CACHE_HOME/beige`, else `~/.cache/beige`."""
    if path := os.environ.get(HOME):
        return Path(path).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "beige"


def hub_cache() -> Path:
    """Where `huggingface_hub` keeps what it fetched: its own variables and defaults, as they are now."""
    if path := os.environ.get("HF_HUB_CACHE"):
        return Path(path).expanduser()
    if path := os.environ.get("HF_HOME"):
        return Path(path).expanduser() / "hub"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "huggingface" / "hub"


def hub_endpoint() -> str | None:
    """The Hub or its mirror: `HF_ENDPOINT`; None for the Hub's own address."""
    return os.environ.get("HF_ENDPOINT") or None


def default_index() -> str:
    """Where the index is when no `--index` says so: `BEIGE_INDEX`, else `.beige` in the current folder."""
    return os.environ.get(INDEX) or ".beige"


def qdrant_key() -> str | None:
    """What a Qdrant cluster wants to be told: `BEIGE_QDRANT_API_KEY`."""
    return os.environ.get(QDRANT_KEY, "").strip() or None


def server_key() -> str | None:
    """What a Beige server wants to be told: `BEIGE_API_KEY`."""
    return os.environ.get(SERVER_KEY, "").strip() or None


def foreign(*names: str) -> str | None:
    """The first of these variables that is set and not empty; their names, such as a provider's key, are others'."""
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)


def cores() -> int:
    """How many processors this process may use: its affinity, and a container's share of the machine's time."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CPU_SHARE.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return own  # no control groups here, or none that limits the time
    return own if quota == "max" else max(1, min(own, math.ceil(int(quota) / int(period))))
