from pathlib import Path

import pytest

from beige.documents import formats, parsers
from beige.documents.chunk import OWN_TEXT


def test_every_kind_has_a_parser_and_every_parser_a_kind() -> None:
    assert set(formats.KINDS.values()) == set(parsers.CONTENTS) | set(parsers.RECORDS)
    assert not set(parsers.CONTENTS) & set(parsers.RECORDS)
    assert set(parsers.CONTENTS) >= OWN_TEXT


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.md", "markdown"), ("A.PDF", "pdf"), ("a.tar.py", "code"), ("README", "text"), ("a.unknown", "text")],
)
def test_the_kind_is_that_of_the_suffix(name: str, kind: str) -> None:
    assert formats.kind_of(Path(name)) == kind


def test_a_file_without_a_known_suffix_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("words")
    (tmp_path / "program").write_bytes(b"\x7fELF\0")
    assert formats.known(tmp_path / "LICENSE")
    assert not formats.known(tmp_path / "program")
    assert formats.known(tmp_path / "absent.md"), "a known suffix is not opened"
