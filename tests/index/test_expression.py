import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beige.errors import UsageError
from beige.index.expression import parse, resolve, write
from beige.index.filter import OWN, All, Any, Condition, Filter, Not
from tests.index.filters import FILTERS

DRAFT = Condition("tag", "=", ("draft",))
OLD = Condition("year", "<", (2000,))
MD = Condition("type", "=", ("md",))

READ: dict[str, Filter] = {
    "": All(()),
    " \n": All(()),
    "()": All(()),
    "-()": Not(All(())),
    "tag:draft": DRAFT,
    "tag=draft": DRAFT,
    "( tag : draft )": DRAFT,
    '"tag":"draft"': DRAFT,
    "tag:draft year<2000": All((DRAFT, OLD)),
    "tag:draft AND year < 2000": All((DRAFT, OLD)),
    "tag:draft OR year<2000": Any((DRAFT, OLD)),
    "type:md tag:draft OR year<2000": Any((All((MD, DRAFT)), OLD)),
    "type:md (tag:draft OR year<2000)": All((MD, Any((DRAFT, OLD)))),
    "(type:md tag:draft) year<2000": All((MD, DRAFT, OLD)),
    "type:md OR (tag:draft OR year<2000)": Any((MD, DRAFT, OLD)),
    "-tag:draft": Not(DRAFT),
    "NOT tag:draft": Not(DRAFT),
    "--tag:draft": Not(Not(DRAFT)),
    "-(tag:draft year<2000)type:md": All((Not(All((DRAFT, OLD))), MD)),
    "type:pdf,md": Condition("type", "=", ("pdf", "md")),
    "type:pdf , md": Condition("type", "=", ("pdf", "md")),
    "path:docs/**": Condition("path", "=", ("docs/**",)),
    "path:2020": Condition("path", "=", ("2020",)),
    'path:"a b/(1)*",c': Condition("path", "=", ("a b/(1)*", "c")),
    "modified>=2026-01-01": Condition("modified", ">=", ("2026-01-01",)),
    "modified:2026": Condition("modified", "=", ("2026",)),
    "modified<2026-01-01T12:00+01:00": Condition("modified", "<", ("2026-01-01T12:00+01:00",)),
    "page:3,5": Condition("page", "=", (3, 5)),
    "year:2020": Condition("year", "=", (2020,)),
    'year:"2020"': Condition("year", "=", ("2020",)),
    "n:-1.5e3": Condition("n", "=", (-1500.0,)),
    "n:-5,--5": Condition("n", "=", (-5, "--5")),
    "n:007": Condition("n", "=", ("007",)),
    "n:99999999999999999999": Condition("n", "=", ("99999999999999999999",)),
    "url:https://a.b/c?d=e": Condition("url", "=", ("https://a.b/c?d=e",)),
    "tag:*": Condition("tag", "any"),
    'tag:"*"': Condition("tag", "=", ("*",)),
    '"some field">1': Condition("some field", ">", (1,)),
    '"OR":x': Condition("OR", "=", ("x",)),
    'a:"say \\"hi\\" \\\\ \\n"': Condition("a", "=", ('say "hi" \\ \\n',)),
    "record.type:x": Condition("record.type", "=", ("x",)),
    "作者:山田": Condition("作者", "=", ("山田",)),
    "ORDER:1": Condition("ORDER", "=", (1,)),
}


@pytest.mark.parametrize("text", READ)
def test_expressions_are_read(text: str) -> None:
    assert parse(text) == READ[text]
    assert parse(write(READ[text])) == READ[text]


WRONG = {
    "docs": (1, "a condition is field:value, and 'docs' has no operator"),
    "tag:draft docs": (11, "'docs' has no operator"),
    "tag!=draft": (4, "there is no operator !=: write -tag:value"),
    "tag:": (5, "a value is missing here"),
    "tag:a,": (7, "a value is missing here"),
    "tag:a,,b": (7, "a value is missing here"),
    ":a": (1, "a field's name is missing here"),
    "tag:a )": (7, "there is no parenthesis that this one closes"),
    "tag:a, (b)": (8, "a value is missing here"),
    "(tag:a": (1, "this parenthesis is not closed"),
    "x:1 (tag:a OR": (14, "a condition is missing after OR"),
    "OR tag:a": (1, "a condition is missing before OR"),
    "tag:a OR OR tag:b": (10, "a condition is missing after OR"),
    "tag:a AND": (10, "a condition is missing after AND"),
    "tag:a -": (7, "a condition is missing after this"),
    'tag:"a': (5, "this quote is not closed"),
    "modified:yesterday": (10, "'yesterday' is no date"),
    "modified>=2026-02-30": (11, "'2026-02-30' is no date: day is out of range"),
    "modified>=2026-13": (11, "no date"),
    "modified>0000": (10, "no date"),
    "modified>9999": (10, "no date"),
    "modified>2026-01-01,2026-01-02": (10, "one value only"),
    "path<a": (6, "path is not ordered"),
    "type>=a": (7, "type is not ordered"),
    "page:three": (6, "'three' is no page"),
    "page>1.5": (6, "1.5 is no page"),
    'path:""': (6, "is no glob"),
    "path:./": (6, "is no glob: write a path as docs/**"),
    "tag>*": (5, "nothing is > *: write tag:* for any value"),
    "\tＡ:1 tag": (6, "'tag' has no operator"),
    "(" * 30: (22, "more than 20 parts stand within each other"),
    "-" * 30 + "a:1": (22, "more than 20 parts stand within each other"),
}


