"""A file of embeddings, JSON lines, npy or Parquet, written so that a broken run goes on where it stopped.

While a run writes `x.npy`, the folder `x.npy.partial` holds `lines.jsonl` (and `vectors.npy` where vectors stand apart
from the lines) and `state.json`: what run this is, how many texts are done, how many bytes of lines they took, and a
digest of their texts. What was written after the last state is dropped when the run goes on. At the end the files are
renamed into place and the folder is removed.
"""

import fcntl
import hashlib
import io
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from beige.errors import InputError, MissingExtraError, UsageError
from beige.values import Embedding, Embeddings, Floats, Output

_LINES = "lines.jsonl"
_VECTORS = "vectors.npy"
_STATE = "state.json"
_BESIDE = ".meta.jsonl"
_ROW_GROUP = 16384
_MULTI_ROW_GROUP = 256  # texts with a vector for each token are some hundred times as large


def json_line(index: int, embedding: Embedding, words: Mapping[str, float] | None = None) -> str:
    """One embedding as a line of JSON.

    Its number, the outputs that it has to float32's precision, its token count and whether it was cut.

    Args:
        index: its number.
        embedding: with some outputs.
        words: the sparse output's tokens with their weights, for people.
    """
    dense = "" if embedding.dense is None else f'"dense":{_numbers(embedding.dense)},'
    return f'{{"index":{index},{dense}{_rest(embedding, words)}}}\n'


def _bare_line(index: int, embedding: Embedding) -> str:
    return f'{{"index":{index},{_rest(embedding, None)}}}\n'


def _rest(embedding: Embedding, words: Mapping[str, float] | None) -> str:
    """What stands beside the dense vector."""
    parts = []
    if (sparse := embedding.sparse) is not None:
        parts.append(f'"sparse":{{"ids":{sparse.ids.tolist()},"weights":{_numbers(sparse.weights)}}}')
    if words is not None:
        shown = ",".join(f"{json.dumps(word, ensure_ascii=False)}:{weight:.6g}" for word, weight in words.items())
        parts.append(f'"words":{{{shown}}}')
    if embedding.multi is not None:
        parts.append(f'"multi":[{",".join(_numbers(vector) for vector in embedding.multi)}]')
    flag = "true" if embedding.truncated else "false"
    return ",".join((*parts, f'"tokens":{embedding.tokens},"truncated":{flag}'))


def _numbers(values: Floats) -> str:
    return "[" + ",".join(["%.9g"] * len(values)) % tuple(values.tolist()) + "]"


def check(path: Path, outputs: Sequence[Output] = ("dense",)) -> None:
    """Whether an `EmbeddingFile` could be written here, as far as can be told before there is anything to write.

    Raises:
        UsageError: another suffix than .jsonl, .npy and .parquet, or outputs that such a file cannot hold.
        InputError: it is a folder, or its folder does not exist.
        MissingExtraError: Parquet without its extra.
    """
    if path.suffix not in _FORMATS:
        raise UsageError(f"{path} has no known suffix: take one of {', '.join(_FORMATS)}")
    if path.suffix == ".npy" and tuple(outputs) != ("dense",):
        raise UsageError(f"{path}: an npy file holds dense vectors alone; take .jsonl or .parquet for other outputs")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: it is a folder, or its folder does not exist")
    _FORMATS[path.suffix].prepare()


def check_apart(path: Path, source: IO[bytes]) -> None:
    """Whether an `EmbeddingFile` would take the place of what it is made of.

    Args:
        path: the file of embeddings.
        source: the texts, open for reading.

    Raises:
        UsageError: it would.
    """
    try:
        read = os.fstat(source.fileno())
    except OSError:
        return  # no file at all
    for written in (path, path.with_suffix(_BESIDE)) if path.suffix == ".npy" else (path,):
        if written.exists() and os.path.samestat(written.stat(), read):
            raise UsageError(f"{written} holds the texts and would be replaced by their vectors: take another --output")


