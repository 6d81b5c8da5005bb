"""`beige pull`: bring a model onto this machine."""

import typer

from beige.cli._options import Json
from beige.cli._terminal import emit, out


def run(
    model: str = typer.Argument(
        metavar="MODEL", help="A name from `beige models`, a repository on the Hub, or a checkpoint's folder."
    ),
    as_json: bool = Json,
) -> None:
    """Fetch a model's files, or verify those that are here; everything is checked by its sha256."""
    from beige.models.pull import pull

    pulled = pull(model)
    if as_json:
        emit({"model": pulled.model, "path": str(pulled.path), "source": pulled.source, "files": dict(pulled.files)})
        return
    console = out()
    console.print(
        f"[bold]{pulled.model}[/bold] from {pulled.source}, {len(pulled.files)} files verified", soft_wrap=True
    )
    console.print(str(pulled.path), soft_wrap=True, markup=False)
