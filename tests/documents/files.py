"""Builders of small real files in every format, from the standard library alone."""

import zipfile
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from pathlib import Path
from xml.sax.saxutils import escape

_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"


def write_zip(path: Path, members: Mapping[str, str | bytes], stored_first: bool = False) -> Path:
    """A zip file of these members; EPUB wants its first one uncompressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, content) in enumerate(members.items()):
            kind = zipfile.ZIP_STORED if stored_first and number == 0 else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, compress_type=kind)
    return path


def _types(overrides: Mapping[str, str]) -> str:
    parts = "".join(f'<Override PartName="{part}" ContentType="{kind}"/>' for part, kind in overrides.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{parts}</Types>'
    )


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    links = "".join(
        f'<Relationship Id="{key}" Type="{_RELATIONS}/{kind}" Target="{target}"/>'
        for key, (kind, target) in targets.items()
    )
    return f'<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="{_PACKAGE}">{links}</Relationships>'


def docx(path: Path, paragraphs: Sequence[tuple[int, str]]) -> Path:
    """A Word document of (heading level or 0, text)."""
    body = "".join(
        "<w:p>"
        + (f'<w:pPr><w:pStyle w:val="Heading{level}"/></w:pPr>' if level else "")
        + f'<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'
        for level, text in paragraphs
    )
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/>'
        f'<w:pPr><w:outlineLvl w:val="{n - 1}"/></w:pPr></w:style>'
        for n in range(1, 7)
    )
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    return write_zip(
        path,
        {
            "[Content_Types].xml": _types(
                {"/word/document.xml": f"{kind}.document.main+xml", "/word/styles.xml": f"{kind}.styles+xml"}
            ),
            "_rels/.rels": _relations({"r1": ("officeDocument", "word/document.xml")}),
            "word/_rels/document.xml.rels": _relations({"r1": ("styles", "styles.xml")}),
            "word/document.xml": f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>',
            "word/styles.xml": f'<w:styles xmlns:w="{_WORD}">{styles}</w:styles>',
        },
    )


def pptx(path: Path, slides: Sequence[tuple[str, str]]) -> Path:
    """A presentation of (title, body) slides; an empty title is none."""
    kind = "application/vnd.openxmlformats-officedocument.presentationml"

    def shape(number: int, place: str, text: str) -> str:
        return (
            f'<p:sp><p:nvSpPr><p:cNvPr id="{number}" name="s{number}"/><p:cNvSpPr/>'
            f'<p:nvPr><p:ph type="{place}"/></p:nvPr></p:nvSpPr><p:spPr/>'
            f"<p:txBody><a:bodyPr/><a:p><a:r><a:t>{escape(text)}</a:t></a:r></a:p></p:txBody></p:sp>"
        )

    space = f'xmlns:p="{_SLIDE}" xmlns:a="{_DRAWING}" xmlns:r="{_RELATIONS}"'
    numbers = range(1, len(slides) + 1)
    listing = "".join(f'<p:sldId id="{255 + n}" r:id="r{n}"/>' for n in numbers)
    return write_zip(
        path,
        {
            "[Content_Types].xml": _types(
                {"/ppt/presentation.xml": f"{kind}.presentation.main+xml"}
                | {f"/ppt/slides/slide{n}.xml": f"{kind}.slide+xml" for n in numbers}
            ),
            "_rels/.rels": _relations({"r1": ("officeDocument", "ppt/presentation.xml")}),
            "ppt/_rels/presentation.xml.rels": _relations(
                {f"r{n}": ("slide", f"slides/slide{n}.xml") for n in numbers}
            ),
            "ppt/presentation.xml": f"<p:presentation {space}><p:sldIdLst>{listing}</p:sldIdLst></p:presentation>",
        }
        | {
            f"ppt/slides/slide{n}.xml": f"<p:sld {space}><p:cSld><p:spTree><p:nvGrpSpPr/><p:grpSpPr/>"
            f"{shape(2, 'title', title) if title else ''}{shape(3, 'body', body)}</p:spTree></p:cSld></p:sld>"
            for n, (title, body) in enumerate(slides, 1)
        },
    )


def xlsx(path: Path, sheets: Mapping[str, Sequence[Sequence[str]]]) -> Path:
    """A workbook of named sheets of rows of text."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"

    def rows(cells: Sequence[Sequence[str]]) -> str:
        return "".join(
            f'<row r="{r}">'
            + "".join(
                f'<c r="{chr(65 + c)}{r}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
                for c, value in enumerate(row)
            )
            + "</row>"
            for r, row in enumerate(cells, 1)
        )

    listing = "".join(f'<sheet name="{escape(name)}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, 1))
    numbers = range(1, len(sheets) + 1)
    return write_zip(
        path,
        {
            "[Content_Types].xml": _types(
                {"/xl/workbook.xml": f"{kind}.sheet.main+xml"}
                | {f"/xl/worksheets/sheet{n}.xml": f"{kind}.worksheet+xml" for n in numbers}
            ),
            "_rels/.rels": _relations({"r1": ("officeDocument", "xl/workbook.xml")}),
            "xl/_rels/workbook.xml.rels": _relations(
                {f"r{n}": ("worksheet", f"worksheets/sheet{n}.xml") for n in numbers}
            ),
            "xl/workbook.xml": f'<workbook xmlns="{_SHEET}" xmlns:r="{_RELATIONS}"><sheets>{listing}</sheets>'
            "</workbook>",
        }
        | {
            f"xl/worksheets/sheet{n}.xml": f'<worksheet xmlns="{_SHEET}"><sheetData>{rows(cells)}</sheetData>'
            "</worksheet>"
            for n, cells in enumerate(sheets.values(), 1)
        },
    )


def epub(path: Path, title: str, chapters: Sequence[tuple[str, str]]) -> Path:
    """A book of (title, body) chapters."""
    numbers = range(1, len(chapters) + 1)
    items = "".join(f'<item id="c{n}" href="c{n}.xhtml" media-type="application/xhtml+xml"/>' for n in numbers)
    spine = "".join(f'<itemref idref="c{n}"/>' for n in numbers)
    return write_zip(
        path,
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<?xml version="1.0"?>'
            '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles>'
            "</container>",
            "OEBPS/content.opf": '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0" '
            'unique-identifier="id"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">x'
            f"</dc:identifier><dc:title>{escape(title)}</dc:title><dc:language>en</dc:language></metadata>"
            f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
        }
        | {
            f"OEBPS/c{n}.xhtml": '<?xml version="1.0" encoding="UTF-8"?><html xmlns="http://www.w3.org/1999/xhtml">'
            f"<head><title>{escape(head)}</title></head><body><h1>{escape(head)}</h1><p>{escape(body)}</p></body></html>"
            for n, (head, body) in enumerate(chapters, 1)
        },
        stored_first=True,
    )