class EmbeddingFile:
    """A file that grows by batches. A context manager: leaving it without `finish` keeps what a later run needs.

    Attributes:
        rows: how many texts are done, those of an earlier, broken run included.
    """

    def __init__(
        self, path: Path, run: Mapping[str, object], dimension: int, outputs: Sequence[Output] = ("dense",)
    ) -> None:
        """Begin a file, or go on with a broken run.

        Args:
            path: ends in .jsonl, .npy (beside it goes `.meta.jsonl`) or .parquet. An older file is replaced at the end.
            run: what decides the vectors: model, role and so on; a broken run with another is refused.
            dimension: length of the dense vectors.
            outputs: what every embedding has.

        Raises:
            UsageError: a broken run of other settings, or another process writes this file.
            InputError: it cannot be written there.
            BeigeError: what `check` raises.
        """
        check(path, outputs)
        self._outputs = tuple(outputs)
        self._format = _FORMATS[path.suffix]
        self._path = path
        self._folder = path.with_name(path.name + ".partial")
        self._run = {"format": path.suffix, "outputs": sorted(outputs), **run}
        self._dimension = dimension if "dense" in outputs else 0
        self._coming: deque[str] = deque()
        with _writing(path), ExitStack() as stack:
            self._folder.mkdir(exist_ok=True)
            self._lines = stack.enter_context((self._folder / _LINES).open("ab"))
            self._vectors = stack.enter_context((self._folder / _VECTORS).open("ab"))
            self._lock()
            self.rows, self._bytes, self._digest = self._earlier()
            self._lines.truncate(self._bytes)
            self._seal()
            self._vectors.truncate(len(_header(0, self._dimension)) + self.rows * self._dimension * 4)
            self._files = stack.pop_all()

    def __enter__(self) -> "EmbeddingFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def remaining(self, texts: Iterable[str]) -> Iterator[str]:
        """The texts that are not done, of all texts of the run.

        Raises:
            UsageError: those that are done are not the first of these.
        """
        digest, number = "", 0
        for number, text in enumerate(texts, 1):
            digest = hashlib.sha256(digest.encode() + text.encode("utf-8", "surrogatepass")).hexdigest()
            if number > self.rows:
                self._coming.append(digest)
                yield text
            elif number == self.rows and digest != self._digest:
                raise self._other("other texts")
        if number < self.rows:
            raise self._other("more texts")

    def append(self, embeddings: Embeddings) -> None:
        """Write the embeddings of the next texts of `remaining`.

        Raises:
            InputError: the disk is full, or the file cannot be written for another reason.
        """
        lines = "".join(self._format.line(self.rows + row, each) for row, each in enumerate(embeddings)).encode()
        with _writing(self._path):
            self._lines.write(lines)
            if self._format.apart and embeddings.dense is not None:
                self._vectors.write(np.ascontiguousarray(embeddings.dense, "<f4").data)
            for file in (self._lines, self._vectors):
                file.flush()
                os.fsync(file.fileno())
            self.rows += len(embeddings)
            self._bytes += len(lines)
            for _ in range(len(embeddings)):
                self._digest = self._coming.popleft()
            state = {"run": self._run, "rows": self.rows, "bytes": self._bytes, "digest": self._digest}
            new = self._folder / f"{_STATE}.new"
            new.write_text(json.dumps(state), encoding="utf-8")
            new.replace(self._folder / _STATE)

    def finish(self) -> None:
        """Put the whole file in its place and remove what a broken run would need.

        Raises:
            InputError: it cannot be written.
        """
        with _writing(self._path):
            self._seal()
            self._files.close()
            self._format.publish(self._folder, self._path, self._outputs)
            shutil.rmtree(self._folder)

    def _seal(self) -> None:
        """Write the header of the vectors for as many rows as there are; it always has one length."""
        with (self._folder / _VECTORS).open("r+b") as file:
            file.write(_header(self.rows, self._dimension))
            file.flush()
            os.fsync(file.fileno())

    def _lock(self) -> None:
        try:
            fcntl.flock(self._lines, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"another process is writing {self._path}: wait for it, or take another --output"
            ) from error

    def _earlier(self) -> tuple[int, int, str]:
        """Rows, bytes of lines and digest of a broken run; zeros where there is none."""
        try:
            state = json.loads((self._folder / _STATE).read_text(encoding="utf-8"))
            found = int(state["rows"]), int(state["bytes"]), str(state["digest"])
            run = state["run"]
        except FileNotFoundError:
            return 0, 0, ""
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self._folder} is damaged: delete it to begin anew") from error
        if run != self._run:
            names = sorted(name for name in {**run, **self._run} if run.get(name) != self._run.get(name))
            raise self._other(f"another {' and '.join(names)}")
        return found

    def _other(self, what: str) -> UsageError:
        return UsageError(
            f"{self._folder} is of a broken run with {what}: delete it to begin anew, or take another --output"
        )


