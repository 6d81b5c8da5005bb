"""What stands beside every figure: the version, the machine and what it can do, the date, the command."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

from beige import __version__
from beige.evaluate.machine import machine
from bench.environments import ROOT


def circumstances() -> dict[str, Any]:
    """Version, commit, date, exact command, system and machine."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    spec = sys.modules["__main__"].__spec__
    arguments = [f"-m {spec.name}" if spec else sys.argv[0], *sys.argv[1:]]
    return {
        "beige": __version__,
        "commit": described.stdout.strip() or None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", *arguments]),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "machine": machine(),
    }
