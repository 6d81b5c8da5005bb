"""`beige watch`: what it prints, and what is left when it ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from beige.index import Index


def stored() -> set[str]:
    with Index.open() as index:
        return {document.source for document in index.store.documents()}


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL])
def test_what_was_printed_is_durable_however_it_ends(here: Path, tiny_bert: Path, way: signal.Signals) -> None:
    (here / "docs").mkdir()
    (here / "docs/a.md").write_text("the light")
    process = subprocess.Popen(
        [sys.executable, "-c", "from beige.cli import main; main()", "watch", "docs", "--json", "--model", tiny_bert],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert said[0] == {"change": "added", "source": "docs/a.md", "chunks": 1, "reason": ""}
    assert said[1]["documents"]["added"] == 1
    told = {"docs/a.md"}
    for number in range(5):
        (here / f"docs/{number}.md").write_text(f"text {number}")
    while len(told) < 4:
        line = json.loads(process.stdout.readline())
        told |= {line["source"]} if "source" in line else set()
    process.send_signal(way)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == (130 if way == signal.SIGINT else -way)
    told |= {json.loads(line)["source"] for line in out.splitlines() if line.endswith("}") and '"source"' in line}
    assert told <= stored()
    with Index.open() as index:
        assert set(index.status().caches.values()) <= {"current", "behind"}


def test_a_misspelt_path_is_said_before_the_model_is_loaded(beige, here: Path) -> None:
    done = beige("watch", "nowhere", "--model", "no-such-model")
    assert (done.code, done.err.startswith("beige: 'nowhere' does not exist")) == (2, True)


def test_the_missing_extra_is_named(beige, here: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    done = beige("watch", ".", "--model", tiny_bert)
    assert (done.code, done.err) == (
        2,
        "beige: watching a folder needs the extra 'watch': pip install 'beige[watch]'\n",
    )
