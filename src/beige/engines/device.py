"""Which devices a name means on this machine. PyTorch is imported only where a GPU is asked for or may be there."""

import importlib.util
from pathlib import Path

from beige.errors import EngineError, MissingExtraError, UsageError

CPU = "cpu"

_NODES = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))
"""What the drivers of NVIDIA, of Windows' subsystem and of AMD put there: without any of them there is no GPU that
PyTorch could see, and the seconds of its import are spared."""


def devices(asked: str) -> tuple[str, ...]:
    """The devices that a name means.

    Args:
        asked: "cpu"; "cuda", the first GPU; "cuda:1" or "cuda:0,cuda:1"; "cuda:all"; "auto", the first GPU where
            PyTorch sees one, else the CPU.

    Returns:
        As PyTorch calls them: ("cpu",), or one or more of "cuda:0", "cuda:1" and so on.

    Raises:
        UsageError: the name means nothing.
        EngineError: there is no such GPU.
        MissingExtraError: a GPU is asked for, and PyTorch is not installed.
    """
    if asked == CPU:
        return (CPU,)
    if asked == "auto":
        return ("cuda:0",) if _installed() and any(node.exists() for node in _NODES) and _count() else (CPU,)
    names = ["cuda:0" if name == "cuda" else name for name in asked.split(",")]
    numbers = [name.removeprefix("cuda:") for name in names]
    named = all(name.startswith("cuda:") and number.isdecimal() for name, number in zip(names, numbers, strict=True))
    if asked != "cuda:all" and (not named or len(set(names)) < len(names)):
        raise UsageError(f"there is no device {asked!r}: take auto, cpu, cuda, cuda:all, or cuda:0,cuda:1 and so on")
    if not _installed():
        raise MissingExtraError(f"the device {asked!r}", "torch")
    count = _count()
    present = tuple(f"cuda:{number}" for number in range(count))
    if missing := [name for name in names if asked != "cuda:all" and name not in present]:
        raise EngineError(f"there is no device {missing[0]}: PyTorch sees {count} GPUs on this machine")
    if not present:
        raise EngineError("there is no GPU that PyTorch sees on this machine: take device 'cpu'")
    return present if asked == "cuda:all" else tuple(names)


def _installed() -> bool:
    return importlib.util.find_spec("torch") is not None


def _count() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
