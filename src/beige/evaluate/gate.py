"""Whether a precision is good enough for a model on somebody's own data; the verdict is what engines read.

The rule is that of a test for non-inferiority: the precision passes if the loss against fp32 is, with 95 % confidence,
below the tolerance.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from beige.engines.gate import Gate, write_gate
from beige.engines.precision import capabilities
from beige.errors import InputError, UsageError
from beige.evaluate.data import Pairs, Retrieval
from beige.evaluate.run import Settings, measures_of, run
from beige.evaluate.significance import Comparison, compare
from beige.evaluate.systems import Model, System
from beige.models.checkpoint import open_checkpoint

TOLERANCE = 0.005
FEWEST = 50
"""Queries, or pairs, below which no verdict is given: a handful may all be ties, which no interval makes up for."""

REFERENCE = "fp32"


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        gate: the record that was written.
        path: where.
        comparison: of the precision with fp32.
        figures: of both, by precision.
        tokens_per_second: of both, by precision; None where nothing was computed anew.
    """

    gate: Gate
    path: Path
    comparison: Comparison
    figures: dict[str, float]
    tokens_per_second: dict[str, float | None]


def gate(
    model: str, precision: str, data: Retrieval | Pairs, settings: Settings, *, tolerance: float = TOLERANCE
) -> Verdict:
    """Measure a precision against fp32 and write the verdict beside the checkpoint.

    Args:
        model: a name or a folder.
        precision: "int8" or "bf16".
        data: on what; its first usual measure decides.
        settings: with what.
        tolerance: the loss that is acceptable.

    Raises:
        InputError: the data has fewer than 50 queries or pairs.
        UsageError: the precision is fp32 or does not exist, or the tolerance is not above 0.
        EngineError: this CPU cannot compute in the precision.
        CheckpointError: the verdict cannot be written.
    """
    if precision == REFERENCE:
        raise UsageError(f"{REFERENCE} is what others are measured against: ask for int8 or bf16")
    if not 0 < tolerance < 1:
        raise UsageError(f"the tolerance must be between 0 and 1, not {tolerance}")
    size = len(data) if isinstance(data, Pairs) else len(data.queries)
    if size < FEWEST:
        raise InputError(
            f"{data.name} has {size} queries, and a verdict takes {FEWEST}: add queries, or more documents"
        )
    checkpoint = open_checkpoint(model)
    measure = measures_of(data, ())[0]
    plain = System(REFERENCE, Model("beige", model, precision=REFERENCE), words=False)
    asked = replace(plain, name=precision, model=Model("beige", model, precision=precision))
    results = {system.name: run(system, data, (measure,), settings) for system in (asked, plain)}
    (comparison,) = compare(measure, {name: result.figures[measure] for name, result in results.items()})
    figures = {name: result.mean(measure) for name, result in results.items()}
    passed = comparison.interval.low > -tolerance
    reason = (
        f"{measure} {figures[precision]:.4f} against {figures[REFERENCE]:.4f} in {REFERENCE} on {data.name}: "
        f"difference {comparison.difference:+.4f} [{comparison.interval.low:+.4f}, {comparison.interval.high:+.4f}], "
        f"tolerance {tolerance:g}"
    )
    verdict = Gate(checkpoint.fingerprint, precision, tuple(sorted(capabilities())), passed, reason)
    speeds = {name: result.cost.tokens_per_second for name, result in results.items()}
    return Verdict(verdict, write_gate(checkpoint, verdict), comparison, figures, speeds)
