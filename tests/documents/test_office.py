import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from beige.documents import office
from beige.documents.content import Content
from beige.documents.office import docx, epub, pptx, xlsx
from beige.errors import InputError
from tests.documents import files


def outline(content: Content) -> list[tuple[int, str]]:
    for heading in content.headings:
        assert content.text[heading.start : heading.end] == heading.title
    return [(heading.level, heading.title) for heading in content.headings]


def test_docx_keeps_every_character_and_its_headings(tmp_path: Path) -> None:
    paragraphs = [
        (1, "Q & A"), (0, "Plain * star _x_ # 1. 中文 😀"), (0, "AT&T <b> 5>3 &lt; 'q' \"r\""), (2, "Deep"),
        (0, "Second."), (0, "Second."), (1, "End"),
    ]  # fmt: skip
    content = docx(files.docx(tmp_path / "a.docx", paragraphs).read_bytes())
    assert content.text.split("\n\n")[:-1] == [text for _, text in paragraphs]
    assert outline(content) == [(1, "Q & A"), (2, "Deep"), (1, "End")]
    assert content.pages == ()


def test_docx_character_references(tmp_path: Path) -> None:
    with zipfile.ZipFile(files.docx(tmp_path / "a.docx", [(0, "HERE")])) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["word/document.xml"] = members["word/document.xml"].replace(
        b"HERE", b"caf&#233; &#x4e2d; &quot;R&#38;D&apos;"
    )
    assert docx(files.write_zip(tmp_path / "b.docx", members).read_bytes()).text.strip() == "café 中 \"R&D'"


def test_pptx_slides_are_pages(tmp_path: Path) -> None:
    slides = [("First é", "Body * one"), ("", "no title here"), ("Third 中", "R&D <three>")]
    content = pptx(files.pptx(tmp_path / "a.pptx", slides).read_bytes())
    assert [content.text[start:].split("\n\n")[0] for start in content.pages] == [
        "First é",
        "no title here",
        "Third 中",
    ]
    assert outline(content) == [(1, "First é"), (1, "no title here"), (1, "Third 中")]
    assert "Body * one" in content.text
    assert "R&D <three>" in content.text


def test_xlsx_sheets_are_pages_and_rows_lines(tmp_path: Path) -> None:
    sheets = {"People": [["name", "age"], ["Ada", "36"], ["Bob | x & <y>", "40"]], "Places": [["city"], ["Paris"]]}
    content = xlsx(files.xlsx(tmp_path / "a.xlsx", sheets).read_bytes())
    assert content.text == "People\n\nname\tage\nAda\t36\nBob | x & <y>\t40\n\nPlaces\n\ncity\nParis\n\n"
    assert outline(content) == [(2, "People"), (2, "Places")]
    assert content.pages == (0, content.text.index("Places"))


def test_epub_chapters(tmp_path: Path) -> None:
    content = epub(files.epub(tmp_path / "a.epub", "Book", [("One", "Once ä."), ("Two", "The & end.")]).read_bytes())
    assert content.text == "One\n\nOnce ä.\n\nTwo\n\nThe & end.\n\n"
    assert outline(content) == [(1, "One"), (1, "Two")]


PARSERS: list[Callable[[bytes], Content]] = [docx, pptx, xlsx, epub]


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("harm", ["empty", "text", "cut", "zip", "ole"])
def test_broken_files_are_refused(parse: Callable[[bytes], Content], harm: str, tmp_path: Path) -> None:
    whole = files.docx(tmp_path / "a.docx", [(0, "words " * 1000)]).read_bytes()
    data = {
        "empty": b"",
        "text": b"words, not a zip archive",
        "cut": whole[: len(whole) // 2],
        "zip": files.write_zip(tmp_path / "z", {"other": "thing"}).read_bytes(),
        "ole": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    }[harm]
    if harm == "zip" and parse is pptx:  # kreuzberg takes it for a presentation without slides
        assert parse(data).text.strip() == ""
    else:
        with pytest.raises(InputError, match="encrypted" if harm == "ole" else "broken"):
            parse(data)


def bomb(declared: int | None) -> bytes:
    """A document that unpacks to 600 MiB; its directory may declare another size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("word/document.xml", "w", force_zip64=True) as file:
            for _ in range(600):
                file.write(bytes(1 << 20))
        if declared is not None:
            archive.infolist()[0].file_size = declared
    return buffer.getvalue()


@pytest.mark.parametrize("declared", [None, 1000])
def test_a_zip_bomb_is_refused_by_what_it_declares_and_by_what_it_does(
    declared: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kreuzberg.extract_bytes_sync", None)  # it is never asked
    with pytest.raises(InputError, match=r"zip bomb|broken"):
        docx(bomb(declared))


def test_an_archive_of_too_many_files_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(office, "_MEMBERS", 3)
    with pytest.raises(InputError, match="zip bomb"):
        docx(files.docx(tmp_path / "a.docx", [(0, "words")]).read_bytes())


def test_no_cache_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    data = files.docx(tmp_path / "a.docx", [(0, "words")]).read_bytes()
    docx(data)
    assert [path.name for path in tmp_path.iterdir()] == ["a.docx"]
