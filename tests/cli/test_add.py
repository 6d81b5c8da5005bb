"""`beige add` and `beige delete`: texts that are no files, by command."""

import io
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from beige.index import Index


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Makes bytes this process's standard input."""

    opened = []

    def put(data: bytes) -> None:
        path = tmp_path / "stdin"
        path.write_bytes(data)
        opened.append(io.TextIOWrapper(path.open("rb")))
        monkeypatch.setattr(sys, "stdin", opened[-1])

    yield put
    for file in opened:
        file.close()


def test_a_text_from_stdin(beige, stdin, here: Path, tiny_bert: Path) -> None:
    stdin("Der Aufzug ist außer Betrieb.".encode("latin-1"))
    fields = ["floor=3", "city=Köln", "open=true", "price=2.5", "code=007", 'zip="123"', "list=[1]", "empty="]
    options = [part for field in fields for part in ("--field", field)]
    done = beige("add", "--source", "notes/lift", "--title", "Aufzug", *options, "--model", tiny_bert, "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["documents"]["added"] == 1
    with Index.open() as index:
        (passage,) = index.store.scan()
    assert (passage.source, passage.text) == ("notes/lift", "Der Aufzug ist außer Betrieb.")
    assert passage.locator.headings == ("Aufzug",)
    assert passage.fields == {
        "floor": 3, "city": "Köln", "open": True, "price": 2.5, "code": "007", "zip": "123", "list": [1], "empty": "",
    }  # fmt: skip
    (here / "sub").mkdir()
    hits = json.loads(beige("search", "Aufzug", "--json").out)["hits"]
    assert [hit["source"] for hit in hits] == ["notes/lift"]


def test_records_from_stdin_and_from_a_file(beige, stdin, here: Path, tiny_bert: Path) -> None:
    rows = [{"id": 1, "text": "the stone"}, {"_id": "b", "title": "River", "text": "water", "year": 2020}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    stdin(lines.encode())
    assert re.search(r"^\.beige: 2 added in", beige("add", "--model", tiny_bert).out)
    (here / "more.jsonl").write_text(lines + '{"text": "who am I?"}\nno json\n{"id": "c", "text": "light"}')
    done = beige("add", "more.jsonl", "--ttl", "30d")
    assert done.code == 1
    assert re.search(r"^\.beige: 1 added, 2 unchanged, 2 failed", done.out)
    assert done.err.splitlines()[0].startswith("beige: line 3 was not indexed: the record has no name")
    assert done.err.splitlines()[1].startswith("beige: line 4 was not indexed: it is not JSON")
    with Index.open() as index:
        assert [stored.source for stored in index.store.documents()] == ["1", "b", "c"]
        assert all(stored.expires for stored in index.store.documents())
        assert next(p for p in index.store.scan() if p.source == "b").fields == {"year": 2020}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "a", "--field", "x"], "no KEY=VALUE"),
        (["--field", "x=1"], "name it with --source"),
        (["--source", " "], "needs a name"),
        (["--source", "a", "--ttl", "soon"], "'soon' is no time to live"),
        (["--source", "a", "--media", "pdf"], "'pdf'"),
        (["missing.jsonl"], "missing.jsonl cannot be read"),
    ],
)
def test_errors_are_one_sentence(beige, stdin, here: Path, tiny_bert: Path, arguments: list[str], said: str) -> None:
    stdin(b"text")
    done = beige("add", *arguments, "--model", tiny_bert)
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(rf"beige: .*{re.escape(said)}.*\n", done.err)
    assert not (here / ".beige").exists()


def test_delete(beige, stdin, here: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "docs").mkdir()
    for name in "abc":
        (here / f"docs/{name}.md").write_text(f"the light of {name}")
    beige("index", "docs", "--model", tiny_bert)
    stdin(b'{"id": "docs/note", "text": "a note"}')
    beige("add")
    monkeypatch.chdir("docs")
    monkeypatch.setenv("BEIGE_INDEX", "../.beige")
    done = beige("delete", "a.md", "nothing.md")
    assert (done.code, done.out) == (1, "../.beige: 1 removed, 1 failed\n")
    assert done.err == "beige: nothing.md was not removed: the index has no such document\n"
    monkeypatch.chdir("..")
    monkeypatch.setenv("BEIGE_INDEX", ".beige")
    done = beige("delete", "--prefix", "docs/", "--json")
    assert json.loads(done.out)["documents"]["removed"] == 3
    assert beige("delete", "--prefix", "").err.startswith("beige: an empty prefix would remove every document")
    assert beige("delete", "x", "--index", "nowhere").err.startswith("beige: there is no index in nowhere")


def test_ctrl_c_while_the_input_waits_leaves_what_was_added(here: Path, tiny_bert: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from beige.cli import main; main()", "add", "--model", str(tiny_bert)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(b'{"id": "a", "text": "the stone"}\n')
    process.stdin.flush()
    while True:
        if (here / ".beige/index.sqlite").exists():
            with Index.open() as index:
                if index.count() == (1, 1):
                    break
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    process.communicate()
