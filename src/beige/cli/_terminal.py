"""What the commands share: JSON on stdout, everything else on stderr, tables and progress bars."""

import json
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


def emit(value: Any) -> None:
    """Write one JSON document as one line to stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def out() -> "Console":
    """The console of results."""
    from rich.console import Console

    return Console(highlight=False)


def err() -> "Console":
    """The console of progress and remarks."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def progress(unit: str) -> AbstractContextManager["Progress"]:
    """A progress bar on stderr with counts, rate and time left; nothing where stderr is no terminal.

    Args:
        unit: what is counted, in the plural ("texts").
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err(),
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def facts(rows: Mapping[str, str]) -> None:
    """Print names and values in two columns; long values wrap within theirs."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    for name, value in rows.items():
        grid.add_row(name, Text(value, overflow="fold"))
    out().print(grid)
