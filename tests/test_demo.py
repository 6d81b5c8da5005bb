"""`make demo`: the script, on documents of a test's own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _demo(*arguments: object, **environment: str):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment},
    )


@pytest.fixture
def documents(tmp_path):
    folder = tmp_path / f"documents-of-{tmp_path.name}"
    folder.mkdir()
    (folder / "wings.md").write_text("# Wings\n\nA wing makes lift when air flows around it.\n", encoding="utf-8")
    (folder / "bread.txt").write_text("Knead flour, water and salt; let the dough rise.\n", encoding="utf-8")
    yield folder
    shutil.rmtree(ROOT / ".cache" / "demo" / folder.name, ignore_errors=True)


def test_shows_the_commands_and_what_they_find(bge_small, documents):
    home = str(bge_small.parents[1])  # the checkpoint is HOME/models/NAME or stands in the Hub's cache
    done = _demo("--docs", documents, "--query", "how do planes stay up", BEIGE_HOME=home, BEIGE_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    said = done.stdout
    places = [said.index(f"beige {command}") for command in ("pull bge-small-en-v1.5", "index ", "search ")]
    assert places == sorted(places)
    assert "wings.md" in said[places[2] :].split("Now type")[0].partition("bread.txt")[0]
    assert "Now type" in said
    assert "-m pip install '.[serve]'" in said, "another project has the name beige on PyPI"
    assert said.index("beige serve") < said.index("curl localhost:8000/v1/embeddings")
    again = _demo("--docs", documents, "--query", "dough", BEIGE_HOME=home, BEIGE_OFFLINE="1")
    assert "2 unchanged" in again.stdout + again.stderr


def test_without_a_source_it_ends_with_one_sentence(documents, tmp_path):
    done = _demo("--docs", documents, BEIGE_HOME=str(tmp_path / "empty"), BEIGE_OFFLINE="1")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "bge-small-en-v1.5 is not on this machine" in done.stderr
    assert "beige index" not in done.stdout


def test_documents_that_are_not_there(tmp_path):
    done = _demo("--docs", tmp_path / "absent")
    assert done.returncode == 2
    assert "absent does not exist" in done.stderr
    assert "/nonexistent/notes does not exist" in _demo("--docs", "~/notes").stderr


def test_its_own_documents_are_really_here():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import demo
    finally:
        sys.path.pop(0)
    paths = [ROOT / path for path in demo.own_documents()]
    assert ROOT / "README.md" in paths
    assert sum(path.name == "METADATA" for path in paths) >= 10
    assert sum("licen" in path.name.lower() for path in paths) >= 10
    assert all(path.exists() for path in paths)
    spelled = demo.spell(["index", *map(str, paths), "--model", demo.MODEL])
    assert "more] --model" in spelled
    assert len(spelled) < 400
