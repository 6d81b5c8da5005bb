"""`beige key`: API keys of `beige serve`."""

from pathlib import Path

import typer

from beige.cli._options import Json
from beige.cli._terminal import emit, err, facts, out

_File = typer.Option(None, "--keys", help="The file of keys.  [default: serve-keys.json in the home of models]")


def run(keys: Path | None = _File, as_json: bool = Json) -> None:
    """Show the API keys of `beige serve`: names, scopes, and when they were made; keys themselves are not kept."""
    from beige.serve.keys import default_file, read

    found = read(keys or default_file())
    if as_json:
        emit([{"name": key.name, "scope": key.scope, "created": key.created} for key in found.values()])
    elif found:
        facts({key.name: f"{key.scope}, {key.created}" for key in found.values()})
    else:
        out().print("There is no key: beige key create NAME")


def create(
    name: str = typer.Argument(help="What you call it; the server's log names it."),
    scope: str = typer.Option("read", help="read: embed, rerank, search. write: change documents too. admin: all."),
    keys: Path | None = _File,
    as_json: bool = Json,
) -> None:
    """Make a key and print it once; only its hash is kept.

    A server that runs knows it a second later. Example: beige key create laptop --scope read
    """
    from beige.serve.keys import create as make
    from beige.serve.keys import default_file

    key = make(keys or default_file(), name, scope)
    if as_json:
        emit({"name": name, "scope": scope, "key": key})
    else:
        out().print(key, soft_wrap=True)
        err().print("Keep it: it is not shown again.")


def revoke(
    name: str = typer.Argument(help="The key's name."),
    keys: Path | None = _File,
    as_json: bool = Json,
) -> None:
    """Forget a key; a server that runs refuses it a second later.

    Example: beige key revoke laptop
    """
    from beige.serve.keys import default_file
    from beige.serve.keys import revoke as forget

    forget(keys or default_file(), name)
    if as_json:
        emit({"revoked": name})
    else:
        out().print(f"{name} is revoked.")


BELOW = {"create": create, "revoke": revoke}
