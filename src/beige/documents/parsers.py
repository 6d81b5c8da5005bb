"""How each kind of file is read: the tables from kind to parser."""

from collections.abc import Callable

from beige.documents import records
from beige.documents.content import Content
from beige.documents.html import html
from beige.documents.mail import mail
from beige.documents.office import docx, epub, pptx, xlsx
from beige.documents.pdf import pdf
from beige.documents.prose import markdown, plain

CONTENTS: dict[str, Callable[[bytes], Content]] = {
    "text": plain,
    "markdown": markdown,
    "code": plain,
    "html": html,
    "pdf": pdf,
    "docx": docx,
    "pptx": pptx,
    "xlsx": xlsx,
    "epub": epub,
    "email": lambda data: mail(data, CONTENTS),
}
"""Kinds that are one document; the kind is the document's `media`."""

RECORDS: dict[str, records.Read] = {
    "jsonl": records.json_lines,
    "json": records.json_list,
    "csv": records.comma_separated,
    "tsv": records.tab_separated,
}
"""Kinds that are many documents, of the `media` "record"."""
