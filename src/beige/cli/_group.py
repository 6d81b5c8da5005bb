"""A command that has commands below it: `beige evaluate DATA` beside `beige evaluate sample`."""

from collections.abc import Callable, Mapping
from typing import Any

import typer
from typer.core import TyperGroup

_ITSELF = "itself"


class _Group(TyperGroup):
    """What does not begin with the name of a command below it is for the command itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the hidden name of the command itself before its own arguments."""
        if not args or args[0] not in self.commands:
            args = [_ITSELF, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Keep the hidden name out of help and errors."""
        name, command, rest = super().resolve_command(ctx, args)
        return None if name == _ITSELF else name, command, rest


def summary(run: Callable[..., None]) -> str:
    """The first line of a command's help."""
    return (run.__doc__ or "").partition("\n")[0]


def group(run: Callable[..., None], below: Mapping[str, Callable[..., None]], epilog: str) -> typer.Typer:
    """A typer application to be added below `beige`.

    Args:
        run: the command itself.
        below: the commands below it by name. A first argument of such a name is meant as the command; a folder of that
            name is written `./name`.
        epilog: the end of the command's own help.
    """
    app = typer.Typer(cls=_Group, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    listed = ", ".join(f"[bold]{name}[/bold]" for name in below)
    app.command(_ITSELF, hidden=True, epilog=f"{epilog}\n\nBelow it, each with its own --help: {listed}.")(run)
    for name, function in below.items():
        app.command(name)(function)
    return app
