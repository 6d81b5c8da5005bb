"""`beige add`: a text, or records, from stdin."""

import json
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import typer

from beige.cli._options import Json, Language, Legs, Model, Precision, Ttl, Where
from beige.cli._writing import Chosen, open_any, show


def run(
    file: str = typer.Argument("-", metavar="[FILE|-]", help="A text, or JSON lines; - is stdin."),
    *,
    source: str | None = typer.Option(
        None, metavar="NAME", help="The text's name. Without it the input is JSON lines, each record named by its id."
    ),
    title: str = typer.Option("", help="Stands above the text."),
    field: list[str] = typer.Option([], metavar="KEY=VALUE", help="A field that filters can name; may be repeated."),
    media: str = typer.Option("text", help="text, markdown or code: how the text is split."),
    ttl: str | None = Ttl,
    index: str | None = Where,
    model: str | None = Model,
    legs: str | None = Legs,
    precision: str = Precision,
    language: str | None = Language,
    as_json: bool = Json,
) -> None:
    """Add texts that are no files; each replaces what has its name.

    They stay until they are deleted or expire: `beige index` removes only files.
    A record is a JSON object with an id (or _id), a text, a title if it has one,
    and fields.
    """
    from beige.cli._texts import open_input
    from beige.documents.decoding import decode
    from beige.documents.text import Text, texts_of
    from beige.errors import UsageError
    from beige.index import place_of
    from beige.index.lease import lease

    lease(ttl, 0)  # what is no time is said before the model is loaded
    fields = dict(map(_field, field))
    if source is None and (fields or title):
        raise UsageError("--field and --title are of one text: name it with --source")
    place = place_of(index)
    with open_input(file) as data:
        given = (
            texts_of(_lines(data))
            if source is None
            else [Text(source, decode(data.read()), title=title, fields=fields, media=media)]
        )
        with open_any(place, Chosen(model, legs, precision, language)) as target:
            report = target.add(given, ttl=ttl)
    show(report, place, as_json=as_json)


def _field(option: str) -> tuple[str, Any]:
    from beige.errors import UsageError

    name, equals, value = option.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--field {option!r} is no KEY=VALUE, such as year=2026")
    try:
        parsed = json.loads(value)
    except ValueError:
        return name, value
    return name, value if parsed is None or isinstance(parsed, dict) else parsed


def _lines(data: BinaryIO) -> Iterator[bytes]:
    """Lines as they come; read beneath the buffer, whose lock a thread that waits here would hold at Ctrl-C."""
    rest = b""
    while block := os.read(data.fileno(), 1 << 16):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    if rest:
        yield rest
