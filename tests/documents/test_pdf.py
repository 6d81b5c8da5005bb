from pathlib import Path

import pytest

from beige.documents.pdf import pdf
from beige.errors import InputError
from tests.documents import files


def test_pages_and_outline(tmp_path: Path) -> None:
    path = files.pdf(
        tmp_path / "a.pdf",
        [["Introduction", "Hello (world) caf\xe9"], ["More of it", "2.1 METHODS", "body"], [], ["Last"]],
        [("Introduction", 0), ("Methods", 1), ("Not on the page", 3)],
    )
    content = pdf(path.read_bytes())
    assert len(content.pages) == 4
    starts = [content.text[start:].split("\n")[0] for start in content.pages]
    assert starts == ["Introduction", "More of it", "", "Last"]
    assert "Hello (world) café" in content.text
    assert [(h.title, content.text[h.start : h.end].strip()) for h in content.headings] == [
        ("Introduction", "Introduction"),
        ("Methods", "2.1 METHODS"),
        ("Not on the page", ""),
    ]
    assert content.headings[2].start == content.pages[3]


def test_hyphenated_line_ends_are_joined(tmp_path: Path) -> None:
    path = files.pdf(tmp_path / "a.pdf", [["This is a hy-", "phenated line, well-known."]])
    assert pdf(path.read_bytes()).text == "This is a hyphenated line, well-known."


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda data: data[: len(data) // 3], "broken"),
        (lambda data: b"", "broken"),
        (lambda data: b"not a PDF at all", "broken"),
        (lambda data: data.replace(b"/Pages", b"/Nages"), "broken"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, harm, reason: str) -> None:  # type: ignore[no-untyped-def]
    data = files.pdf(tmp_path / "a.pdf", [["words"]]).read_bytes()
    with pytest.raises(InputError, match=reason):
        pdf(harm(data))


def test_an_encrypted_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="encrypted; save a copy without a password"):
        pdf(files.pdf(tmp_path / "a.pdf", [["words"]], encrypted=True).read_bytes())
