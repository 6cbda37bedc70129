"""Charsets of pages: who is asked first, what labels mean, what cannot be decoded."""

from __future__ import annotations

import codecs
import gzip
import random

import pytest

from dolma_kit.extraction import charsets

RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 20
JAPANESE = (
    "六月の京都は雨が多く、観光客も少ない。静かな寺を歩きたいなら、この季節がいちばん良い。" * 10
)
CHINESE = "晚上十一点，县图书馆二楼的灯还亮着。管理员老陈把最后一辆还书车推回书架。" * 10
KOREAN = "도서관 이층의 불은 아직 켜져 있다. 관리인은 마지막 책수레를 밀었다. " * 10


@pytest.mark.parametrize(
    ("body", "declared", "found"),
    [
        (b"\xef\xbb\xbf<meta charset=latin1>\xc3\xa9", "latin1", ("é", "utf-8", 0, "bom")),
        (codecs.BOM_UTF16_LE + "é".encode("utf-16-le"), "utf-8", ("é", "utf-16-le", 0, "bom")),
        (codecs.BOM_UTF16_BE + "é".encode("utf-16-be"), None, ("é", "utf-16-be", 0, "bom")),
        (b"<meta charset=utf-8>\xe9", "iso-8859-1", ("é", "cp1252", 0, "http")),
        (b"\xe9\x80", "latin1", ("é€", "cp1252", 0, "http")),
        (b"\xe9", "text/html; charset='Latin1'", ("é", "cp1252", 0, "http")),
        (b"<meta charset=latin1>\xe9", "text/html", ("é", "cp1252", 0, "meta")),
        (b'<META http-equiv=a content="text/html; charset=ISO-8859-2">\xb1', None,
         ("ą", "iso8859-2", 0, "meta")),
        (b"<meta charset=utf-16>\xc3\xa9", None, ("é", "utf-8", 0, "meta")),
        (b"<!-- <meta charset=utf-8> --><meta charset=koi8-r>\xc1", None,
         ("а", "koi8-r", 0, "meta")),
        (b"<meta charset=klingon>\xc3\xa9", "klingon", ("é", "utf-8", 0, "detected")),
        (b'<?xml version="1.0" encoding="windows-1251"?>\xe0', None, ("а", "cp1251", 0, "meta")),
        (b" " * 1024 + b"<meta charset=latin1>\xc3\xa9", None, ("é", "utf-8", 0, "detected")),
        (b"caf\xc3\xa9", None, ("café", "utf-8", 0, "detected")),
        (b"ascii", None, ("ascii", "utf-8", 0, "detected")),
        (b"", None, ("", "utf-8", 0, "detected")),
    ],
)  # fmt: skip
def test_who_is_asked(body: bytes, declared: str | None, found: tuple[str, str, int, str]) -> None:
    text, *rest = charsets.decode(body, declared)
    assert (text.rpartition(">")[2].strip(), *rest) == found


@pytest.mark.parametrize(
    ("label", "charset"),
    [
        ("utf8", "utf-8"), (" UTF-8 ", "utf-8"), ('"utf-8"', "utf-8"), ("ascii", "cp1252"),
        ("latin1", "cp1252"), ("iso-8859-1", "cp1252"), ("iso-8859-9", "cp1254"),
        ("gb2312", "gb18030"), ("gbk", "gb18030"), ("shift_jis", "cp932"), ("x-sjis", "cp932"),
        ("euc-kr", "cp949"), ("ks_c_5601-1987", "cp949"), ("big5", "big5hkscs"),
        ("tis-620", "cp874"), ("utf-7", None), ("no such", None), ("", None),
    ],
)  # fmt: skip
def test_labels_mean_what_browsers_take_them_for(label: str, charset: str | None) -> None:
    assert charsets.charset_of(label) == charset
    assert charset is None or codecs.lookup(charset)


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (RUSSIAN, "windows-1251"), (RUSSIAN, "koi8-r"), (JAPANESE, "shift_jis"),
        (JAPANESE, "euc-jp"), (CHINESE, "gb18030"), (CHINESE, "big5"), (KOREAN, "euc-kr"),
        ("Das hätte Frau Müller gern größer. " * 20, "windows-1252"),
        ("Plain words, in wide letters", "utf-16-le"), ("And in others", "utf-16-be"),
    ],
)  # fmt: skip
def test_detected(text: str, charset: str) -> None:
    encoded = text.encode(charset, "ignore")
    found = charsets.decode(encoded)
    assert (found.text, found.n_replaced, found.how) == (encoded.decode(charset), 0, "detected")


@pytest.mark.parametrize(
    ("body", "declared", "n_replaced"),
    [
        ("ä".encode() * 9 + b"\xe4 and \xff", "utf-8", 2),
        ("ä".encode() * 9 + b"\xe2\x82 cut", "utf-8", 1),
        (("ä\ufffd" * 9).encode() + b"\xff", "utf-8", 1),  # one that is meant is not counted
        (("ä" * 9).encode() + b"\xed\xa0\x80", "utf-8", 3),  # a surrogate is none
        (b"a\x81\x8d\xe9" + "ä".encode("cp1252") * 9, "latin1", 2),
        (b"\x82\xa0" * 9 + b"\x82", "shift_jis", 1),
    ],
)
def test_what_cannot_be_decoded_is_counted(body: bytes, declared: str, n_replaced: int) -> None:
    found = charsets.decode(body, declared)
    assert found.n_replaced == n_replaced
    found.text.encode()


def test_a_declaration_that_cannot_be_true_is_not_believed() -> None:
    body = ("Größe, Übung, Ärger. " * 9).encode("cp1252")
    assert charsets.decode(body, "utf-8")[1:] == ("cp1252", 0, "detected")


def test_mixed_encodings() -> None:
    body = ("<p>Größe</p>" * 9).encode() + "<p>Übung</p>".encode("cp1252")
    found = charsets.decode(body)
    assert (found.text.count("Größe"), found.charset, found.n_replaced) == (9, "utf-8", 1)


def test_nuls_are_left_out() -> None:
    assert charsets.decode(b"a\x00b" * 3).text == "ababab"


@pytest.mark.parametrize("seed", range(3))
def test_any_bytes(seed: int) -> None:
    rng = random.Random(seed)
    for declared in (None, "utf-8", "utf-16", "big5", "iso-2022-jp", "x"):
        charsets.decode(rng.randbytes(rng.randrange(500)), declared).text.encode()


@pytest.mark.parametrize(
    ("body", "binary"),
    [
        (b"%PDF-1.7\n...", True), (b"\x89PNG\r\n\x1a\n", True), (b"GIF89a", True),
        (b"PK\x03\x04", True), (gzip.compress(b"a"), True), (b"\x00\x00\x00\x18ftypmp42", True),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", True), (random.Random(1).randbytes(5000), True),
        (b"", False), (b"<html>", False), (b"MZ is a name, too", False),
        (RUSSIAN.encode("koi8-r"), False), (JAPANESE.encode("iso-2022-jp"), False),
        (JAPANESE.encode("shift_jis"), False), ("plain words".encode("utf-16"), False),
        ("plain words".encode("utf-16-be"), False), (b"<p>text" * 9 + b"\x00" * 5000, False),
        (b"<p>a bell\x07 that rings in the terminal" * 9, False), (b"RIFF and other bands", False),
    ],
    ids=range(19),
)  # fmt: skip
def test_binary(body: bytes, *, binary: bool) -> None:
    assert charsets.is_binary(body) == binary
