import hashlib
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from beige.documents import reading
from beige.documents.chunk import Document, Failure
from beige.documents.reading import Recipe, document_of, read
from beige.documents.text import Text
from beige.documents.walk import Found, find
from tests.documents import files


def results(recipe: Recipe, path: Path) -> list[Document | Failure]:
    status = path.stat()
    return list(read(Found(path, path.name, status.st_size, status.st_mtime), recipe))


def document(recipe: Recipe, path: Path) -> Document:
    (result,) = results(recipe, path)
    assert isinstance(result, Document), result
    return result


def failed(recipe: Recipe, path: Path) -> Failure:
    (result,) = results(recipe, path)
    assert isinstance(result, Failure), result
    assert result.source == path.name
    return result


def build(folder: Path) -> dict[str, Path]:
    """One file of each kind, each with the words "boundary layer" under some heading where the kind has any."""
    (folder / "a.md").write_text("# Head\n\nboundary layer\n")
    (folder / "a.txt").write_text("boundary layer\n")
    (folder / "a.py").write_text("def flow():\n    return 'boundary layer'\n")
    (folder / "a.html").write_text("<h1>Head</h1><div>boundary layer</div>")
    files.pdf(folder / "a.pdf", [["Head", "boundary layer"]], [("Head", 0)])
    files.docx(folder / "a.docx", [(1, "Head"), (0, "boundary layer")])
    files.pptx(folder / "a.pptx", [("Head", "boundary layer")])
    files.xlsx(folder / "a.xlsx", {"Head": [["boundary layer"]]})
    files.epub(folder / "a.epub", "Book", [("Head", "boundary layer")])
    files.eml(folder / "a.eml", "Head", "boundary layer\n")
    return {path.suffix[1:]: path for path in folder.iterdir()}


MEDIA = {
    "md": "markdown", "txt": "text", "py": "code", "html": "html", "pdf": "pdf", "docx": "docx", "pptx": "pptx",
    "xlsx": "xlsx", "epub": "epub", "eml": "email",
}  # fmt: skip


@pytest.mark.parametrize("suffix", MEDIA)
def test_every_kind_of_file(recipe: Recipe, tmp_path: Path, suffix: str) -> None:
    path = build(tmp_path)[suffix]
    found = document(recipe, path)
    data = path.read_bytes()
    assert (found.source, found.media, found.size) == (path.name, MEDIA[suffix], len(data))
    assert found.digest == hashlib.sha256(data).hexdigest()
    assert found.modified == path.stat().st_mtime
    assert "boundary layer" in found.chunks[-1].text
    assert found.chunks[-1].locator.headings == (() if suffix in ("txt", "py") else ("Head",))
    assert found.chunks[-1].locator.page == (1 if suffix in ("pdf", "pptx", "xlsx") else None)


def test_records_are_documents(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"_id": "x", "title": "T", "text": "river water", "year": 3}\n{"text": "stone"}\nbroken\n')
    one, two, broken = results(recipe, path)
    assert isinstance(one, Document)
    assert isinstance(two, Document)
    assert (one.source, two.source) == ("c.jsonl#x", "c.jsonl#2")
    assert (one.media, one.fields, one.size, one.modified) == (
        "record",
        {"year": 3},
        path.stat().st_size,
        path.stat().st_mtime,
    )
    assert one.chunks[0].embedded_text == "T\nriver water"
    assert isinstance(broken, Failure)
    assert broken.source == "c.jsonl:3"
    before = one.digest
    path.write_text('\n{"_id": "x", "title": "T", "text": "river water", "year": 3}\n{"_id": "x", "text": "stone"}\n')
    same, twice = results(recipe, path)
    assert isinstance(same, Document)
    assert same.digest == before, "a record's digest is that of its own fields"
    assert isinstance(twice, Failure)
    assert "'x'" in twice.reason


def test_json_that_is_no_list_of_records_is_a_document(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "river"}')
    found = document(recipe, tmp_path / "package.json")
    assert (found.media, found.chunks[0].text) == ("code", '{"name": "river"}')


@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_an_empty_text_is_a_document_without_chunks(recipe: Recipe, tmp_path: Path, text: str) -> None:
    for name in ("a.txt", "a.md", "a.py", "README"):
        (tmp_path / name).write_text(text)
        assert document(recipe, tmp_path / name).chunks == ()
    (tmp_path / "a.csv").write_text(text)
    assert results(recipe, tmp_path / "a.csv") == []


def test_a_document_without_text_is_a_failure(recipe: Recipe, tmp_path: Path) -> None:
    reason = failed(recipe, files.pdf(tmp_path / "scan.pdf", [[], []])).reason
    assert reason == "no text found; if its pages are scanned, run text recognition on it first"
    (tmp_path / "a.html").write_text("<div>" * 200_000)
    assert failed(recipe, tmp_path / "a.html").reason == "no text found"
    assert failed(recipe, files.docx(tmp_path / "a.docx", [(0, " ")])).reason == "no text found"


