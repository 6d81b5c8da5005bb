"""The ONNX file that a checkpoint was imported from, beside its tokenizer: what fastembed runs."""

import hashlib
import shutil
import subprocess
import zipfile
from pathlib import Path

from beige.models.checkpoint import Checkpoint
from bench.environments import PEERS, PeerError


def onnx_folder(checkpoint: Checkpoint) -> Path:
    """A folder with `model.onnx` and the checkpoint's configuration and tokenizer; fetched once with `mvn`.

    Raises:
        PeerError: the file cannot be had here.
    """
    files = checkpoint.card and checkpoint.card.maven
    client = shutil.which("mvn")
    if not files or not client:
        raise PeerError(
            f"no ONNX file of {checkpoint.name} can be had here" + (": mvn is not on the path" * bool(files))
        )
    folder = PEERS / "onnx" / checkpoint.name
    model = folder / "model.onnx"
    if not model.is_file() or hashlib.sha256(model.read_bytes()).hexdigest() != files.onnx:
        folder.mkdir(parents=True, exist_ok=True)
        command = [client, "-q", "-B", "dependency:copy", f"-Dartifact={files.artifact}", f"-DoutputDirectory={folder}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        jar = next(folder.glob("*.jar"), None)
        if done.returncode or jar is None:
            raise PeerError(f"mvn could not fetch {files.artifact}")
        with zipfile.ZipFile(jar) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".onnx"))
            with archive.open(name) as source, model.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        jar.unlink()
    for file in checkpoint.path.glob("*.json"):
        shutil.copy(file, folder)
    return folder
