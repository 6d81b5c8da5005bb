"""The machine that figures were measured on: a figure without it says little."""

import os
import platform
from pathlib import Path
from typing import Any

from beige.engines.precision import capabilities
from beige.environment import cores

_CPUINFO = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory in bytes, system, and what the CPU can do."""
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "capabilities": sorted(capabilities()),
    }


def _cpu() -> str:
    """The processor's name; Linux on Arm may tell the architecture alone."""
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
