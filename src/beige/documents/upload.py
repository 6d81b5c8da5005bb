"""Files that are known by a name that was given with them, and not by where they lie."""

from dataclasses import dataclass
from pathlib import Path

from beige.documents.text import check_name


@dataclass(frozen=True, slots=True)
class Upload:
    """A file with a name.

    Attributes:
        source: its name in hits; the file replaces what has this name. It is never looked for on this machine.
        path: where it lies until it is read; its suffix says what kind of file it is.

    Raises:
        InputError: the name is none.
    """

    source: str
    path: Path

    def __post_init__(self) -> None:
        check_name(self.source)