def test_bad_files_fail_with_one_sentence(recipe: Recipe, tmp_path: Path) -> None:
    for name in ("binary.txt", "binary.md", "binary.csv"):
        (tmp_path / name).write_bytes(b"\x7fELF\x02\x01\x01" + bytes(range(256)))
        assert "binary" in failed(recipe, tmp_path / name).reason
    for name in ("a.pdf", "a.docx", "a.pptx", "a.xlsx", "a.epub"):
        (tmp_path / name).write_bytes(b"junk")
        assert "broken" in failed(recipe, tmp_path / name).reason
    assert "encrypted" in failed(recipe, files.pdf(tmp_path / "e.pdf", [["x"]], encrypted=True)).reason
    missing = list(read(Found(tmp_path / "gone.txt", "gone.txt", 0, 0.0), recipe))
    assert missing == [Failure("gone.txt", "it cannot be read: No such file or directory")]


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(recipe: Recipe, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    assert "never opened" in failed(recipe, tmp_path / "a.txt").reason


@pytest.mark.parametrize(("changes", "reads"), [(1, True), (2, False)])
def test_a_file_that_changes_while_it_is_read(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: int, reads: bool
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("river")
    opened = reading._open

    class Changing:
        """A file that somebody writes to between its opening and its reading."""

        def __init__(self, name: Path) -> None:
            self.file = opened(name)

        def __enter__(self) -> "Changing":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def fileno(self) -> int:
            return self.file.fileno()

        def read(self) -> bytes:
            if changes_left.pop():
                with path.open("a") as writer:
                    writer.write(" water")
            return self.file.read()

    changes_left = [False] * (2 - changes) + [True] * changes
    monkeypatch.setattr(reading, "_open", Changing)
    (result,) = results(recipe, path)
    if reads:
        assert isinstance(result, Document)
        assert result.digest == hashlib.sha256(b"river water").hexdigest()
        assert result.chunks[0].text == "river water"
    else:
        assert isinstance(result, Failure)
        assert "changes while it is read" in result.reason


def test_a_file_that_may_not_be_read(tokenizer: Path, public: Path) -> None:
    (public / "secret.md").write_text("words")
    (public / "secret.md").chmod(0)
    program = f"""
        import os
        from pathlib import Path
        from beige.documents.reading import Recipe, read
        from beige.documents.splitter import Splitter
        from beige.documents.walk import Found
        recipe = Recipe(Splitter(Path({str(tokenizer)!r})))
        os.chdir({str(public)!r})
        if os.getuid() == 0: os.setuid(65534)
        print(*read(Found(Path("secret.md"), "secret.md", 0, 0), recipe))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "Failure(source='secret.md', reason='it cannot be read: Permission denied')\n"


def test_a_reason_is_one_line_of_reasonable_length() -> None:
    assert reading.failure("a", "two\nlines \ud800") == Failure("a", "two lines \ufffd")
    assert len(reading.failure("a", "x" * 1000).reason) == 300


def test_a_text_at_hand(recipe: Recipe) -> None:
    text = "# Wing\n\nheat \ud800 flow"
    given = Text("api:1", text, title="Engine", media="markdown", fields={"year": 3})
    made = document_of(given, recipe, 5.0)
    (chunk,) = made.chunks
    assert chunk.text == "# Wing\n\nheat \ufffd flow"
    assert chunk.locator.headings == ("Engine", "Wing")
    assert (made.source, made.media, made.fields, made.modified) == ("api:1", "markdown", {"year": 3}, 5.0)
    assert made.given
    assert document_of(replace(given, modified=4.0), recipe, 5.0).modified == 4.0
    for change in ({"fields": {"year": 4}}, {"title": ""}, {"text": "other"}, {"media": "text"}):
        assert document_of(replace(given, **change), recipe, 5.0).digest != made.digest


def test_a_text_of_ten_megabytes_on_one_line(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("heat on a plate and the boundary layer of a wing, 信息 " * (10_000_000 // 53))
    found = document(recipe, path)
    text = path.read_text()
    assert all(text[c.locator.start : c.locator.end] == c.text and c.locator.line_end == 1 for c in found.chunks)
    assert sum(len(chunk.text.split()) for chunk in found.chunks) == len(text.split())


def test_the_whole_of_this_package_can_be_read(recipe: Recipe) -> None:
    root = Path(reading.__file__).parents[1]
    for found in find([root]):
        assert isinstance(found, Found)
        (result,) = read(found, recipe)
        assert isinstance(result, Document)
        assert result.media == "code" or found.path.suffix != ".py"
