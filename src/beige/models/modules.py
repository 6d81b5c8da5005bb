"""The modules that sentence-transformers runs for a checkpoint: `modules.json`, and its router between the roles."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from beige.errors import CheckpointError

MODULES = "modules.json"
ROUTER = "router_config.json"

BACKBONES = {"Transformer", "MLMTransformer"}
_KNOWN = {*BACKBONES, "Pooling", "Normalize", "SpladePooling", "SparseStaticEmbedding", "Router"}


@dataclass(frozen=True, slots=True)
class Module:
    """One step of what is computed.

    Attributes:
        kind: the name of its class.
        path: the folder of its files.
    """

    kind: str
    path: Path


@dataclass(frozen=True, slots=True)
class Modules:
    """What is computed for each role, in order; empty where a checkpoint has no `modules.json`."""

    query: tuple[Module, ...] = ()
    document: tuple[Module, ...] = ()

    def find(self, *kinds: str) -> Path | None:
        """The folder of a document's first module of these kinds."""
        return next((module.path for module in self.document if module.kind in kinds), None)


def read_modules(folder: Path) -> Modules:
    """Read what a checkpoint's folder says.

    Raises:
        CheckpointError: a file is damaged, or names a module or routes that Beige does not run.
    """
    path = folder / MODULES
    if not path.is_file():
        return Modules()
    try:
        stated = [(entry["path"], entry["type"]) for entry in json.loads(path.read_text(encoding="utf-8"))]
        modules = _modules(folder, path, stated)
        if [module.kind for module in modules] != ["Router"]:
            return Modules(modules, modules)
        path = modules[0].path / ROUTER
        router = json.loads(path.read_text(encoding="utf-8"))
        routes = {
            role: _modules(modules[0].path, path, [(name, router["types"][name]) for name in router["structure"][role]])
            for role in ("query", "document")
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is no list of modules ({error}): pull the checkpoint again") from error
    if routes["query"] != routes["document"] and [each.kind for each in routes["query"]] != ["SparseStaticEmbedding"]:
        raise CheckpointError(f"{path} gives queries a model of their own, which Beige does not run")
    return Modules(**routes)


def _modules(folder: Path, source: Path, stated: Iterable[tuple[str, str]]) -> tuple[Module, ...]:
    modules = tuple(Module(kind.rpartition(".")[2], folder / path) for path, kind in stated)
    if unknown := sorted({module.kind for module in modules} - _KNOWN):
        raise CheckpointError(f"{source} names the module {unknown[0]}, which Beige does not run")
    return modules
