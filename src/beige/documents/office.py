"""DOCX, PPTX, XLSX and EPUB to text with headings, slides and sheets, by kreuzberg.

Its defaults drop headers, footers and repeated lines, and keep a cache under the home folder: both are off. Its text in
Markdown escapes punctuation, so the text is put together from its tree of nodes instead.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from html import unescape
from typing import Any

from beige.documents.content import Blocks, Content
from beige.errors import InputError

_UNPACKED = 512 << 20
"""Most bytes that a file may unpack to; a zip bomb of 42 kB unpacks to petabytes."""

_MEMBERS = 50_000
"""Most files in an archive."""

_MEDIA = "application/vnd.openxmlformats-officedocument."


def docx(data: bytes) -> Content:
    """A Word document: its styled headings and its text; tables as rows of cells."""
    content = _nodes(_extract(_without_references(_checked(data)), _MEDIA + "wordprocessingml.document", "markdown"))
    headings = (replace(heading, title=heading.title.translate(_STAND_INS)) for heading in content.headings)
    return replace(content, text=content.text.translate(_STAND_INS), headings=tuple(headings))


def xlsx(data: bytes) -> Content:
    """A workbook: each sheet a page under its name, each row a line."""
    return _nodes(_extract(_checked(data), _MEDIA + "spreadsheetml.sheet", "markdown"), paged=True)


def epub(data: bytes) -> Content:
    """A book: its chapters' headings and text."""
    return _nodes(_extract(_checked(data), "application/epub+zip", "markdown"))


def pptx(data: bytes) -> Content:
    """A presentation: each slide a page under its title.

    Slides' borders are right in kreuzberg's plain text alone (in bytes), titles in its Markdown nodes alone.
    """
    extract = partial(_extract, _checked(data), _MEDIA + "presentationml.presentation")
    plain = extract("plain")
    titles = [node["text"] for node in _contents(extract("markdown")) if node["node_type"] == "heading"]
    encoded = plain.content.encode()
    blocks = Blocks()
    for border in plain.metadata.get("pages", {}).get("boundaries", ()):
        text = encoded[border["byte_start"] : border["byte_end"]].decode("utf-8", "ignore").strip()
        blocks.page()
        if titles and titles[0].strip() and text.startswith(titles[0].strip()):
            title = titles.pop(0).strip()
            blocks.add(title, level=1)
            text = text[len(title) :]
        blocks.add(text)
    return blocks.content()


_STAND_INS = {0x10FFF0 + number: character for number, character in enumerate("&<>\"'")}
_REFERENCE = re.compile(rb"&(?:#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6}|amp|lt|gt|quot|apos);")


def _without_references(data: bytes) -> bytes:
    """A Word document whose character references are characters; those that XML reserves have stand-ins.

    kreuzberg up to 4.10 drops references from DOCX (and from no other format): "AT&amp;T" becomes "ATT".
    """
    stand_ins = {character: chr(code) for code, character in _STAND_INS.items()}

    def character(match: re.Match[bytes]) -> bytes:
        plain = unescape(match[0].decode("ascii"))
        return stand_ins.get(plain, plain).encode("utf-8", "replace")

    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as target:
        for member in source.infolist():
            content = source.read(member)
            if member.filename.endswith(".xml"):
                content = _REFERENCE.sub(character, content)
            target.writestr(member.filename, content)
    return buffer.getvalue()


def _extract(data: bytes, media: str, form: str) -> Any:
    import kreuzberg

    configuration = kreuzberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        content_filter=kreuzberg.ContentFilterConfig(
            include_headers=True, include_footers=True, strip_repeating_text=False
        ),
        include_document_structure=True,
        output_format=form,
        pages=kreuzberg.PageConfig(extract_pages=True),
    )
    try:
        return kreuzberg.extract_bytes_sync(data, media, config=configuration)
    except (kreuzberg.KreuzbergError, RuntimeError, ValueError, OSError) as error:
        raise InputError(f"the file is broken: {error}") from None


def _checked(data: bytes) -> bytes:
    """The file, if it is a zip archive that unpacks to no more than a document may, as it declares and as it does.

    Raises:
        InputError: it is one of these.
    """
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError("the file is encrypted or of an Office version before 2007; save it anew without a password")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if len(members) > _MEMBERS or size > _UNPACKED or _unpacked(archive) > _UNPACKED:
                raise InputError(
                    f"the file unpacks to more than {_UNPACKED >> 20} MiB: a zip bomb, or too large to read"
                )
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, zlib.error) as error:
        raise InputError(f"the file is broken: {error}") from None
    return data


def _unpacked(archive: zipfile.ZipFile) -> int:
    """How many bytes the archive really holds, counted up to a little more than is allowed."""
    size = 0
    for member in archive.infolist():
        with archive.open(member) as file:
            while part := file.read(1 << 20):
                size += len(part)
                if size > _UNPACKED:
                    return size
    return size


def _contents(result: Any) -> Iterator[dict[str, Any]]:
    """The nodes of a document in reading order, each with its page."""
    for node in (result.document or {}).get("nodes", ()):
        yield node["content"] | {"page": node.get("page")}


_TEXTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "table": lambda node: "\n".join(_table_rows(node["grid"])),
    "metadata_block": lambda node: "\n".join(f"{key}: {value}" for key, value in node["entries"]),
    "group": lambda node: "",  # names the heading that follows as a node of its own
}
"""How a kind of node is written that is more than its `text`."""


def _nodes(result: Any, paged: bool = False) -> Content:
    """Text, headings and, where `paged`, a page at each heading."""
    blocks = Blocks()
    for node in _contents(result):
        kind = node["node_type"]
        text = _TEXTS[kind](node) if kind in _TEXTS else node.get("text") or ""
        if kind == "heading":
            if paged:
                blocks.page()
            blocks.add(text, level=node["level"])
        else:
            blocks.add(text)
    return blocks.content()


def _table_rows(grid: dict[str, Any]) -> Iterator[str]:
    rows: dict[int, list[str]] = {}
    for cell in grid["cells"]:
        rows.setdefault(cell["row"], []).append(" ".join(cell["content"].split()))
    return ("\t".join(cells) for _, cells in sorted(rows.items()))