@pytest.mark.parametrize("text", WRONG)
def test_errors_point_at_the_column(text: str) -> None:
    column, message = WRONG[text]
    with pytest.raises(UsageError) as refusal:
        parse(text)
    said, shown, caret = str(refusal.value).split("\n")
    assert said.startswith(f"the filter, column {column}: ")
    assert message in said
    assert caret.strip() == "^"
    wide = sum(character == "Ａ" for character in text[: column - 1])
    assert caret.index("^") == 2 + column - 1 + wide
    assert shown[2:].strip() == " ".join(text.split("\t")).strip()


def test_a_long_expression_is_shown_where_it_is_wrong() -> None:
    with pytest.raises(UsageError, match=r"column 5001: a condition") as refusal:
        parse("a:bcd " * 833 + "  docs " + "a:b " * 100)
    _, shown, caret = str(refusal.value).split("\n")
    assert len(shown) < 130
    assert shown[caret.index("^") :].startswith("docs a:b")


def test_an_expression_of_any_length_is_read_or_refused() -> None:
    assert len(parse(" ".join(f"a:{n}" for n in range(1000))).parts) == 1000  # type: ignore[union-attr]
    for text, message in (
        (" ".join(f"a:{n}" for n in range(1001)), "more than 1,000 conditions"),
        ("a:" + ",".join(map(str, range(10_001))), "more than 10,000 values"),
        ("a:" + "b" * 100_000, "may have 100,000"),
    ):
        with pytest.raises(UsageError, match=message):
            parse(text)


def test_unknown_fields_are_told_with_the_nearest() -> None:
    fields = ["author", "some field"]
    assert parse('author:x "some field":1 record.author:x type:md', fields)
    for text, message in {
        "pth:a": r"column 1: no field 'pth'; did you mean path\?",
        "type:md autor:a": r"column 9: no field 'autor'; did you mean author\?",
        "Type:a": r"did you mean type\?",
        "record.type:a": r"no field 'record.type'",
        "zzz:1": r"no field 'zzz'; there are: path, type, language, modified, heading, page, author, some field",
    }.items():
        with pytest.raises(UsageError, match=message):
            parse(text, fields)
    with pytest.raises(UsageError, match=r"^no field 'autor'; did you mean author\?$"):
        resolve(Not(All((Condition("autor", "any"),))), fields)
    assert resolve(None, fields) is None
    assert resolve("type:md", fields) == MD
    assert resolve(MD, []) == MD


@settings(deadline=None)
@given(where=FILTERS)
def test_what_is_written_is_read_as_the_same(where: Filter) -> None:
    text = write(where)
    read = parse(text)
    assert parse(write(read)) == read
    assert plain(read) == plain(where)


@settings(deadline=None)
@given(
    field=st.text(min_size=1).filter(lambda name: name not in OWN),
    values=st.lists(
        st.text() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False), min_size=1
    ),
)
def test_any_name_and_value_can_be_written(field: str, values: list[str | int | float]) -> None:
    where = Condition(field, "=", tuple(values))
    assert parse(write(where)) == where


@given(st.text() | st.text(alphabet='ab:-()" <>=,*\\ORN123'))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        where = parse(text)
    except UsageError as error:
        column = int(str(error).split(":")[0].removeprefix("the filter, column "))
        assert 1 <= column <= len(text) + 1
    else:
        assert parse(write(where)) == where


@pytest.mark.parametrize(
    ("field", "operator", "values", "message"),
    [
        ("a", "~", ("x",), "no operator '~'"),
        ("a", "=", (), "a needs a value"),
        ("", "=", (1,), "name of a field"),
        ("modified", "=", ("soon",), "no date"),
    ],
)
def test_what_is_no_condition_is_refused(field: str, operator: str, values: tuple[object, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Condition(field, operator, values)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 10**400, b"x", ["a"]])
def test_what_is_no_value_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="a cannot be"):
        Condition("a", "=", (value,))  # type: ignore[arg-type]


def plain(where: Filter) -> object:
    """A filter without groups of one, groups in groups of their kind, and other ways to say the same."""
    if isinstance(where, Condition):
        values = tuple("true" if value is True else str(value) for value in where.values)
        return where.field, where.operator, values
    if isinstance(where, Not):
        return "not", plain(where.part)
    if where == Any(()):
        return plain(Not(All(())))
    kind = type(where)
    parts: list[object] = []
    for part in map(plain, where.parts):
        if isinstance(part, tuple) and part[0] == kind.__name__:
            parts += part[1]
        else:
            parts.append(part)
    return parts[0] if len(parts) == 1 else (kind.__name__, parts)
