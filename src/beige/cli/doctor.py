"""`beige doctor`: what this machine can do, and what is missing on it."""

from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from beige.cli._options import Json
from beige.cli._terminal import emit, facts, out


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `beige doctor` finds.

    Attributes:
        beige: its version.
        python: the interpreter's version.
        system: operating system and processor architecture.
        processor: its name, where the system tells.
        cores: processors that this process may use.
        capabilities: what the CPU can do that decides the precision.
        model: the model that the following is about.
        precision: what it would run in; None where it is not on this machine.
        why: the reason for that.
        models: models on this machine and their folders.
        home: where models are kept.
        offline: whether no socket may leave the machine.
        mvn: the Maven client, if there is one.
        hub: the Hub or its mirror.
        remarks: limits that cannot be enforced here, and other things to know.
    """

    beige: str
    python: str
    system: str
    processor: str
    cores: int
    capabilities: list[str]
    model: str
    precision: str | None
    why: str
    models: dict[str, str]
    home: str
    offline: bool
    mvn: str | None
    hub: str
    remarks: list[str]


def run(
    model: str = typer.Option("bge-small-en-v1.5", help="Say which precision this model would run in, and why."),
    as_json: bool = Json,
) -> None:
    """Look at this machine: what it can do, which precision is chosen and why, which models are here."""
    found = diagnose(model)
    if as_json:
        emit(asdict(found))
        return
    facts(
        {
            "beige": f"{found.beige}, Python {found.python}",
            "machine": f"{found.system}, {found.processor}, {found.cores} cores",
            "capabilities": " ".join(found.capabilities) or "none that decides anything",
            "precision": f"{found.precision or 'not known yet'} for {found.model}: {found.why}",
            "models": "\n".join(found.models) or "none: beige pull bge-small-en-v1.5",
            "home": found.home,
            "network": "offline (BEIGE_OFFLINE or HF_HUB_OFFLINE)" if found.offline else f"allowed; Hub: {found.hub}",
            "mvn": found.mvn or "not found: models come from the Hub or a folder",
        }
    )
    for remark in found.remarks:
        out().print(f"[yellow]![/yellow] {remark}", soft_wrap=True)


def diagnose(model: str) -> Diagnosis:
    """Look at this machine.

    Args:
        model: a name or folder; nothing is pulled.

    Raises:
        ModelNotFoundError: no such model.
    """
    import platform
    import shutil

    from beige import __version__, environment
    from beige.documents.worker import MEMORY_ENFORCED
    from beige.engines import capabilities, choose_for
    from beige.errors import ModelNotFoundError
    from beige.models.catalogue import find_card
    from beige.models.checkpoint import open_checkpoint
    from beige.models.pull import installed

    try:
        choice = choose_for(open_checkpoint(model, pull=False), "auto")
        precision, why = choice.precision, choice.reason
    except ModelNotFoundError:
        find_card(model)  # a name that nobody knows is an error
        precision, why = None, f"it is not on this machine: beige pull {model}"
    remarks = []
    if not MEMORY_ENFORCED:
        remarks.append("this system does not enforce a limit of memory: a hostile file may use what there is")
    if not capabilities():
        remarks.append("the processor's capabilities cannot be read here: models run in fp32")
    return Diagnosis(
        beige=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        cores=environment.cores(),
        capabilities=sorted(capabilities()),
        model=model,
        precision=precision,
        why=why,
        models={name: str(path) for name, path in installed().items()},
        home=str(environment.home()),
        offline=environment.offline(),
        mvn=shutil.which("mvn"),
        hub=environment.hub_endpoint() or "its own address",
        remarks=remarks,
    )


def _processor() -> str:
    import platform

    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or "unknown processor"
