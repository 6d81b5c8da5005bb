"""Which precision a checkpoint runs in on this CPU, and why. The rule is a pure function of what the CPU can do."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from beige.engines.gate import Gate, read_gate
from beige.errors import EngineError, UsageError
from beige.models.checkpoint import Checkpoint

Precision = Literal["fp32", "bf16", "fp16", "int8"]

_FLAGS = {
    "amx": {"amx_tile"},
    "avx2": {"avx2"},
    "avx512": {"avx512f"},
    "bf16": {"amx_bf16", "avx512_bf16", "bf16"},
    "vnni": {"avx512_vnni", "avx_vnni"},
}
"""Each capability, and the names under which Linux lists it; any of them will do."""

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Choice:
    """A precision and one sentence that says why it was taken."""

    precision: Precision
    reason: str


@functools.cache
def capabilities() -> frozenset[str]:
    """What this CPU can do: some of "amx", "avx2", "avx512", "bf16", "vnni".

    bf16 counts only where OpenVINO uses it and the processor has it in hardware: OpenVINO also lists it where it
    would be imitated, slowly, with AVX-512. Where the system has no /proc/cpuinfo, the set is empty.
    """
    from beige._openvino import ov

    found = {name for name, flags in _FLAGS.items() if flags & _cpu_flags()}
    used = {str(name).lower() for name in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")}
    return frozenset(found if "bf16" in used else found - {"bf16"})


def choose(asked: str, can: frozenset[str], gate: Gate | None) -> Choice:
    """The precision to run in.

    Args:
        asked: "fp32", "bf16", "int8" or "auto".
        can: what the CPU can do, as `capabilities` gives it.
        gate: the verdict on int8 for this checkpoint on such a CPU, if anybody measured.

    Raises:
        UsageError: there is no such precision.
        EngineError: the CPU lacks it.
    """
    match asked:
        case "auto" if "bf16" in can:
            return Choice("bf16", "the CPU has bf16")
        case "auto" if "vnni" in can and gate is not None and gate.passed:
            return Choice("int8", f"the CPU has VNNI but no bf16, and int8 passed its gate: {gate.reason}")
        case "auto" if "vnni" in can:
            verdict = "nobody has measured int8 on this checkpoint" if gate is None else f"int8 failed: {gate.reason}"
            return Choice("fp32", f"the CPU has no bf16, and {verdict}")
        case "auto":
            return Choice("fp32", "the CPU has neither bf16 nor VNNI")
        case "bf16" if "bf16" not in can:
            raise EngineError("this CPU has no bf16: take precision 'fp32', 'int8' or 'auto'")
        case "int8" if "vnni" not in can:
            return Choice("int8", "asked for; this CPU has no VNNI, so fp32 may well be faster")
        case "fp16":
            raise EngineError("OpenVINO has no fp16 on CPUs: take precision 'fp32', 'bf16' or 'auto'")
        case "fp32" | "bf16" | "int8":
            return Choice(asked, "asked for")
    raise _unknown(asked)


def choose_for(checkpoint: Checkpoint, asked: str) -> Choice:
    """`choose` for a checkpoint on this machine; its gate record is read only where it decides."""
    can = capabilities()
    decides = asked == "auto" and "vnni" in can and "bf16" not in can
    return choose(asked, can, read_gate(checkpoint, "int8", can) if decides else None)


def choose_for_torch(asked: str, devices: Sequence[str]) -> Choice:
    """The precision to run in with PyTorch: bf16 where the hardware has it, else fp16 on GPUs and fp32 on CPUs.

    Args:
        asked: "fp32", "bf16", "fp16" or "auto".
        devices: as PyTorch calls them.

    Raises:
        UsageError: there is no such precision.
        EngineError: PyTorch has no int8 here.
    """
    if asked == "int8":
        raise EngineError("PyTorch has no int8 here: take precision 'bf16', 'fp16', 'fp32' or 'auto'")
    if asked in get_args(Precision):
        return Choice(cast("Precision", asked), "asked for")
    if asked != "auto":
        raise _unknown(asked)
    import torch

    gpus = [device for device in devices if device.startswith("cuda")]
    if not gpus:
        fast = "bf16" in capabilities()
        return Choice("bf16", "the CPU has bf16") if fast else Choice("fp32", "the CPU has no bf16")
    # Ampere, of compute capability 8, is the first that has it; PyTorch imitates it on others.
    if torch.version.hip or all(torch.cuda.get_device_capability(gpu)[0] >= 8 for gpu in gpus):
        return Choice("bf16", "the GPU has bf16")
    return Choice("fp16", "the GPU has no bf16")


def _unknown(asked: str) -> UsageError:
    return UsageError(f"there is no precision {asked!r}: take one of auto, {', '.join(get_args(Precision))}")


def _cpu_flags() -> set[str]:
    if not _CPUINFO.is_file():
        return set()
    for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:  # x86, Arm
            return set(value.split())
    return set()
