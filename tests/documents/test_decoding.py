import codecs
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beige.documents.content import storable
from beige.documents.decoding import decode, is_text
from beige.errors import InputError

RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. Это обычный русский текст в старой кодировке.\n"
GERMAN = "Falsches Üben von Xylophonmusik quält jeden größeren Zwerg. Die Straße ist heute früh schön geräumt.\n"
JAPANESE = (
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で泣いていた。\n"
)
CHINESE = "信息检索是从大量文档中找到相关内容的过程。这是一个关于向量检索的中文示例文本，用来测试编码。\n"


@given(st.text().filter(lambda text: text == storable(text) and not text.startswith("\ufeff")))
def test_utf8_is_read_as_it_is(text: str) -> None:
    data = text.encode()
    if all(byte >= 32 or byte in b"\t\n\v\f\r\x1b" for byte in data):
        assert decode(data) == text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("text", [GERMAN, RUSSIAN])
def test_unicode_by_its_mark_or_its_shape(encoding: str, text: str) -> None:
    assert decode((text * 5).encode(encoding)) == text * 5


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (GERMAN, "latin-1"), (GERMAN, "cp1252"), (JAPANESE, "shift_jis"),
        (JAPANESE, "euc-jp"), (CHINESE, "gbk"), (CHINESE, "big5") , (CHINESE, "gb18030"),
    ],
)  # fmt: skip
def test_older_encodings_are_detected(text: str, encoding: str) -> None:
    text = text.encode(encoding, "ignore").decode(encoding) * 4
    assert decode(text.encode(encoding)) == text


def test_a_declared_encoding_is_believed_if_it_can_be() -> None:
    assert decode("Żółć".encode("iso-8859-2"), "iso-8859-2") == "Żółć"
    assert decode("schön".encode(), "iso-8859-2") == "schön", "UTF-8 that is valid is UTF-8"
    assert decode(GERMAN.encode("latin-1"), "no-such-encoding") == GERMAN


def test_utf8_with_broken_places_stays_utf8() -> None:
    data = (GERMAN * 20).encode() + b"\xff cut: \xc3"
    assert decode(data) == GERMAN * 20 + "\ufffd cut: \ufffd"


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)),
        b"\x7fELF\x02\x01\x01" + bytes(50),
        b"PK\x03\x04" + bytes(range(256)),
        b"text, then a NUL \x00 in the middle",
        os.urandom(5000),
    ],
)
def test_binary_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="binary"):
        decode(data)


def test_a_head_tells_text_from_binary() -> None:
    assert is_text(b"")
    assert is_text(GERMAN.encode("latin-1"))
    assert is_text(codecs.BOM_UTF16_LE + "x".encode("utf-16-le"))
    assert not is_text(b"\x7fELF\x02\x01\x01\0")
