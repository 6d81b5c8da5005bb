"""The process of one device of a pool: an engine, and batches that come and go over a socket."""

import sys
from multiprocessing.connection import Connection

from beige.engines.torch_engine import TorchEngine
from beige.errors import EngineError


def main() -> None:
    """Serve the socket whose number is the last argument, until its other end is closed.

    First comes what the engine is made of; None goes back when it is loaded. Then come pairs of a batch and outputs,
    and lists of a text's place and numbers go back. What is raised goes back in their stead.
    """
    with Connection(int(sys.argv[-1])) as parent:
        try:
            engine = TorchEngine(*parent.recv())
        except Exception as error:
            _raise(parent, error)
            return
        parent.send(None)
        while True:
            try:
                batch, outputs = parent.recv()
            except EOFError:
                return
            try:
                parent.send(list(engine.results([batch], outputs)))
            except Exception as error:
                _raise(parent, error)


def _raise(parent: Connection, error: Exception) -> None:
    try:
        parent.send(error)
    except Exception:  # some errors cannot be pickled
        parent.send(EngineError(f"{type(error).__name__}: {error}"))
