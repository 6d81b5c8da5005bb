"""Which files lie beneath the paths that a person names.

Beneath a named folder, hidden files, what editors leave beside the file that they edit, and what `.gitignore` files
exclude are left out, and symbolic links are not followed: a walk stays inside the folder, so it ends, and reads each
file once. None of this applies to the named paths themselves, nor does anything above them: `beige index build/`
indexes an ignored folder, and a link that is named is followed.
"""

import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from beige.documents import formats
from beige.documents.chunk import Failure
from beige.errors import InputError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

NEVER = frozenset({".beige", ".git", ".hg", ".svn", ".jj", ".bzr", "_darcs", "CVS"})
"""Folders that are never entered: indexes, and what version control keeps for itself."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read.

    Attributes:
        path: what opens it.
        source: its name in hits, the same for every way of naming the file (see `source_of`).
        size: bytes.
        modified: mtime in seconds since the epoch.
    """

    path: Path
    source: str
    size: int
    modified: float


def passed_over(name: str) -> bool:
    """Whether a name in a folder is that of something hidden, or of what editors leave beside the file they edit."""
    return name.startswith((".", "~$")) or name.endswith("~") or (len(name) > 2 and name[0] == name[-1] == "#")


def source_of(path: str | Path, base: str | None = None) -> str:
    r"""A file's name in hits: relative to the base if it lies beneath it, else absolute, with `/` between.

    `docs/./a.md`, `docs/../docs/a.md` and `/home/me/docs/a.md` in `/home/me` are all `docs/a.md`. Symbolic links keep
    their names. Bytes that are not UTF-8 are written as `\xff`, so that a source is always text that can be stored.

    Args:
        path: relative to the current folder, or absolute.
        base: an absolute folder; None for the current one.
    """
    return _source(absolute(path), base or os.getcwd())  # noqa: PTH109  # names are strings here


def from_here(source: str, base: str) -> str:
    """How a source of another base is named in the current folder; only its beginning differs."""
    name = source if source.startswith("/") else f"{base.rstrip('/')}/{source}"
    return name.removeprefix(os.path.join(os.getcwd(), ""))  # noqa: PTH109, PTH118


def glob_from_here(glob: str, base: str) -> str:
    """A glob that a person writes in the current folder, as one for sources of another base.

    Args:
        glob: as `.gitignore` has them. With a slash before its end it is meant from the current folder on, or from the
            root if it begins with one; else, and after `**/`, it holds in every folder, and stays as it is.
        base: the folder that sources are relative to.
    """
    if "/" not in glob.rstrip("/") or glob.startswith("**/"):
        return glob
    here = _GLOB.sub(r"\\\g<0>", os.getcwd())  # noqa: PTH109
    file, mark, record = glob.partition("#")  # a record's own name is no path
    if not file:
        file, mark, record = glob, "", ""
    whole = posixpath.normpath(posixpath.join(here, file)) + ("/" if file.endswith("/") else "") + mark + record
    inner = whole.removeprefix(_GLOB.sub(r"\\\g<0>", base.rstrip("/")))
    return inner if inner.startswith("/") else whole


_GLOB = re.compile(r"[*?\[\]\\ ]")
"""What means more than itself in a glob."""


def absolute(path: str | Path) -> Path:
    """The path from the root, without `.` and `..`."""
    plain = os.path.abspath(path)  # noqa: PTH100  # Path.absolute keeps the `..`
    if ".." in Path(path).parts and os.path.realpath(plain) != os.path.realpath(path):
        plain = os.path.realpath(path)  # `link/..` is not the folder that holds the link
    return Path(plain)


def _source(absolute: Path, base: str) -> str:
    name = os.fspath(absolute).removeprefix(os.path.join(base, ""))  # noqa: PTH118  # once for every file
    return os.fsencode(name.replace(os.sep, "/")).decode("utf-8", "backslashreplace")


