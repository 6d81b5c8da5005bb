"""The documents of the server's index: sent, listed, read, deleted; and the jobs that do it."""

import asyncio
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import python_multipart.exceptions
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from beige.documents.formats import KINDS, known
from beige.documents.text import Text
from beige.documents.upload import Upload
from beige.errors import InputError
from beige.index.expression import resolve
from beige.index.lease import lease
from beige.index.store import Stored
from beige.serve.asking import JsonRoute, library_of, may_write, terms_of
from beige.serve.errors import Refusal
from beige.serve.form import Form
from beige.serve.jobs import Job
from beige.serve.library import Library, Opened
from beige.serve.wire import json_bytes

router = APIRouter(route_class=JsonRoute, tags=["Knowledge"])

PAGE = 1000
"""The most documents of a list."""

TOGETHER = 100
"""The most documents that are deleted by name in one request."""


FIELDS = 1000
"""The most values that a text's fields may have: each is looked for by itself."""


class Record(BaseModel):
    """A text with a name; what else it says are its fields, which filters can name."""

    model_config = ConfigDict(extra="allow")

    source: Annotated[str, Field(examples=["notes/lift"], description="Its name; it replaces what has this name.")]
    text: Annotated[str, Field(examples=["The lift of house 3 is inspected in May."])]
    title: str = ""
    media: Annotated[str, Field(description="text, markdown or code: how it is split.")] = "text"
    ttl: Annotated[str | None, Field(description="How long it is found, from now: 12h, 30d, never.")] = None
    fields: Annotated[
        dict[str, Any] | None,
        Field(
            description="Its fields, of any names, in place of those that stand beside. Then `modified` beside it says "
            "when the text changed, in seconds since the epoch."
        ),
    ] = None

    def as_text(self) -> Text:
        """For the index.

        Raises:
            InputError: it cannot be stored so.
        """
        beside = dict(self.model_extra or {})
        if self.fields is None:
            return Text(self.source, self.text, self.title, beside, self.media)
        modified = beside.pop("modified", None)
        if beside:
            raise InputError(f"{self.source} has fields within and beside its fields: name them in one place")
        if modified is not None and type(modified) not in (int, float):
            raise InputError(f"modified of {self.source} must be seconds since the epoch")
        return Text(self.source, self.text, self.title, self.fields, self.media, modified)


_RECORDS: TypeAdapter[Record | list[Record]] = TypeAdapter(Record | list[Record])

_SENT = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": Record.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "May stand several times."},
                        "source": {"type": "string", "description": "For each file: its name, in place of its own."},
                        "ttl": {"type": "string", "description": "How long they are found, from now: 12h, 30d, never."},
                        "modified": {
                            "type": "string",
                            "description": "For each: when it was changed, since 1970.",
                        },
                        "origin": {
                            "type": "string",
                            "description": "Names their folder, for its later runs.",
                        },
                    },
                }
            },
        },
    }
}


