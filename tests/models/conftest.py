"""Fixtures of the models' room: a stand-in of the Hub, a stand-in of `mvn`, and a card whose files they serve."""

import hashlib
import json
import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from beige.models import catalogue, pull
from beige.models.card import MavenFiles, ModelCard
from tests.models import hub_server, onnx_file
from tests.models.hub_server import Hub

ARTIFACT = "example.tiny:tiny-bert:1.0"


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No source answers unless a test brings its own: a Hub at a closed port, an empty cache, no `mvn`."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("BEIGE_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub on this machine, without any repository yet."""
    with hub_server.serve() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def jar(tmp_path: Path, tiny_bert: Path) -> Path:
    """A jar as langchain4j's: the tiny BERT as an ONNX export, and its tokenizer."""
    tensors = {
        name: tensor for name, tensor in load_file(tiny_bert / "model.safetensors").items() if "pooler" not in name
    }
    onnx = onnx_file.write_bert(tmp_path / "tiny-bert.onnx", tensors)
    path = tmp_path / "tiny-bert.jar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
        archive.write(onnx, "tiny-bert.onnx")
        archive.write(tiny_bert / "tokenizer.json", "tiny-bert-tokenizer.json")
    return path


@pytest.fixture
def card(jar: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCard:
    """The tiny BERT's card, in a catalogue of its own."""
    with zipfile.ZipFile(jar) as archive:
        onnx, tokenizer = (
            hashlib.sha256(archive.read(name)).hexdigest() for name in ("tiny-bert.onnx", "tiny-bert-tokenizer.json")
        )
    tiny = replace(
        catalogue.find_card("bge-small-en-v1.5"),
        name="tiny-bert",
        repository="example/tiny-bert",
        aliases=(),
        dimension=32,
        max_tokens=128,
        maven=MavenFiles(ARTIFACT, onnx=onnx, tokenizer=tokenizer, heads=4),
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", (tiny,))
    monkeypatch.setattr(pull, "CATALOGUE", (tiny,))
    return tiny


class FakeMvn:
    """A `mvn` on the path that runs a few lines of Python; it notes its arguments."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._calls = folder / "calls.jsonl"
        self._client = folder / "bin" / "mvn"
        self._client.parent.mkdir(exist_ok=True)
        monkeypatch.setenv("PATH", f"{self._client.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def does(self, body: str) -> None:
        """Install it; `out` is the folder that it is told to copy to."""
        import sys

        self._client.write_text(
            f"#!{sys.executable}\n"
            "import json, pathlib, shutil, sys, time\n"
            f"open({str(self._calls)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
            "out = pathlib.Path(next(a for a in sys.argv if a.startswith('-DoutputDirectory=')).partition('=')[2])\n"
            + body
            + "\n"
        )
        self._client.chmod(self._client.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self._calls.read_text().splitlines()] if self._calls.exists() else []


@pytest.fixture
def mvn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMvn:
    return FakeMvn(tmp_path, monkeypatch)


@pytest.fixture
def mvn_with_jar(mvn: FakeMvn, jar: Path) -> FakeMvn:
    """A `mvn` that delivers the jar."""
    mvn.does(f"shutil.copy({str(jar)!r}, out / 'tiny-bert-1.0.jar')")
    return mvn
