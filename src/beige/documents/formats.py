"""Which kinds of files can be read, by suffix; `parsers` knows how.

Knows no parser, so that walking a folder loads none.
"""

from pathlib import Path

from beige.documents.decoding import is_text

_SUFFIXES = {
    "text": "txt text log rst adoc asciidoc org tex srt vtt",
    "markdown": "md markdown mdown mkd mdx qmd rmd",
    "html": "html htm xhtml",
    "pdf": "pdf",
    "docx": "docx docm dotx",
    "pptx": "pptx pptm ppsx",
    "xlsx": "xlsx xlsm",
    "epub": "epub",
    "email": "eml",
    "code": "bash bat c cc clj cljs cmake cpp cs css cu cuh cxx dart el erl ex exs f f90 fish fs go gradle graphql "
    "groovy h hh hpp hs hxx ini java jl js jsx kt kts less lisp lua m mjs ml mli mm nim nix pas php pl pm "
    "proto ps1 py pyi pyx r rb rs sass scala scm scss sh sol sql svelte swift tcl tf thrift toml ts tsx v vb "
    "vhd vim vue xml yaml yml zig zsh",
    "jsonl": "jsonl ndjson",
    "json": "json",
    "csv": "csv",
    "tsv": "tsv tab",
}
KINDS = {f".{suffix}": kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
"""Kind of file by suffix in lower case."""

RECORDS = frozenset({"jsonl", "json", "csv", "tsv"})
"""Kinds whose records are documents of their own, called `file#record`."""

_HEAD = 4096


def kind_of(path: Path) -> str:
    """The kind of a file by its suffix; "text" where the suffix says nothing (README, LICENSE, Makefile)."""
    return KINDS.get(path.suffix.lower(), "text")


def file_of(source: str, media: str) -> str:
    """The file that a document is of: its source, or what stands in that before the record's name."""
    end = source.find("#") if media == "record" else -1
    while end >= 0:
        if KINDS.get("." + source[:end].rpartition(".")[2].lower()) in RECORDS:
            return source[:end]
        end = source.find("#", end + 1)
    return source


def known(path: Path) -> bool:
    """Whether a file can be read: by its suffix, or because it begins as text does.

    Raises:
        OSError: the suffix says nothing and the file cannot be opened.
    """
    if path.suffix.lower() in KINDS:
        return True
    with path.open("rb") as file:
        return is_text(file.read(_HEAD))
