"""`make demo`: real documents of this machine, searched with the real bge-small-en-v1.5 and BM25 together.

It runs the `beige` commands that anyone would type and prints each before it runs. Without `--docs` the documents are
this project's own documentation and the README and licence texts of the packages that `make` has just installed.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEIGE = Path(sys.executable).with_name("beige")
MODEL = "bge-small-en-v1.5"
LARGEST = 100_000  # bytes: a change log of years would be half of the collection

CURL = (
    "curl localhost:8000/v1/embeddings -H 'Content-Type: application/json' "
    f"""-d '{{"model": "{MODEL}", "input": "a question"}}'"""
)

QUERIES = (
    ("a question", "How do I read the text of a PDF page?"),
    ("a name, as it stands in the text", "BEIGE_OFFLINE"),
    ("an idea, in other words than the text's", "who pays if the software does harm"),
)
PLAIN_QUERIES = (
    ("a question", "What is this about, and how do I begin?"),
    ("a word", "licence"),
    ("an idea, in other words than the text's", "things that can go wrong"),
)


def main() -> int:
    """Pull, index, search, and say what to type next."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, help="a folder of your own documents")
    parser.add_argument("--query", action="append", help="search for this; repeat for more")
    options = parser.parse_args()
    options.docs = options.docs and options.docs.expanduser()  # make quotes it, so that no shell does
    if options.docs and not options.docs.exists():
        print(f"demo: {options.docs} does not exist: give DOCS the folder of your documents", file=sys.stderr)
        return 2
    os.chdir(ROOT)
    # The demonstration's own index is the one that `beige search` finds here; other documents get one of their own.
    os.environ.pop("BEIGE_INDEX", None)
    where = ["--index", f".cache/demo/{options.docs.resolve().name}"] if options.docs else []
    paths = [str(options.docs.resolve())] if options.docs else own_documents()
    steps = [["pull", MODEL], ["index", *paths, "--model", MODEL, *where]]
    queries = [("your query", text) for text in options.query or ()] or (PLAIN_QUERIES if options.docs else QUERIES)
    started = time.monotonic()
    for step in steps:
        if code := beige(*step):
            return code
    for kind, query in queries:
        print(f"\n# {kind}")
        if code := beige("search", query, "--limit", "3", "--explain", *where):
            return code
    print(f"\nThat took {time.monotonic() - started:.0f} s. Now type, for example:\n")
    for line in (
        ["search", "a question of your own", *where],
        ["search", "a question of your own", "--explain", "--min-relevance", "0.5", *where],
        ["status", *where],
        ["index", "FOLDER", "--index", "FOLDER/.beige"],
    ):
        print(f"  {spell(line)}")
    print("\nor serve the model to your OpenAI, Cohere and other clients:\n")
    print(f"  {os.path.relpath(sys.executable, Path.cwd())} -m pip install '.[serve]'")
    print(f"  {spell(['serve'])}")
    print(f"  {CURL}")
    if not options.docs:
        print("\nor search your own documents this way: make demo DOCS=folder")
    return 0


def own_documents() -> list[str]:
    """This project's documentation, and README and licence texts of the packages that it needs."""
    written = [
        name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "docs") if Path(name).exists()
    ]
    texts: set[Path] = set()
    for requirement in distribution("beige").requires or ():
        if "extra ==" in requirement:
            continue
        name = "".join(c if c.isalnum() or c in "-_." else " " for c in requirement).split()[0]
        try:
            files = distribution(name).files or ()
        except PackageNotFoundError:
            continue  # of another platform
        for file in files:
            folder, *rest = file.parts
            if folder.endswith(".dist-info") and (rest == ["METADATA"] or "licen" in file.name.lower()):
                texts.add(Path(str(file.locate())))
    return written + sorted(
        os.path.relpath(text, ROOT) for text in texts if text.is_file() and text.stat().st_size <= LARGEST
    )


def beige(*arguments: str) -> int:
    """Print the command, then run it; its exit code."""
    print(f"\n$ {spell(arguments)}", flush=True)
    return subprocess.run([str(BEIGE), *arguments], check=False).returncode


def spell(arguments: tuple[str, ...] | list[str]) -> str:
    """The command as one types it, a long list of paths in part."""
    packages = [one for one in arguments if ".dist-info" in one]
    shown = [one for one in arguments if one not in packages[1:]]
    words = [os.path.relpath(BEIGE, Path.cwd()), *map(shlex.quote, shown)]
    if len(packages) > 1:
        words.insert(1 + shown.index(packages[0]) + 1, f"[... {len(packages) - 1} more]")
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main())
