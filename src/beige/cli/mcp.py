"""`beige mcp`: an index for copilots, by the Model Context Protocol."""

import typer

from beige.cli._options import Where


def run(
    *,
    index: str | None = Where,
    http: int | None = typer.Option(
        None, metavar="PORT", help="Listen at http://127.0.0.1:PORT/mcp (streamable HTTP) in place of stdin and stdout."
    ),
) -> None:
    """Give copilots tools over an index: search, read_passage and list_documents.

    A copilot starts it and speaks to it by stdin and stdout. What is written to the index meanwhile is found.
    """
    from beige.errors import MissingExtraError, UsageError
    from beige.search import open_index

    try:
        from beige.serve.mcp import build, of
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "beige":
            raise
        raise MissingExtraError("beige mcp", "serve") from error

    if http is not None and not 0 < http < 1 << 16:
        raise UsageError(f"the port must be from 1 to 65535, not {http}")
    with open_index(index) as opened:
        server = build(of(opened))
        if http is None:
            server.run("stdio")
        else:
            server.run("streamable-http", host="127.0.0.1", port=http)
