"""Tasks of mteb: classification, clustering, pair classification and everything else that it measures.

mteb reads its data (from the Hub) and computes its measures; the vectors are ours, from the same cache.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from beige.errors import InputError, MissingExtraError, UsageError
from beige.evaluate.contamination import contamination
from beige.evaluate.cost import Cost
from beige.evaluate.encoder import Encoder, embed
from beige.evaluate.machine import machine
from beige.evaluate.run import Settings, open_encoder
from beige.evaluate.systems import System
from beige.evaluate.variants import STORAGES, shortened
from beige.values import Role

if TYPE_CHECKING:
    from mteb import AbsTask


def tasks_of(names: Sequence[str]) -> "list[AbsTask]":
    """The tasks of these names; a benchmark's name, such as "NanoBEIR", stands for all of its tasks.

    Raises:
        MissingExtraError: mteb is not installed.
        UsageError: mteb has no such task and no such benchmark.
    """
    try:
        import mteb
    except ImportError as error:
        raise MissingExtraError("mteb's tasks", "evaluate") from error
    found: list[AbsTask] = []
    for name in names:
        try:
            found += mteb.get_benchmark(name).tasks
        except KeyError:
            try:
                found.append(mteb.get_task(name))
            except KeyError as error:
                raise UsageError(f"mteb has neither a task nor a benchmark {name!r}") from error
    return found


def benchmark(systems: Sequence[System], tasks: "Sequence[AbsTask]", settings: Settings) -> dict[str, Any]:
    """Each system's main score on each task, in the shape of a record; mteb keeps no figures by query to compare.

    Args:
        systems: models alone.
        tasks: of mteb.
        settings: with what.

    Raises:
        UsageError: a system is more than a model.
        InputError: a task's data cannot be had.
    """
    for system in systems:
        if system.model is None or system.words or system.rerank is not None:
            raise UsageError(f"mteb measures models alone, not {system.name}")
    names = [str(task.metadata.name) for task in tasks]
    return {
        "data": {"name": f"mteb: {', '.join(names)}", "kind": "mteb", "tasks": len(names), "remarks": []},
        "systems": {system.name: _measured(system, tasks, settings) for system in systems},
        "comparisons": [],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
    }


def _measured(system: System, tasks: "Sequence[AbsTask]", settings: Settings) -> dict[str, Any]:
    marks = [mark for task in tasks for mark in contamination(system, str(task.metadata.name))]
    return {
        "measures": _scores(system, tasks, settings),
        "cost": asdict(Cost()),
        "remarks": marks,
        "contaminated": bool(marks),
    }


def _scores(system: System, tasks: "Sequence[AbsTask]", settings: Settings) -> dict[str, float]:
    import mteb

    scores: dict[str, float] = {}
    assert system.model is not None
    with ExitStack() as stack:
        model = _adapter(system, open_encoder(system.model, settings, stack), settings)
        for number, task in enumerate(tasks):
            name = str(task.metadata.name)
            settings.tell(f"{system.name}: {name}", number, len(tasks))
            try:
                results = mteb.evaluate(model, task, cache=None, show_progress_bar=False)
            except (OSError, ConnectionError) as error:
                said = str(error).strip().partition("\n")[0]
                raise InputError(
                    f"the data of mteb's task {name} cannot be had ({said}): is the Hub reachable?"
                ) from error
            scores[name] = float(results[0].get_score())
            settings.tell(f"{system.name}: {name}", number + 1, len(tasks))
    return scores


def _adapter(system: System, encoder: Encoder, settings: Settings) -> Any:
    """The encoder as mteb wants one."""
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta

    class Adapter(AbsEncoder):
        mteb_model_meta = ModelMeta.create_empty(overwrites={"name": f"beige/{system.name}", "revision": "1"})

        def encode(self, inputs: Any, *, prompt_type: Any = None, **_: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
            texts = [text for batch in inputs for text in batch["text"]]
            role: Role = "query" if prompt_type is not None and prompt_type.value == "query" else "document"
            vectors = shortened(embed(encoder, texts, role, settings.cache).vectors, system.dimensions)
            return vectors if role == "query" else STORAGES[system.vectors](vectors).vectors

    return Adapter()
