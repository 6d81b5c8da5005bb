"""Files that are sent as a form, with what is said of them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile

from beige.index.lease import lease
from beige.serve.errors import Refusal

_EACH = ("source", "modified")
"""What is said of each file, in their order."""

_ALL = ("ttl", "origin")
"""What is said of all files."""

_ORIGIN = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Sent:
    """A file of a form.

    Attributes:
        name: that it is to have.
        file: what was sent; its own name says what kind of file it is.
        modified: when it was changed, in seconds since the epoch; None where that is not said.
    """

    name: str
    file: UploadFile
    modified: float | None


@dataclass(frozen=True, slots=True)
class Form:
    """A form with files.

    Attributes:
        files: at least one, no two of one name.
        ttl: how long they are found; None where that is not said.
        origin: names the folder that they are of; empty for none.
    """

    files: Sequence[Sent]
    ttl: str | None
    origin: str

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(sent.file.size or 0 for sent in self.files)

    @classmethod
    def of(cls, form: FormData) -> "Form":
        """What a form says.

        Raises:
            Refusal: it is not as it should be.
            UsageError: the time to live is none.
        """
        files = [file for file in form.getlist("file") if isinstance(file, UploadFile) and file.filename]
        if not files or len(files) < len(form.getlist("file")):
            raise Refusal("invalid", "the form needs a file with a name, as the field file", param="file")
        if unknown := sorted(set(form) - {"file", *_EACH, *_ALL}):
            raise Refusal("invalid", f"there is no field {unknown[0][:100]!r}", param=unknown[0][:100])
        each = {name: _texts(form, name, len(files)) for name in _EACH}
        ttl, origin = (_texts(form, name, 1)[0] for name in _ALL)
        lease(ttl or None, 0)
        if origin and not _ORIGIN.fullmatch(origin):
            raise Refusal("invalid", "origin must be of at most 64 letters, digits, - _ and .", param="origin")
        sent = [
            Sent(source or str(file.filename), file, _time(modified))
            for file, source, modified in zip(files, each["source"], each["modified"], strict=True)
        ]
        if len({one.name for one in sent}) < len(sent):
            raise Refusal("invalid", "two files have one name: send the later one alone", param="file")
        return cls(sent, ttl or None, origin)


def _texts(form: FormData, name: str, count: int) -> list[str]:
    """What a field says so many times; empty where it is not there."""
    values = [value for value in form.getlist(name) if isinstance(value, str)]
    if len(values) != len(form.getlist(name)) or len(values) not in (0, count):
        raise Refusal(
            "invalid",
            f"{name} must be a text, " + ("and stand once" if name in _ALL else "and stand once for each file"),
            param=name,
        )
    return values or [""] * count


def _time(text: str) -> float | None:
    try:
        found = float(text) if text else None
    except ValueError:
        found = math.nan
    if found is not None and not abs(found) < 1 << 40:
        raise Refusal("invalid", "modified must be seconds since the epoch", param="modified")
    return found
