from email.message import EmailMessage
from pathlib import Path

import pytest

from beige.documents.parsers import CONTENTS
from beige.errors import InputError
from tests.documents import files

mail = CONTENTS["email"]


def test_headers_body_and_attachment_under_their_names(tmp_path: Path) -> None:
    path = files.eml(
        tmp_path / "a.eml", "Grüße: Q3", "Dear Bob,\n\nsee below é.\n", ("notes.md", "# Head\n\nattached words")
    )
    content = mail(path.read_bytes())
    assert [(h.level, h.title) for h in content.headings] == [(1, "Grüße: Q3"), (2, "notes.md"), (3, "Head")]
    top, file, head = content.headings
    assert (top.start, top.end) == (0, 0)
    assert (
        content.text[: file.start].split()
        == (
            "From: ada@example.org To: bob@example.org Date: Mon, 02 Nov 2026 10:00:00 +0000 Subject: Grüße: Q3 "
            "Dear Bob, see below é."
        ).split()
    )
    assert content.text[head.start : head.end].strip() == "# Head"


def test_html_bodies_keep_their_words_apart() -> None:
    message = EmailMessage()
    message["Subject"] = "x"
    message.set_content("<div>Hello</div><h1>Bob</h1><p>bye</p>", subtype="html")
    content = mail(bytes(message))
    assert content.text.split() == ["Subject:", "x", "Hello", "Bob", "bye"]
    assert content.headings[1].title == "Bob"


def test_plain_text_is_taken_rather_than_html_and_its_charset_believed() -> None:
    message = EmailMessage()
    message["Subject"] = "x"
    message.set_content("Żółć plain", charset="iso-8859-2")
    message.add_alternative("<p>html</p>", subtype="html")
    assert mail(bytes(message)).text.split() == ["Subject:", "x", "Żółć", "plain"]


def test_attached_mails_and_documents(tmp_path: Path) -> None:
    inner = EmailMessage()
    inner["Subject"] = "inner subject"
    inner.set_content("inner words")
    outer = EmailMessage()
    outer["Subject"] = "outer"
    outer.set_content("outer words")
    outer.add_attachment(inner)
    data = files.docx(tmp_path / "a.docx", [(1, "Head"), (0, "docx words")]).read_bytes()
    outer.add_attachment(data, maintype="application", subtype="octet-stream", filename="a.docx")
    outer.add_attachment(b"%PDF-1.4 broken", maintype="application", subtype="pdf", filename="report.pdf")
    content = mail(bytes(outer))
    assert [(h.level, h.title) for h in content.headings] == [
        (1, "outer"), (2, "inner subject"), (2, "a.docx"), (3, "Head"), (2, "report.pdf")
    ]  # fmt: skip
    for words in ("outer words", "inner words", "docx words", "report.pdf could not be read: the PDF is broken"):
        assert words in content.text


@pytest.mark.parametrize(
    "data",
    [
        b"Subject: =?utf-8?q?broken=ZZ?= x\nFrom: <<<>,,;:\nTo: =?x?\n\nbody words",
        b"Subject: x\nContent-Type: multipart/mixed\n\nbody words",
        b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nbody words\n",
        b"Subject: x\nContent-Transfer-Encoding: base64\n\n!!!not base64 body words",
        b"Subject: x\nContent-Type: text/plain; charset=no-such\n\nbody words",
        b"Subject: \xff\xfe raw bytes\n\nbody words",
    ],
)
def test_hostile_mails_are_read_as_far_as_they_go(data: bytes) -> None:
    assert "ubject: " in mail(data).text


def test_what_has_no_headers_is_no_mail() -> None:
    with pytest.raises(InputError, match="no e-mail"):
        mail(b"\n\nwords")
