"""Which tensors a torch file holds: a reader of its pickle that knows tensors and dictionaries and refuses all else.

It walks the pickle's opcodes over a stack of its own. Nothing in a pickle is ever imported or called: a name that the
file asks for is looked up in a table of what this module stands for, and an unknown one is refused by name. It knows
nothing of where the numbers lie; that is `torch_file`'s.
"""

import io
import pickle
import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_STORAGES: Mapping[str, str] = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
_TYPES: Mapping[str, str] = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}


class RefusedError(Exception):
    """The pickle is damaged or asks for something else than tensors; the text says what."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """How a tensor lies in a storage.

    Attributes:
        storage: the storage's key, a record of the archive.
        count: how many elements the storage has; bytes where `counts_bytes`.
        counts_bytes: whether the storage has no dtype of its own.
        dtype: safetensors name.
        offset: its first element's number in the storage.
        shape: elements along each axis.
        strides: elements between neighbours along each axis.
    """

    storage: str
    count: int
    counts_bytes: bool
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _StorageType:
    dtype: str | None  # None: untyped


@dataclass(frozen=True, slots=True)
class _Type:
    dtype: str


@dataclass(frozen=True, slots=True)
class _Function:
    rebuild: Callable[[tuple[Any, ...]], Any]


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str | None
    count: int


def read_pickle(pickled: bytes) -> dict[str, StoredTensor]:
    """The named tensors of a state dictionary.

    Raises:
        RefusedError: the pickle is damaged, or holds something else.
    """
    machine = _Machine()
    try:
        for name, argument in _instructions(pickled):
            _STEPS[name](machine, argument)
        (whole,) = machine.stack
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise RefusedError(f"its pickle is damaged ({error})") from error
    if not isinstance(whole, dict):
        raise RefusedError("it is no state dictionary")
    for name, value in whole.items():
        if not isinstance(value, StoredTensor):
            raise RefusedError(f"under {name!r} it holds a {type(value).__name__} and not a tensor")
    return whole


def _instructions(pickled: bytes) -> Iterator[tuple[str, Any]]:
    """Each opcode's name and argument; an opcode that no state dictionary needs is refused before its argument is read.

    `pickletools.genops` would read those arguments too, and evaluate the escapes in them and in names.
    """
    stream = io.BytesIO(pickled)
    while (code := stream.read(1).decode("latin-1")) != pickle.STOP.decode():
        opcode = _OPCODES.get(code)
        if opcode is None:
            raise ValueError(f"{code!r} is no opcode" if code else "it has no end")
        if opcode.name not in _STEPS:
            raise RefusedError(f"its pickle uses {opcode.name}, which no state dictionary needs")
        if opcode.name == "GLOBAL":
            yield opcode.name, " ".join(stream.readline().decode("ascii").rstrip("\n") for _ in range(2))
        else:
            yield opcode.name, opcode.arg and opcode.arg.reader(stream)


class _Machine:
    """The stack of a pickle, its marks (each the stack below it) and its memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def pop(self, count: int) -> tuple[Any, ...]:
        items = tuple(self.stack.pop() for _ in range(count))
        return items[::-1]


_Step = Callable[[_Machine, Any], object]


def _mark(machine: _Machine, _: object) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _tuple(machine: _Machine, _: object) -> None:
    items = machine.pop_mark()
    machine.stack.append(tuple(items))


def _put(machine: _Machine, index: int | None) -> None:
    machine.memo[len(machine.memo) if index is None else index] = machine.stack[-1]


def _set_items(machine: _Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, dict) or not all(isinstance(name, str) for name in items[::2]):
        raise RefusedError("it holds a dictionary whose keys are no names")
    target.update(zip(items[::2], items[1::2], strict=True))


def _append(machine: _Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, list):
        raise RefusedError("its pickle appends to what is no list")
    target.extend(items)


def _global(machine: _Machine, name: str) -> None:
    if name not in _GLOBALS:
        raise RefusedError(f"it asks for {name}, which Beige does not run")
    machine.stack.append(_GLOBALS[name])


