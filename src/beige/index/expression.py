r"""Filters as people and programs write them: a line of text.

    path:docs/** type:pdf,md modified>=2026-01-01 -tag:draft
    (author:"Jane Roe" OR year>2020) -language:de

Conditions beside each other must all hold; OR between some lets one be enough and binds less; `-` or NOT turns one, or
a group in parentheses, around. A value is a bare word or stands in quotes, in which `\"` and `\\` are a quote and a
backslash; several are alternatives; a lone `*` is anything at all. A name with spaces stands in quotes too. A bare
numeral is a number, one in quotes a text.
"""

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NoReturn

from beige.documents.chunk import Plain
from beige.errors import UsageError
from beige.index.filter import (
    DEEPEST,
    OWN,
    RECORD,
    All,
    Any,
    Condition,
    Filter,
    Not,
    Operator,
    checked,
    conditions,
    number_of,
)

LONGEST = 100_000
"""Characters of an expression."""

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r'[^\s,()":=<>!-][^\s,()":=<>!]*')
_VALUE = re.compile(r'[^\s,()"]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_OPERATOR = re.compile(r"[<>]=|[:=<>]")
_ESCAPED = re.compile(r'\\(["\\])')

_WORDS = frozenset({"OR", "AND", "NOT"})

_OPERATORS: Mapping[str, Operator] = {":": "=", "=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

_NUMBERED = frozenset(OWN) - {"page"}
"""The index's own fields, of which a numeral is a text: `modified:2026`."""

_SHOWN = 60  # characters of the expression on each side of what is wrong


def parse(text: str, fields: Collection[str] | None = None) -> Filter:
    """Read an expression; an empty one lets everything pass.

    Args:
        text: see above.
        fields: the names that records' fields have; None where they are not known, and any is taken.

    Raises:
        UsageError: it cannot be read; the message points at the column.
    """
    if len(text) > LONGEST:
        raise UsageError(f"the filter has {len(text):,} characters and may have {LONGEST:,}: make it simpler")
    reader = _Reader(text, fields)
    found = reader.either(0)
    if not reader.at_end():
        reader.fail(
            "there is no parenthesis that this one closes" if reader.next() == ")" else "this belongs to nothing"
        )
    return checked(found)


def write(where: Filter) -> str:
    """The expression that `parse` reads as this filter, or as one that lets the same pass."""
    if isinstance(where, Condition):
        return _written(where)
    if isinstance(where, Not):
        return "-" + _enclosed(where.part)
    if not where.parts:
        return "()" if isinstance(where, All) else "-()"
    if len(where.parts) == 1:
        return write(where.parts[0])
    return (" " if isinstance(where, All) else " OR ").join(map(_enclosed, where.parts))


def resolve(where: Filter | str | None, fields: Collection[str]) -> Filter | None:
    """A filter in either form, all of whose fields there are.

    Args:
        where: a tree, or an expression; None for no filter.
        fields: the names of the fields that records have.

    Raises:
        UsageError: it cannot be read, is too large, or names a field that there is not.
    """
    if isinstance(where, str):
        return parse(where, fields)
    for condition in () if where is None else conditions(where):
        if problem := unknown(condition.field, fields):
            raise UsageError(problem)
    return where


def unknown(field: str, fields: Collection[str]) -> str:
    """What is wrong with a field's name, with the nearest ones that there are; empty where nothing is."""
    if field in OWN or field.removeprefix(RECORD) in fields:
        return ""
    names = [*OWN, *sorted(fields)]
    near = difflib.get_close_matches(field, names, n=3) or difflib.get_close_matches(field.lower(), names, n=3)
    if near:
        return f"no field {field!r}; did you mean {' or '.join(near)}?"
    listed = ", ".join(names[:30]) + (", …" if len(names) > 30 else "")
    return f"no field {field!r}; there are: {listed}"


def _enclosed(where: Filter) -> str:
    text = write(where)
    whole = isinstance(where, Condition | Not) or text == "()"
    return text if whole else f"({text})"


def _written(condition: Condition) -> str:
    name = condition.field
    if not _NAME.fullmatch(name) or name in _WORDS:
        name = _quoted(name)
    if condition.operator == "any":
        return f"{name}:*"
    operator = ":" if condition.operator == "=" else condition.operator
    return f"{name}{operator}{','.join(_value(value, condition.field) for value in condition.values)}"


def _value(value: Plain, field: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    bare = _VALUE.fullmatch(value) and value != "*" and (field in _NUMBERED or number_of(value) is None)
    return value if bare else _quoted(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Reader:
    """Reads an expression from left to right."""

    def __init__(self, text: str, fields: Collection[str] | None) -> None:
        self._text = text
        self._fields = fields
        self._at = 0

    def either(self, depth: int) -> Filter:
        """Alternatives."""
        parts = [self._both(depth)]
        while self._word("OR"):
            if not self._begins():
                self.fail("a condition is missing after OR")
            parts.append(self._both(depth))
        return _grouped(Any, parts)

    def at_end(self) -> bool:
        """Whether nothing but space is left."""
        return not self.next()

    def next(self) -> str:
        """The next character that is no space; empty at the end."""
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr] # it matches everywhere
        return self._text[self._at : self._at + 1]

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        """Say what is wrong at a place, by default the one that is read.

        Raises:
            UsageError: always.
        """
        raise UsageError(_pointed(problem, self._text, self._at if at is None else at))

    def _begins(self) -> bool:
        return bool(self.next()) and self.next() != ")" and not self._peek("OR")

    def _both(self, depth: int) -> Filter:
        if self._peek("OR"):
            self.fail("a condition is missing before OR")
        parts = []
        while self._begins():
            parts.append(self._one(depth))
            if self._word("AND") and not self._begins():
                self.fail("a condition is missing after AND")
        return _grouped(All, parts)

    def _one(self, depth: int) -> Filter:
        start = self._at
        if depth > DEEPEST:
            self.fail(f"more than {DEEPEST} parts stand within each other: make it simpler")
        if self.next() == "-" or self._peek("NOT"):
            self._at += 1 if self.next() == "-" else len("NOT")
            if not self._begins():
                self.fail("a condition is missing after this", start)
            return Not(self._one(depth + 1))
        if self.next() == "(":
            self._at += 1
            found = self.either(depth + 1)
            if self.next() != ")":
                self.fail("this parenthesis is not closed", start)
            self._at += 1
            return found
        return self._condition()

    def _condition(self) -> Filter:
        start = self._at
        name, _ = self._text_of(_NAME, "a field's name")
        self.next()
        operator = _OPERATOR.match(self._text, self._at)
        if operator is None:
            if self._text.startswith("!=", self._at):
                self.fail(f"there is no operator !=: write -{name}:value")
            self.fail(f"a condition is field:value, and {name!r} has no operator (: < <= > >=)", start)
        if self._fields is not None and (problem := unknown(name, self._fields)):
            self.fail(problem, start)
        self._at = operator.end()
        self.next()
        first = self._at
        values = list(self._values(name))
        stands = _OPERATORS[operator.group()]
        if None in values and stands != "=":
            self.fail(f"nothing is {stands} *: write {name}:* for any value", first)
        try:
            if None in values:
                return Condition(name, "any")
            return Condition(name, stands, tuple(value for value in values if value is not None))
        except UsageError as error:
            self.fail(str(error), first)

    def _values(self, field: str) -> Iterator[Plain | None]:
        """The alternatives; None for anything at all."""
        while True:
            text, quoted = self._text_of(_VALUE, "a value")
            if quoted:
                yield text
            elif text == "*":
                yield None
            else:
                yield text if field in _NUMBERED else _read(text)
            if self.next() != ",":
                return
            self._at += 1

    def _text_of(self, bare: re.Pattern[str], what: str) -> tuple[str, bool]:
        """A word, or what stands in quotes, and whether it did."""
        if self.next() == '"':
            quoted = _QUOTED.match(self._text, self._at)
            if quoted is None:
                self.fail("this quote is not closed")
            self._at = quoted.end()
            return _ESCAPED.sub(r"\1", quoted.group(1)), True
        word = bare.match(self._text, self._at)
        if word is None:
            self.fail(f"{what} is missing here")
        self._at = word.end()
        return word.group(), False

    def _peek(self, word: str) -> bool:
        """Whether a word of the language comes next."""
        self.next()
        name = _NAME.match(self._text, self._at)
        return name is not None and name.group() == word

    def _word(self, word: str) -> bool:
        """The same, and pass over it."""
        found = self._peek(word)
        if found:
            self._at += len(word)
        return found


def _grouped(kind: type[All] | type[Any], parts: Sequence[Filter]) -> Filter:
    """Several parts as one, without groups in groups of the same kind."""
    flat: list[Filter] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else (part,)
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def _read(text: str) -> Plain:
    """A bare value of a field of records: a number where it is one to the last digit."""
    number = number_of(text)
    whole = text.removeprefix("-").isdigit()
    return text if number is None or (whole and not isinstance(number, int)) else number


def _pointed(problem: str, text: str, at: int) -> str:
    """What is wrong, and beneath it the expression with a caret."""
    first = max(0, at - _SHOWN)
    shown = "".join(
        " " if c.isspace() or unicodedata.category(c).startswith("C") else c for c in text[first : at + _SHOWN]
    )
    before = ("…" if first else "") + shown[: at - first]
    width = sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in before)
    line = before + shown[at - first :] + ("…" if at + _SHOWN < len(text) else "")
    return f"the filter, column {at + 1}: {problem}\n  {line}\n  {' ' * width}^"
