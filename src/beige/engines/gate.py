"""Gate records: whether a precision was found good enough for a checkpoint on a kind of CPU.

`beige.evaluate` measures and writes them; `precision="auto"` reads them. They lie beside the checkpoint, or under
`BEIGE_HOME` where its folder cannot be written: a JSON list of objects with the fields of `Gate`.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from beige.environment import home
from beige.errors import CheckpointError
from beige.models.checkpoint import Checkpoint

FILE = "beige-gates.json"


@dataclass(frozen=True, slots=True)
class Gate:
    """A verdict.

    Attributes:
        fingerprint: the checkpoint's.
        precision: what was measured, "int8".
        capabilities: what the CPU can do, sorted: the verdict holds for CPUs that can do the same.
        passed: whether the precision may be chosen.
        reason: one sentence: what was measured on which data.
    """

    fingerprint: str
    precision: str
    capabilities: tuple[str, ...]
    passed: bool
    reason: str


def read_gate(checkpoint: Checkpoint, precision: str, capabilities: frozenset[str]) -> Gate | None:
    """The verdict on a checkpoint as it is now, on a CPU like this one; None where nobody measured.

    Raises:
        CheckpointError: a record file is damaged.
    """
    wanted = tuple(sorted(capabilities))
    for gate in (gate for path in _places(checkpoint) for gate in _read(path)):
        if (gate.precision, gate.capabilities) == (precision, wanted) and gate.fingerprint == checkpoint.fingerprint:
            return gate
    return None


def write_gate(checkpoint: Checkpoint, gate: Gate) -> Path:
    """Write a verdict, in place of an earlier one on the same; returns the file.

    Raises:
        CheckpointError: neither the checkpoint's folder nor `BEIGE_HOME` can be written, or the file is damaged.
    """
    failures = []
    for path in _places(checkpoint):
        kept = [old for old in _read(path) if _subject(old) != _subject(gate)]
        text = json.dumps([dataclasses.asdict(each) for each in (*kept, gate)], indent=2)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(path.name + ".new")
            new.write_text(text, encoding="utf-8")
            new.replace(path)
        except OSError as error:
            failures.append(str(error))
        else:
            return path
    raise CheckpointError(
        f"the gate record cannot be written: {'; '.join(failures)}; set BEIGE_HOME to a folder of yours"
    )


def _places(checkpoint: Checkpoint) -> tuple[Path, Path]:
    return checkpoint.path / FILE, home() / "gates" / f"{checkpoint.name}.json"


def _subject(gate: Gate) -> tuple[str, str, tuple[str, ...]]:
    return gate.fingerprint, gate.precision, gate.capabilities


def _read(path: Path) -> Iterator[Gate]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(entries, list):
            raise TypeError("a list is expected")
        for entry in entries:
            yield Gate(**{**entry, "capabilities": tuple(entry["capabilities"])})
    except FileNotFoundError:
        return
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path} is no gate record ({error}): delete it") from error
