"""Tasks of mteb: classification, clustering, pair classification and everything else that it measures.

mteb reads its data (from the Hub) and computes its measures; the vectors are ours, from the same cache.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from beige.errors import InputError, MissingExtraError, UsageError
from beige.evaluate.cache import key_of
from beige.evaluate.contamination import contamination
from beige.evaluate.cost import Cost
from beige.evaluate.encoder import Encoder, embed
from beige.evaluate.record import circumstances, row_of
from beige.evaluate.run import Settings, open_encoder
from beige.evaluate.significance import bootstrap, compare
from beige.evaluate.systems import System
from beige.evaluate.variants import STORAGES, shortened
from beige.values import Role

if TYPE_CHECKING:
    from mteb import AbsTask

MEAN = "mean"
"""The measure of several tasks together."""


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
    """Each system's main score on each task and their mean, in the shape of a record.

    mteb keeps no figures by query: what is resampled and compared are the tasks, where there are several.

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
    scores = {system.name: _scores(system, tasks, settings) for system in systems}
    names = [str(task.metadata.name) for task in tasks]
    revisions = [f"{task.metadata.name} {task.metadata.dataset['revision']}" for task in tasks]
    return {
        "data": {
            "name": f"mteb: {', '.join(names)}",
            "kind": "mteb",
            "fingerprint": key_of(revisions).hex()[:16],
            "tasks": names,
            "remarks": [],
        },
        "systems": {system.name: _system(system, scores[system.name]) for system in systems},
        "comparisons": [row_of(row) for row in compare(MEAN, scores)] if len(names) > 1 else [],
        **circumstances(settings.prices),
    }


def _system(system: System, scores: Mapping[str, float]) -> dict[str, Any]:
    marks = [mark for task in scores for mark in contamination(system, task)]
    whole: dict[str, Any] = {"measures": dict(scores), "intervals": {}}
    if len(scores) > 1:
        row = np.array([list(scores.values())])  # (1, tasks)
        (interval,) = bootstrap(row)
        whole = {
            "measures": {MEAN: float(row.mean()), **scores},
            "intervals": {MEAN: [interval.low, interval.high]},
        }
    return {**whole, "cost": asdict(Cost()), "remarks": marks, "contaminated": bool(marks)}


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