def eml(path: Path, subject: str, body: str, attachment: tuple[str, str] | None = None) -> Path:
    """An e-mail, with a text attachment (name, content) where given."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "ada@example.org", "bob@example.org"
    message["Date"] = "Mon, 02 Nov 2026 10:00:00 +0000"
    message.set_content(body)
    if attachment:
        message.add_attachment(attachment[1], filename=attachment[0])
    path.write_bytes(bytes(message))
    return path


def pdf(
    path: Path,
    pages: Sequence[Sequence[str]],
    outline: Sequence[tuple[str, int]] = (),
    encrypted: bool = False,
) -> Path:
    """A PDF of pages of lines, with a flat outline of (title, page from 0).

    An encrypted one names a password check that the empty password does not pass.
    """
    objects: list[str] = ["", "", "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"]

    def add(text: str) -> int:
        objects.append(text)
        return len(objects)

    numbers = []
    for lines in pages:
        shown = "".join(
            f"({line.replace(chr(92), chr(92) * 2).replace('(', chr(92) + '(').replace(')', chr(92) + ')')}) Tj T* "
            for line in lines
        )
        stream = f"BT /F1 12 Tf 14 TL 72 720 Td {shown}ET"
        content = add(f"<</Length {len(stream)}>>stream\n{stream}\nendstream")
        numbers.append(
            add(
                f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {content} 0 R"
                "/Resources<</Font<</F1 3 0 R>>>>>>"
            )
        )
    extra = ""
    if outline:
        root = len(objects) + 1
        objects.append(f"<</Type/Outlines/First {root + 1} 0 R/Last {root + len(outline)} 0 R/Count {len(outline)}>>")
        for position, (title, page) in enumerate(outline):
            links = (f"/Prev {root + position} 0 R" if position else "") + (
                f"/Next {root + position + 2} 0 R" if position + 1 < len(outline) else ""
            )
            add(f"<</Title({title})/Parent {root} 0 R{links}/Dest[{numbers[page]} 0 R/Fit]>>")
        extra = f"/Outlines {root} 0 R"
    objects[0] = f"<</Type/Catalog/Pages 2 0 R{extra}>>"
    objects[1] = f"<</Type/Pages/Count {len(pages)}/Kids[{' '.join(f'{n} 0 R' for n in numbers)}]>>"
    body, places = "%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n"
    secret = "/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<{0}>/U<{0}>>>/ID[<{1}><{1}>]".format("7a" * 32, "00" * 16)
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    trailer = f"trailer<</Size {len(objects) + 1}/Root 1 0 R{secret if encrypted else ''}>>"
    body_end = len(body)
    body += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}\nstartxref\n{body_end}\n%%EOF\n"
    path.write_bytes(body.encode("latin-1"))
    return path
