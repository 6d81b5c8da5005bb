import io
import json
from collections.abc import Iterator

import pytest

from beige.documents import records
from beige.documents.content import Heading, Record
from beige.documents.records import Broken, Names, NoRecordsError


def read(function: records.Read, text: str | bytes, names: Names = Names()) -> list[Record | Broken]:
    data = text.encode() if isinstance(text, str) else text
    return list(function(io.BytesIO(data), names))


def only(found: list[Record | Broken]) -> Record:
    (record,) = found
    assert isinstance(record, Record)
    return record


def test_a_beir_record() -> None:
    line = {
        "_id": "4983",
        "title": "A title",
        "text": "The text.",
        "year": 1999,
        "open": True,
        "tags": ["x", None, ["deep"], 7, "\ud800", False],
        "bare": [None, {}],
        "no": None,
    }
    record = only(read(records.json_lines, json.dumps(line)))
    assert record.name == "4983"
    assert record.content.text == "The text."
    assert record.content.headings == (Heading(0, 0, 1, "A title"),)
    assert record.fields == {"year": 1999, "open": True, "tags": ["x", 7, "\ufffd", False]}


def test_a_broken_line_is_named_by_its_number_and_the_others_go_on() -> None:
    found = read(
        records.json_lines,
        b'\xef\xbb\xbf{"text": "one"}\n{"text": \n\n[1]\n{"text": "\xff"}\n{"text": NaN}\n{"text": {}}\n'
        b'{"text": "last"}',
    )
    names = [item.name if isinstance(item, Record) else -item.number for item in found]
    assert names == ["1", -2, -4, -5, -6, -7, "8"]
    reasons = [item.reason for item in found if isinstance(item, Broken)]
    for reason, word in zip(reasons, ("not JSON", "list", "UTF-8", "NaN", "'text' is not text"), strict=True):
        assert word in reason


def test_lone_surrogates_and_nuls_become_replacement_characters() -> None:
    record = only(
        read(records.json_lines, r'{"id": "\udfff", "text": "a\ud800b\u0000 \ud83d\ude00", "k\ud800": "\udc00"}')
    )
    assert record.name == "\ufffd"
    assert record.content.text == "a\ufffdb\ufffd 😀"
    assert record.fields == {"k\ufffd": "\ufffd"}


def test_a_record_without_text_is_searched_by_its_fields() -> None:
    record = only(read(records.json_lines, '{"id": 7, "question": "Why?", "answer": "So.", "n": 1.5, "empty": ""}'))
    assert record.content.text == "question: Why?\nanswer: So.\nn: 1.5"
    assert record.name == "7"


def test_a_title_alone_is_the_text() -> None:
    record = only(read(records.json_lines, '{"title": "Only this", "text": " "}'))
    assert (record.content.text, record.content.headings) == ("Only this", ())


def test_nothing_of_a_long_title_is_lost() -> None:
    record = only(read(records.json_lines, json.dumps({"title": "word " * 100, "text": "The text."})))
    assert (record.content.text, record.content.headings) == (("word " * 100).strip() + "\n\nThe text.", ())


def test_names_can_be_chosen() -> None:
    names = Names(text=("abstract",), id=("nr",))
    record = only(read(records.json_lines, '{"text": "no", "abstract": "yes", "nr": 5}', names))
    assert (record.name, record.content.text, record.fields) == ("5", "yes", {"text": "no"})


def test_json_nested_beyond_reason_is_a_broken_line() -> None:
    (broken,) = read(records.json_lines, "[" * 200_000)
    assert isinstance(broken, Broken)


def test_a_json_list_of_objects_is_records_and_other_json_is_not() -> None:
    assert [r.name for r in read(records.json_list, '[{"id": "a", "text": "x"}, {"text": "y"}]')] == ["a", "2"]
    for text in ("{}", "[]", "[1]", '{"a": ', "", "[{}, 2]"):
        with pytest.raises(NoRecordsError):
            read(records.json_list, text)


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_rows_below_a_header(delimiter: str) -> None:
    rows = [
        ["id", "title", "text", "year"], ["a", "T", f'say "hi"{delimiter}\nnext line', "1999"], ["b", "", "x", "00012"]
    ]  # fmt: skip
    text = "\r\n".join(delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    first, second = read(records.comma_separated, text)
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert first.name == "a"
    assert first.content.text == f'say "hi"{delimiter}\nnext line'
    assert second.fields == {"year": "00012"}


def test_rows_that_do_not_fit_the_header_and_blank_rows() -> None:
    found = read(records.tab_separated, "name\tsize\n\nx\t1\ty\n \nz\n")
    assert [r.content.text for r in found if isinstance(r, Record)] == ["name: x\nsize: 1\ncolumn 3: y", "name: z"]
    assert [r.name for r in found if isinstance(r, Record)] == ["1", "2"]


def test_columns_of_one_name_and_of_none_are_told_apart() -> None:
    record = only(read(records.comma_separated, ",note,, note,title\n1,a,2,b,c\n"))
    assert record.fields == {"column 1": "1", "note": "a", "column 3": "2", "column 4": "b"}
    assert "column 4: b" in record.content.text


def test_a_huge_field() -> None:
    record = only(read(records.comma_separated, "text\n" + "word " * 1_000_000))
    assert len(record.content.text) == 5_000_000


def test_a_csv_file_in_an_older_encoding() -> None:
    text = "id,text\n1,Größe und Höhe für die schöne Straße\n2,Übermäßig viele Bäume stehen hier\n"
    found = read(records.comma_separated, text.encode("cp1252"))
    assert [r.content.text for r in found if isinstance(r, Record)] == [
        "Größe und Höhe für die schöne Straße", "Übermäßig viele Bäume stehen hier"
    ]  # fmt: skip


def test_json_lines_are_read_as_a_stream() -> None:
    class Endless(io.RawIOBase):
        def __iter__(self) -> Iterator[bytes]:  # type: ignore[override]
            while True:
                yield b'{"text": "again"}\n'

    stream = records.json_lines(Endless(), Names())  # type: ignore[arg-type]
    assert [next(stream).name for _ in range(3)] == ["1", "2", "3"]  # type: ignore[union-attr]
