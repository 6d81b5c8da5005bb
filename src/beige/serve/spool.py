"""Where uploaded files wait to be read: a folder of the process, which does not outlive it for long."""

import os
import shutil
import tempfile
from pathlib import Path

from beige.errors import LockedError
from beige.index.lock import WriteLock

_PREFIX, _LOCK = "beige-uploads-", "lock"


class Spool:
    """A folder for files, made with the first; what killed servers left is removed when one begins."""

    def __init__(self) -> None:
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            _remove_left(folder)
        self._folder: Path | None = None
        self._lock: WriteLock | None = None

    def folder(self) -> Path:
        """It.

        Raises:
            OSError: it cannot be made.
        """
        if self._folder is None:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
            self._lock = WriteLock(folder / _LOCK)
            self._folder = folder
        return self._folder

    def close(self) -> None:
        """Remove it."""
        if self._folder is not None and self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._lock.release()


def _remove_left(folder: Path) -> None:
    """Remove a spool of this user's whose process is no more."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid() or not (folder / _LOCK).exists():
            return
        with WriteLock(folder / _LOCK):
            shutil.rmtree(folder)
    except (LockedError, OSError):  # it is in use, or went away
        return
