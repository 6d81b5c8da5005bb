"""Files and folders of this machine, brought to a server: what is new or changed is sent, what is gone is removed.

They are found, named and compared as for an index that is here. A server has documents of many: each carries the name
of the machine and folder that sent it, and a run removes only what was sent from where it runs.
"""

import hashlib
import platform
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from beige.documents.chunk import Failure
from beige.documents.upload import Upload
from beige.documents.walk import Found, find, source_of
from beige.index.files import Files
from beige.index.report import Change
from beige.index.server.connection import Connection, MissingError
from beige.index.server.listing import listed
from beige.index.server.sending import Sending
from beige.index.store import Stored


def bring(sending: Sending, paths: Sequence[str | Path], base: str) -> None:
    """Send the files at and beneath paths that a server has not as they are, and remove those that are gone.

    Where a time to live is given all are sent, since it is to change; nothing is embedded anew for that.

    Args:
        sending: the run.
        paths: files and folders.
        base: the folder that sources are relative to.

    Raises:
        InputError: a path does not exist.
        BeigeError: the server cannot be asked, or refuses.
    """
    found = find(paths, base=base)
    own = origin_of(base)
    stored = _beneath(sending.connection, [source_of(path, base) for path in paths], base)
    known = _Listing(stored, own, again=sending.ttl is not None)
    files = Files(known, base)

    def changed() -> Iterator[Upload]:
        for file in files.to_read(found, sending.say):
            if isinstance(file, Failure):
                files.fail(file)
                sending.fail(file.source, file.reason)
            elif known.holds(file):
                sending.say(Change("unchanged", file.source))
            else:
                modified = None if files.young(file) else file.modified  # it is looked at again next time
                yield Upload(file.source, file.path, modified, own)

    sending.uploads(changed())
    sending.delete(list(files.vanished(paths)))


def origin_of(base: str) -> str:
    """Names a folder of this machine, and does not say which."""
    return hashlib.sha256(f"{platform.node()}\0{base}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _beneath(connection: Connection, sources: Sequence[str], base: str) -> Iterator[Stored]:
    """What a server has of these files and folders, and of others whose names begin so."""
    whole = any(f"{base}/".startswith(f"{source.rstrip('/')}/") for source in sources)
    try:
        for prefix in [""] if whole else sources:
            yield from listed(connection, prefix)
    except MissingError:  # it has no index yet
        return


class _Listing:
    """What a server has, as files are compared to it: what others sent counts as given by name.

    Args:
        documents: what it has.
        own: the origin of what was sent from here.
        again: whether all is to be sent, whatever it has.
    """

    def __init__(self, documents: Iterable[Stored], own: str, *, again: bool) -> None:
        self._again = again
        self._documents = {
            one.source: replace(one, given=one.origin != own, settled=one.settled and not again) for one in documents
        }
        self._sources = sorted(self._documents)

    def documents(self, prefix: str = "") -> Iterator[Stored]:
        """See `Store.documents`."""
        for place in range(bisect_left(self._sources, prefix), len(self._sources)):
            if not self._sources[place].startswith(prefix):
                return
            yield self._documents[self._sources[place]]

    def stored(self, sources: Sequence[str]) -> Mapping[str, Stored]:
        """See `Store.stored`."""
        return {source: self._documents[source] for source in sources if source in self._documents}

    def expire(self, sources: Sequence[str], when: float | None) -> None:
        """Nothing: who sends a time to live sends the files."""

    def holds(self, file: Found) -> bool:
        """Whether the server has the file, sent from here, with just what it holds now."""
        stored = self._documents.get(file.source)
        if self._again or stored is None or stored.given or stored.size != file.size:
            return False
        try:
            with file.path.open("rb") as content:
                return hashlib.file_digest(content, "sha256").hexdigest() == stored.digest
        except OSError:
            return False  # who sends it will say why