def _reduce(machine: _Machine, _: object) -> None:
    function, arguments = machine.pop(2)
    if not isinstance(function, _Function) or not isinstance(arguments, tuple):
        raise RefusedError("its pickle calls what is no function")
    machine.stack.append(function.rebuild(arguments))


def _build(machine: _Machine, _: object) -> None:
    """A state dictionary's attributes: torch puts its modules' versions there, which change no number."""
    target, state = machine.pop(2)
    if not (isinstance(target, dict) and isinstance(state, dict) and state.keys() <= {"_metadata"}):
        raise RefusedError("its pickle sets attributes")
    machine.stack.append(target)


def _persistent(machine: _Machine, _: object) -> None:
    match machine.stack.pop():
        case ("storage", _StorageType() as kind, str(key), str(), int(count)):
            machine.stack.append(_Storage(key, kind.dtype, count))
        case _:
            raise RefusedError("it refers to what is no storage")


def _rebuild_dictionary(arguments: tuple[Any, ...]) -> dict[str, Any]:
    if arguments:
        raise RefusedError("it makes an ordered dictionary in a way that torch does not")
    return {}


def _rebuild_tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    match arguments:
        case (_Storage(dtype=str(dtype)) as storage, offset, shape, strides, _, _, *_):
            return _tensor(storage, dtype, offset, shape, strides)
    raise RefusedError("it makes a tensor in a way that torch does not")


def _rebuild_typed_tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    match arguments:
        case (_Storage() as storage, offset, shape, strides, _, _, _Type() as kind, *_):
            return _tensor(storage, kind.dtype, offset, shape, strides)
    raise RefusedError("it makes a tensor in a way that torch does not")


def _rebuild_parameter(arguments: tuple[Any, ...]) -> StoredTensor:
    match arguments:
        case (StoredTensor() as tensor, *_):
            return tensor
    raise RefusedError("it makes a parameter of what is no tensor")


def _tensor(storage: _Storage, dtype: str, offset: Any, shape: Any, strides: Any) -> StoredTensor:
    whole = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides)
    if not whole or not all(isinstance(number, int) and number >= 0 for number in (offset, *shape, *strides)):
        raise RefusedError("it holds a tensor without a proper shape")
    return StoredTensor(storage.key, storage.count, storage.dtype is None, dtype, offset, shape, strides)


_GLOBALS: Mapping[str, Any] = {
    "collections OrderedDict": _Function(_rebuild_dictionary),
    "torch._utils _rebuild_tensor_v2": _Function(_rebuild_tensor),
    "torch._utils _rebuild_tensor_v3": _Function(_rebuild_typed_tensor),
    "torch._utils _rebuild_parameter": _Function(_rebuild_parameter),
    "torch._utils _rebuild_parameter_with_state": _Function(_rebuild_parameter),
    "torch.storage UntypedStorage": _StorageType(None),
    **{f"torch {name}": _StorageType(dtype) for name, dtype in _STORAGES.items()},
    **{f"torch {name}": _Type(dtype) for name, dtype in _TYPES.items()},
}
"""What stands for the names that a state dictionary asks for, by module and name."""

_STEPS: Mapping[str, _Step] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    **dict.fromkeys(
        ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"),
        lambda machine, value: machine.stack.append(value),
    ),
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "MARK": _mark,
    "TUPLE": _tuple,
    "TUPLE1": lambda machine, _: machine.stack.append(machine.pop(1)),
    "TUPLE2": lambda machine, _: machine.stack.append(machine.pop(2)),
    "TUPLE3": lambda machine, _: machine.stack.append(machine.pop(3)),
    "APPEND": lambda machine, _: _append(machine, list(machine.pop(1))),
    "APPENDS": lambda machine, _: _append(machine, machine.pop_mark()),
    "SETITEM": lambda machine, _: _set_items(machine, list(machine.pop(2))),
    "SETITEMS": lambda machine, _: _set_items(machine, machine.pop_mark()),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, index: machine.stack.append(machine.memo[index])),
    "GLOBAL": _global,
    "STACK_GLOBAL": lambda machine, _: _global(machine, " ".join(machine.pop(2))),
    "REDUCE": _reduce,
    "BUILD": _build,
    "BINPERSID": _persistent,
}
"""What each opcode of a state dictionary's pickle does; the others are refused."""
