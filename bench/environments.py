"""The peers' environments: one folder under `.peers/` for each `requirements/peers/NAME.txt`, made by uv."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".peers"


class PeerError(Exception):
    """A peer that cannot be installed, loaded or run here; the text says what it said last."""


def python_of(environment: str | None) -> Path:
    """The interpreter of an environment, made where it is missing or its requirements have changed; None is ours.

    Raises:
        PeerError: uv cannot install it here.
    """
    if environment is None:
        return Path(sys.executable)
    folder = PEERS / environment
    requirements = ROOT / "requirements" / "peers" / f"{environment}.txt"
    stamp, wanted = folder / ".requirements", hashlib.sha256(requirements.read_bytes()).hexdigest()
    python = folder / "bin" / "python"
    if not stamp.is_file() or stamp.read_text() != wanted:
        for command in (
            ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [
                "pip",
                "sync",
                "--quiet",
                "--compile-bytecode",
                "--python",
                str(python),
                "--require-hashes",
                str(requirements),
            ],
        ):
            done = _uv(*command)
            if done.returncode:
                raise PeerError(f"cannot be installed: {(done.stderr.strip().splitlines() or ['uv failed'])[-1]}")
        stamp.write_text(wanted)
    return python


def packages(environment: str | None) -> dict[str, str]:
    """The installed packages and their versions."""
    listed = _uv("pip", "list", "--quiet", "--format", "json", "--python", str(python_of(environment)))
    return {package["name"]: package["version"] for package in json.loads(listed.stdout)}


def _uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    uv = Path(sys.executable).with_name("uv")  # make setup put it beside the interpreter
    return subprocess.run([str(uv), *arguments], capture_output=True, text=True, check=False)
