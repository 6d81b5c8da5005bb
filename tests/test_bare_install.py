"""The package with its base dependencies alone, as `pip install beige` gives it, embeds a text."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _run(*command: str | Path, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The commands of a fresh environment with the wheel and the pinned base dependencies, and nothing else."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv")
    folder = tmp_path_factory.mktemp("bare")
    _run(
        uv, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, ROOT
    )
    (wheel,) = folder.glob("*.whl")
    _run(uv, "venv", "--quiet", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    _run(
        *(uv, "pip", "install", "--quiet", "--python", python),
        *("--require-hashes", "--only-binary", ":all:", "-r", ROOT / "requirements" / "base.txt"),
    )
    _run(uv, "pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    return python.parent


def test_embeds_a_text(bare, tiny_bert, tmp_path):
    home = {"HOME": str(tmp_path), "BEIGE_HOME": str(tmp_path / "beige"), "BEIGE_OFFLINE": "1", "PATH": os.defpath}
    said = _run(bare / "beige", "embed", "--model", tiny_bert, "-", input="light and water\n", env=home, cwd=tmp_path)
    line = json.loads(said)
    assert line["index"] == 0
    assert line["tokens"] == 5  # three words between [CLS] and [SEP]
    assert line["truncated"] is False
    assert sum(value * value for value in line["dense"]) == pytest.approx(1, abs=1e-5)


def test_says_what_an_extra_needs(bare, tiny_bert, tmp_path):
    done = subprocess.run(
        [bare / "beige", "embed", "--model", tiny_bert, "-", "--output", "x.parquet"],
        input="light\n",
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "pip install 'beige[parquet]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_needs_no_torch(bare):
    _run(bare / "python", "-c", "import importlib.util as u, sys; sys.exit(any(map(u.find_spec, ['torch', 'pytest'])))")
