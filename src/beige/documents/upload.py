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
        modified: when it was changed where it comes from, in seconds since the epoch; None for when it came
            here.
        origin: names the folder that it comes from, whose runs find again what they sent; empty for none.

    Raises:
        InputError: the name is none.
    """

    source: str
    path: Path
    modified: float | None = None
    origin: str = ""

    def __post_init__(self) -> None:
        check_name(self.source)
