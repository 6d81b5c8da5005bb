"""The worker process: reads the files it is told to, one after another, and says what came of each.

The kernel ends it when a file takes too much processor time or memory; the reader ends it when a file takes too long
without using the processor. It ends by itself when the reader goes away: a thread waits for the end of its input.
"""

import json
import math
import os
import queue
import resource
import signal
import sys
import threading
from pathlib import Path

from beige.documents import messages
from beige.documents.reading import Recipe, failure, read
from beige.documents.records import Names
from beige.documents.splitter import Splitter
from beige.errors import BeigeError

_ONE_THREAD = {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "TOKIO_WORKER_THREADS": "1"}
"""The parsers would start a thread for each core; their stacks count as memory, and the cores have work to do."""

MEMORY_ENFORCED = sys.platform == "linux"
"""Whether the limit of memory holds here: macOS takes the setting and ignores it."""


def main() -> None:
    """Serve until the input ends: first the configuration, then batches of files, each a line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the reader's to act on
    os.environ.update(_ONE_THREAD)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a parser prints must not stand between the answers
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    configuration = json.loads(lines.get())
    try:
        names = Names(**{name: tuple(fields) for name, fields in configuration["names"].items()})
        recipe = Recipe(Splitter(Path(configuration["tokenizer"]), configuration["chunk_tokens"]), names)
    except BeigeError as error:
        answers.write(messages.dump(["refused", type(error).__name__, str(error)]))
        answers.close()
        return
    answers.write(messages.dump(messages.READY))
    answers.flush()
    if MEMORY_ENFORCED:
        _limit(resource.RLIMIT_DATA, configuration["memory"])
    while True:
        for file in messages.unpack_files(lines.get()):
            patience = messages.patience(file, configuration["seconds"])
            _limit_time(patience)
            try:
                for result in read(file, recipe):
                    answers.write(messages.pack(result))
                    _limit_time(patience)
            except MemoryError:
                os._exit(messages.OUT_OF_MEMORY)  # nothing more can be relied upon here
            except BaseException as error:  # a panic of a parser written in Rust is no Exception
                reason = f"its parser failed: {type(error).__name__}: {error}"
                answers.write(messages.pack(failure(file.source, reason)))
            answers.write(messages.dump(messages.END))
            answers.flush()


def _listen(lines: "queue.SimpleQueue[bytes]") -> None:
    """Pass on what the reader says; end the process when the reader has gone."""
    with os.fdopen(0, "rb", closefd=False) as commands:
        for line in commands:
            lines.put(line)
    os._exit(0)


def _limit_time(seconds: float) -> None:
    """Let the kernel end this process once it has been busy for that much longer."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds))


def _limit(kind: int, most: int) -> None:
    """Set a limit, but none above the one that this process was started under, which it may not raise."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
