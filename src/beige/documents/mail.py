"""E-mail to text: who wrote to whom, what, and what was attached.

By the standard library's parser: kreuzberg joins the words of an HTML mail ("HelloBob").
"""

from collections.abc import Callable, Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from pathlib import Path

from beige.documents import formats
from beige.documents.content import Blocks, Content
from beige.documents.decoding import decode
from beige.documents.html import page
from beige.errors import InputError

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_DEPTH = 8
"""How deep mails that are attached to mails are read."""

Parsers = Mapping[str, Callable[[bytes], Content]]


def mail(data: bytes, parsers: Parsers) -> Content:
    """A mail under its subject: headers, body (plain text rather than HTML), attachments under their names.

    Args:
        data: the file.
        parsers: of attachments, by their kind; "text" for those that have none.

    Raises:
        InputError: it has neither headers nor a body.
    """
    message = message_from_bytes(data, policy=policy.default)
    if not message.keys():
        raise InputError("the file is no e-mail: it has no headers")
    blocks = Blocks()
    _message(message, blocks, parsers, 1)
    return blocks.content()


def _message(message: EmailMessage, blocks: Blocks, parsers: Parsers, level: int) -> None:
    blocks.title(_header(message, "Subject"), level)
    blocks.add("\n".join(f"{name}: {value}" for name in _HEADERS if (value := _header(message, name))))
    body = message.get_body(("plain", "html"))
    if body is not None:
        try:
            text = decode(_bytes(body), body.get_content_charset())
        except InputError as error:
            text = f"The body could not be read: {error}"
        if body.get_content_subtype() == "html":
            blocks.append(page(text), level)
        else:
            blocks.add(text)
    for part in message.iter_attachments():
        _attachment(part, blocks, parsers, level + 1)


def _attachment(part: MIMEPart, blocks: Blocks, parsers: Parsers, level: int) -> None:
    """What is attached, under its name; one that cannot be read is named with the reason, and the mail goes on."""
    inner = part.get_payload(0) if part.get_content_type() == "message/rfc822" else None
    if isinstance(inner, EmailMessage) and level <= _DEPTH:
        _message(inner, blocks, parsers, level)
        return
    name = part.get_filename() or part.get_content_type()
    blocks.title(name, level)
    data = _bytes(part)
    parse = parsers.get(formats.kind_of(Path(name)), parsers["text"])
    try:
        blocks.append(parse(data), level)
    except InputError as error:
        blocks.add(f"{name} could not be read: {error}")


def _header(message: EmailMessage, name: str) -> str:
    """A header, decoded; as it stands in the file where it cannot be."""
    try:
        return str(message.get(name, ""))
    except (AttributeError, IndexError, TypeError, ValueError):  # what the parser of addresses raises on hostile ones
        return next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")


def _bytes(part: MIMEPart) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