class Within:
    """What lies at or beneath some paths, and the folders that lead there.

    Args:
        paths: absolute, without `.` and `..`.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = frozenset(paths)
        self._leading = {parent for path in self._paths for parent in path.parents}

    def __contains__(self, path: Path) -> bool:
        return path in self._leading or path in self._paths or not self._paths.isdisjoint(path.parents)


def find(
    paths: Sequence[str | Path],
    skip: str | Path | None = None,
    base: str | None = None,
    within: Within | None = None,
) -> Iterator[Found | Failure]:
    """The files to index at and beneath these paths, each once, in sorted order.

    A file that Beige cannot read the kind of is passed over in a walk, and is a `Failure` where it is named itself.
    A folder or file that may not be read is a `Failure` too.

    Args:
        paths: files and folders.
        skip: a folder that is not entered: the index that is being written, should it lie beneath a path.
        base: what sources are relative to, as for `source_of`.
        within: what is looked at; None for everything.

    Raises:
        InputError: a path does not exist; said before the first file is given.
    """
    for path in paths:
        if not os.path.lexists(path):
            raise InputError(f"{str(path)!r} does not exist; check the spelling, and the folder that you are in")
    return _find(
        [path for path in map(absolute, paths) if within is None or path in within],
        None if skip is None else os.path.realpath(skip),
        base or os.getcwd(),  # noqa: PTH109
        within,
    )


def _find(paths: Sequence[Path], skip: str | None, base: str, within: Within | None) -> Iterator[Found | Failure]:
    seen: set[str] = set()
    for path in paths:
        for found in _named(path, skip, base, within):
            if found.source not in seen:
                seen.add(found.source)
                yield found


def _named(path: Path, skip: str | None, base: str, within: Within | None) -> Iterator[Found | Failure]:
    """What a named path stands for."""
    try:
        status = path.stat()
    except OSError as error:
        yield Failure(_source(path, base), _reason(error))
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _walk(path, skip, base, within)
    elif not stat.S_ISREG(status.st_mode):
        yield Failure(_source(path, base), "it is not a file but a pipe, socket or device, which is never opened")
    else:
        yield _file(path, status, base) or Failure(
            _source(path, base), "it is not of a kind that can be read: neither text nor a document; leave it out"
        )


def _file(path: Path, status: os.stat_result, base: str) -> Found | Failure | None:
    """The file, or None where it is of no kind that can be read."""
    source = _source(path, base)
    try:
        known = formats.known(path)
    except OSError as error:
        return Failure(source, _reason(error))
    return Found(path, source, status.st_size, status.st_mtime) if known else None


def _walk(top: Path, skip: str | None, base: str, within: Within | None) -> Iterator[Found | Failure]:
    """Everything beneath a folder, in the order of the names; a stack, since folders nest deeper than Python calls."""
    if top.name in NEVER or os.path.realpath(top) == skip:
        return
    pending: list[tuple[Path, _Ignored]] = [(top, ())]
    while pending:
        path, ignored = pending.pop()
        try:
            status = path.stat() if path == top else path.lstat()
            if stat.S_ISDIR(status.st_mode):
                entries = _entries(path, ignored, skip)
                pending += reversed([entry for entry in entries if within is None or entry[0] in within])
            elif stat.S_ISREG(status.st_mode) and (found := _file(path, status, base)):
                yield found
        except OSError as error:
            yield Failure(_source(path, base), _reason(error))


_Ignored = tuple[tuple[Path, "GitIgnoreSpec"], ...]
"""The folders from the named one inwards that have a `.gitignore`, and what it says."""


def _entries(folder: Path, ignored: "_Ignored", skip: str | None) -> list[tuple[Path, "_Ignored"]]:
    """What to look at in a folder, sorted, each with the rules that hold there."""
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
    if any(entry.name == ".gitignore" and entry.is_file() for entry in entries):
        ignored = (*ignored, (folder, _rules(folder / ".gitignore")))
    kept = []
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if passed_over(entry.name) or entry.is_symlink() or (is_folder and entry.name in NEVER):
            continue
        path = Path(entry.path)
        if is_folder and skip is not None and os.path.realpath(path) == skip:
            continue
        if not _excluded(path, is_folder, ignored):
            kept.append((path, ignored))
    return kept


def _rules(path: Path) -> "GitIgnoreSpec":
    """A `.gitignore` file's rules; as git does, a line that is no pattern is passed over."""
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore import GitIgnorePatternError

    lines = path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff").split("\n")
    valid = []
    for line in (line.rstrip("\r") for line in lines):
        try:
            GitIgnoreSpec.from_lines([line])
        except GitIgnorePatternError:
            continue
        valid.append(line)
    return GitIgnoreSpec.from_lines(valid)


def _excluded(path: Path, is_folder: bool, ignored: "_Ignored") -> bool:
    """Whether the innermost `.gitignore` that has a word on this path excludes it."""
    for folder, rules in reversed(ignored):
        name = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
        verdict = rules.check_file(name).include
        if verdict is not None:
            return verdict
    return False


def _reason(error: OSError) -> str:
    return f"it cannot be read: {error.strerror or error}"
