"""What a person or a program gives to be added, sorted by kind."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self, TypeAlias

from beige.documents.chunk import Failure
from beige.documents.text import Text
from beige.documents.upload import Upload
from beige.errors import InputError

Item: TypeAlias = str | Path | Text | Upload | Iterable[Text | Failure]


@dataclass(frozen=True, slots=True)
class Given:
    """What is to be added.

    Attributes:
        paths: files and folders.
        uploads: files with names.
        texts: texts, and failures among them; taken as they are needed, and not yet seen to be texts.
    """

    paths: Sequence[str | Path]
    uploads: Sequence[Upload]
    texts: Iterator[Text | Failure]

    @classmethod
    def of(cls, what: Sequence[Item]) -> Self:
        """Sort it.

        Raises:
            InputError: something can be neither.
        """
        for item in what:
            if not isinstance(item, str | Path | Text | Upload | Iterable):
                raise _neither(item)
        return cls(
            [item for item in what if isinstance(item, str | Path)],
            [item for item in what if isinstance(item, Upload)],
            chain.from_iterable(
                [item] if isinstance(item, Text) else item for item in what if not isinstance(item, str | Path | Upload)
            ),
        )


def text_of(item: object) -> Text:
    """What was given, where it is a text.

    Raises:
        InputError: it is neither a path nor a text.
    """
    if not isinstance(item, Text):
        raise _neither(item)
    return item


def _neither(item: object) -> InputError:
    return InputError(f"only paths and texts can be added, not {type(item).__name__}: make a beige.Text")