@dataclass(frozen=True, slots=True)
class _Format:
    """A kind of file.

    Attributes:
        line: what is written for one text.
        apart: whether vectors are kept in a matrix beside the lines.
        prepare: raises where the format cannot be written here.
        publish: makes the file from the folder of a run that is done.
    """

    line: Callable[[int, Embedding], str]
    apart: bool
    prepare: Callable[[], object]
    publish: Callable[[Path, Path, tuple[Output, ...]], object]


def _publish_jsonl(folder: Path, path: Path, _: tuple[Output, ...]) -> None:
    (folder / _LINES).replace(path)


def _publish_npy(folder: Path, path: Path, _: tuple[Output, ...]) -> None:
    (folder / _LINES).replace(path.with_suffix(_BESIDE))
    (folder / _VECTORS).replace(path)


def _publish_parquet(folder: Path, path: Path, outputs: tuple[Output, ...]) -> None:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    vectors = np.load(folder / _VECTORS, mmap_mode="r")  # (n, d)
    dimension = vectors.shape[1]
    weights = pyarrow.list_(pyarrow.float32())
    kinds = {
        "dense": pyarrow.list_(pyarrow.float32(), dimension),
        "sparse": pyarrow.struct([("ids", pyarrow.list_(pyarrow.uint32())), ("weights", weights)]),
        "multi": pyarrow.list_(weights),
    }
    schema = pyarrow.schema(
        [
            ("index", pyarrow.int64()),
            *((output, kind) for output, kind in kinds.items() if output in outputs),
            ("tokens", pyarrow.int32()),
            ("truncated", pyarrow.bool_()),
        ]
    )
    target = folder / "out.parquet"
    group = _MULTI_ROW_GROUP if "multi" in outputs else _ROW_GROUP
    with (folder / _LINES).open(encoding="utf-8") as lines, pyarrow.parquet.ParquetWriter(target, schema) as writer:
        for start in range(0, len(vectors), group):
            part = np.asarray(vectors[start : start + group])  # (rows, d)
            records = [json.loads(next(lines)) for _ in part]
            columns = [
                pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(part.ravel()), dimension)
                if field.name == "dense"
                else pyarrow.array([record[field.name] for record in records], field.type)
                for field in schema
            ]
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))
    target.replace(path)


def _need_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401  # whether it is there
    except ImportError as error:
        raise MissingExtraError("writing Parquet", "parquet") from error


_FORMATS: Mapping[str, _Format] = {
    ".jsonl": _Format(json_line, apart=False, prepare=lambda: None, publish=_publish_jsonl),
    ".npy": _Format(_bare_line, apart=True, prepare=lambda: None, publish=_publish_npy),
    ".parquet": _Format(_bare_line, apart=True, prepare=_need_pyarrow, publish=_publish_parquet),
}


def _header(rows: int, dimension: int) -> bytes:
    """The header of an npy file of float32; numpy pads it so that its length does not depend on the rows."""
    target = io.BytesIO()
    description = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimension)}
    np.lib.format.write_array_header_1_0(target, description)
    return target.getvalue()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