@router.post("/v1/documents", status_code=202, openapi_extra=_SENT, dependencies=[Depends(may_write)])
async def send(request: Request) -> Response:
    """Send a text as JSON, or a list of such, or files of any kind that is read; each replaces what has its name.

    The answer is a job: once it is "done", all of it is durable and found.
    """
    library = library_of(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        job = _of_records(await request.json(), len(await request.body()))
    elif kind == "multipart/form-data":
        job = await _of_files(request, library)
    else:
        raise Refusal("not_json", "send a text as application/json, or files as multipart/form-data")
    return _submitted(library, job)


@router.get("/v1/documents")
async def documents(
    request: Request,
    prefix: str = "",
    filter: str | None = None,
    after: Annotated[str, Query(description="`next` of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE)] = 100,
) -> Response:
    """The documents whose names begin with a prefix and that pass a filter, by name; `next` where there are more."""

    def read(opened: Opened) -> list[Stored]:
        store = opened.index.store
        where = None if filter is None else resolve(filter, store.fields())
        return list(islice(store.documents(prefix, where, after or None), limit + 1))

    found = await library_of(request).read(terms_of(request), read)
    listed = found[:limit]
    following = listed[-1].source if len(found) > limit else None
    return _answer({"documents": [asdict(stored) for stored in listed], "next": following})


@router.get("/v1/documents/{source:path}")
async def document(request: Request, source: str) -> Response:
    """One document with its passages."""
    found = await library_of(request).read(terms_of(request), lambda opened: opened.index.store.document(source))
    if found is None:
        raise Refusal("not_found", f"the index has no document {source[:200]!r}")
    return _answer(asdict(found))


@router.delete("/v1/documents/{source:path}", status_code=202, dependencies=[Depends(may_write)])
async def delete(request: Request, source: str) -> Response:
    """Delete a document, after what was sent before. The answer is a job."""
    library = library_of(request)
    return _submitted(library, Job(delete=(source,), size=len(source)))


@router.delete("/v1/documents", status_code=202, dependencies=[Depends(may_write)])
async def delete_several(
    request: Request,
    source: Annotated[list[str], Query(min_length=1, max_length=TOGETHER, description="May stand several times.")],
    prefix: Annotated[bool, Query(description="Whether all documents whose names begin so are meant.")] = False,
) -> Response:
    """Delete documents, after what was sent before. The answer is a job."""
    if prefix and not all(source):
        raise Refusal("invalid", "an empty prefix would remove every document: name a beginning", param="source")
    library = library_of(request)
    return _submitted(library, Job(delete=tuple(source), prefix=prefix, size=sum(map(len, source))))


@router.get("/v1/jobs/{job}")
async def job(
    request: Request,
    job: str,
    changes: Annotated[
        int | None, Query(ge=0, description="Tell what became of documents one by one, from this one on.")
    ] = None,
) -> Response:
    """How far a job is: "waiting", "running", "done", or "failed" where some of it could not be done."""
    found = library_of(request).jobs.get(job)
    if found is None:
        raise Refusal("not_found", f"there is no job {job[:100]!r}, or it ended long ago")
    return _answer(found.as_object(changes))


def _of_records(sent: Any, size: int) -> Job:
    try:
        given = _RECORDS.validate_python(sent, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = next((part for part in reversed(first["loc"]) if part in Record.model_fields), None)
        raise Refusal(
            "invalid", f"{field or 'the body'}: {first['msg']}", param=None if field is None else str(field)
        ) from error
    records = given if isinstance(given, list) else [given]
    if any(_values(record.model_extra or {}) > FIELDS for record in records):
        raise Refusal("invalid", f"the fields of a text may have {FIELDS:,} values")
    if not records:
        raise Refusal("invalid", "the list has no text")
    if len({record.source for record in records}) < len(records):
        raise Refusal("invalid", "two texts of the list have one source: send the later one alone", param="source")
    if len(ttls := {record.ttl for record in records}) > 1:
        raise Refusal("invalid", "the texts of a list must have one ttl: send them apart", param="ttl")
    (ttl,) = ttls
    lease(ttl, 0)
    return Job(add=[record.as_text() for record in records], ttl=ttl, size=size)


def _values(fields: Mapping[str, Any]) -> int:
    return sum(len(value) if isinstance(value, list) else 1 for value in fields.values())


async def _of_files(request: Request, library: Library) -> Job:
    try:
        form = await request.form()
    except python_multipart.exceptions.FormParserError as error:
        raise Refusal("invalid", "the body is not multipart/form-data as its boundary says") from error
    try:
        sent = Form.of(form)
        library.check_room(sent.size)
        return Job(add=await asyncio.to_thread(_kept, sent, library.spool()), ttl=sent.ttl, size=sent.size)
    finally:
        await form.close()


def _kept(form: Form, folder: Path) -> list[Upload]:
    """The files where they wait to be read, under names of our own."""
    kept: list[Upload] = []
    try:
        for sent in form.files:
            suffix = PurePosixPath(sent.file.filename or "").suffix.lower()
            path = folder / (secrets.token_hex(16) + (suffix if suffix in KINDS else ""))
            kept.append(Upload(sent.name, path, sent.modified, form.origin))
            with path.open("xb") as target:
                shutil.copyfileobj(sent.file.file, target)
            if not known(path):
                raise InputError(
                    f"{sent.name[:200]} is of no kind of file that is read: send a text, or a PDF, or office files"
                )
    except BaseException:
        for upload in kept:
            upload.path.unlink(missing_ok=True)
        raise
    return kept


def _submitted(library: Library, job: Job) -> Response:
    library.submit(job)
    return Response(json_bytes(job.as_object()), 202, {"Location": f"/v1/jobs/{job.id}"}, "application/json")


def _answer(value: Any) -> Response:
    return Response(json_bytes(value), media_type="application/json")
