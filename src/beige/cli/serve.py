"""`beige serve`: models for every client, over HTTP."""

from pathlib import Path

import typer

from beige.cli._options import Json, Where
from beige.cli._terminal import emit, err

_DEFAULT = "bge-small-en-v1.5"


def run(
    *,
    host: str = typer.Option("127.0.0.1", help="The address to listen at; beyond this machine a key is needed."),
    port: int = typer.Option(8000, help="The port; 0 for any free one."),
    model: list[str] = typer.Option(
        [], help=f"An embedder's name or folder; may stand several times.  [default: the index's, else {_DEFAULT}]"
    ),
    reranker: list[str] = typer.Option([], help="A reranker's name or folder; may stand several times."),
    index: str | None = Where,
    alias: list[str] = typer.Option([], metavar="NAME=MODEL", help="Another name for a model, as clients may ask for."),
    precision: str = typer.Option("auto", help="fp32, bf16, int8, or auto: the fastest that keeps the vectors."),
    memory: str | None = typer.Option(
        None, help="What the weights of loaded models may take together, as 4G.  [default: half of the machine's]"
    ),
    queue: int = typer.Option(1 << 18, help="How many tokens may wait in each lane; what is beyond gets a 429."),
    timeout: float = typer.Option(60.0, help="Seconds after which a request's work is dropped."),
    max_body: str = typer.Option("8M", help="The largest body of a request."),
    max_items: int = typer.Option(2048, help="The most inputs of a request."),
    keys: Path | None = typer.Option(
        None, help="The file of API keys, see `beige key`.  [default: serve-keys.json in the home of models]"
    ),
    insecure: bool = typer.Option(False, "--insecure", help="Listen beyond this machine without a key."),
    tls_certificate: Path | None = typer.Option(None, help="A certificate's file, PEM."),
    tls_key: Path | None = typer.Option(None, help="The certificate's private key, PEM."),
    origin: list[str] = typer.Option([], help="A web page, as https://host, whose scripts may call.  [default: none]"),
    log_level: str = typer.Option("info", help="debug, info, warning or error; JSON lines on stderr, without texts."),
    as_json: bool = Json,
) -> None:
    """Serve models over HTTP: clients of OpenAI, Cohere, Jina and TEI work by changing their base URL.

    The index is searched and filled over HTTP too; where there is none, the first upload makes it.
    Models that are not on this machine are pulled first. Ctrl-C ends it when what was taken is answered.
    """
    from beige.errors import MissingExtraError, UsageError
    from beige.index import place_of
    from beige.serve.keys import default_file
    from beige.serve.settings import Settings, parse_size

    try:
        from beige.serve.library import models_of
        from beige.serve.log import LEVELS, set_up
        from beige.serve.memory import bound_heaps, settle
        from beige.serve.server import Server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "beige":
            raise
        raise MissingExtraError("beige serve", "serve") from error

    if log_level not in LEVELS:
        raise UsageError(f"there is no log level {log_level!r}: take one of {', '.join(LEVELS)}")
    aliases = {}
    for pair in alias:
        name, equals, meant = pair.partition("=")
        if not (name and equals and meant):
            raise UsageError(f"alias {pair!r} must be written as NAME=MODEL")
        aliases[name] = meant
    place = place_of(index)
    settings = Settings(
        host=host,
        port=port,
        models=tuple(model) or tuple(models_of(place)) or (() if reranker else (_DEFAULT,)),
        rerankers=tuple(reranker),
        index=place,
        precision=precision,
        aliases=aliases,
        memory=None if memory is None else parse_size(memory),
        queue_tokens=queue,
        timeout=timeout,
        body_bytes=parse_size(max_body),
        items=max_items,
        keys=keys or default_file(),
        insecure=insecure,
        certificate=tls_certificate,
        private_key=tls_key,
        origins=tuple(origin),
    )

    def listening(url: str) -> None:
        names = [served.name for served in server.service.models.all]
        if as_json:
            emit({"url": url, "models": names})
        else:
            err().print(f"[bold]{url}[/bold] serves {', '.join(names)}", soft_wrap=True)

    set_up(log_level)
    bound_heaps()
    server = Server(settings, listening, settle)
    server.serve_forever()
