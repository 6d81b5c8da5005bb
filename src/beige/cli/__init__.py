"""The command line: parsing, tables, progress bars; no logic.

One file a command; `EXAMPLES` is the table of them. A command's module imports only typer and the standard library at
its top, so that `beige --help` is quick; what does the work is imported inside the command.
"""

import importlib
import os
import sys
from typing import NoReturn

import typer

from beige.cli._group import group, summary
from beige.errors import BeigeError

EXAMPLES = {
    "models": "beige models",
    "pull": "beige pull bge-small-en-v1.5",
    "embed": "beige embed lines.txt --output vectors.npy",
    "rerank": "beige rerank 'how fast is light?' passages.txt --limit 3",
    "index": "beige index docs/ README.md",
    "add": "beige add --source notes/lift --field floor=3 --ttl 7d < lift.txt",
    "delete": "beige delete notes/lift",
    "watch": "beige watch docs/ --ttl 30d",
    "search": "beige search 'how are files parsed?' --limit 5",
    "status": "beige status --json",
    "serve": "beige serve --model bge-small-en-v1.5 --port 8000",
    "mcp": "beige mcp --index .beige",
    "key": "beige key create laptop --scope read",
    "migrate": "beige migrate --model bge-base-en-v1.5",
    "backup": "beige backup backups/today.tar",
    "restore": "beige restore backups/today.tar --index restored",
    "move": "beige move qdrant+http://localhost:6333/notes",
    "doctor": "beige doctor",
    "bench": "beige bench --precision fp32",
    "tune": "beige tune --queries queries.jsonl --qrels qrels.tsv",
    "evaluate": "beige evaluate scifact/ --system bm25 --system bge-small-en-v1.5 --output report/",
}
"""Each command with an example, in the order that help shows; its module of `beige.cli` has the same name, with the
command as `run` and, where there are commands below it, those by name as `BELOW`."""


def build(command: str | None = None) -> typer.Typer:
    """The command line as a typer application.

    Args:
        command: the only one to load, which saves a tenth of a second; all of them where there is none of this name.
    """
    app = typer.Typer(
        name="beige",
        help="BGE models on your own machine: pull, embed, index, search, serve.\n\n"
        "Start with: beige index docs/ && beige search 'a question'",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_beige)
    for name in [command] if command in EXAMPLES else EXAMPLES:
        module = importlib.import_module(f"beige.cli.{name}")
        epilog = f"Example: [bold]{EXAMPLES[name]}[/bold]"
        if hasattr(module, "BELOW"):
            app.add_typer(group(module.run, module.BELOW, epilog), name=name, help=summary(module.run))
        else:
            app.command(name, epilog=epilog)(module.run)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from beige import __version__

        typer.echo(f"beige {__version__}")
        raise typer.Exit


def _beige(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line; a `BeigeError` is one line on stderr and exit code 2, Ctrl-C is exit code 130."""
    try:
        build(sys.argv[1] if len(sys.argv) > 1 else None)()
    except BeigeError as error:
        print(f"beige: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        _interrupted()
    except BrokenPipeError:
        # The reader of our output (head, less) went away: not an error, and nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        # A library in C that is interrupted, mostly while it is imported, makes an error of its own of it.
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        _interrupted()


def _interrupted() -> NoReturn:
    print("beige: interrupted", file=sys.stderr)
    sys.exit(130)
