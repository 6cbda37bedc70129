"""The charset of a page, by the rules of browsers, and its text in it.

A byte order mark decides, then the charset of the HTTP header, then that of a `<meta>` among the
first 1,024 bytes, then what the bytes look like. Labels mean what the WHATWG's encoding standard
says: `latin1` and `us-ascii` are windows-1252, `gb2312` is gb18030, `shift_jis` windows-31j.

Browsers obey a label whatever comes of it; we look again when most of what is not ASCII cannot be
decoded, as in Latin-1 that is declared to be UTF-8.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

META_BYTES = 1024  # among which browsers look for <meta charset>
SAMPLE_BYTES = 1 << 16  # by which charsets are detected and binary files known
MAX_CONTROLS = 0.05  # share of control characters in what may be text; random bytes have 0.11

_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_META = re.compile(rb"""<meta[\s/][^>]*?charset\s*=\s*["']?\s*([^\s"'/>;]+)""", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_XML = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([\w.:-]+)""")
_CHARSET_OF_TYPE = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';]+)""", re.IGNORECASE)
# supersets by which browsers decode, where resiliparse and Python have the narrower name
_WIDER = {
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
    "iso8859-11": "cp874",
    "ascii": "cp1252",
}
_MAGIC = (
    b"%PDF-", b"%!PS", b"PK\x03\x04", b"\x89PNG\r\n", b"GIF87a", b"GIF89a", b"\xff\xd8\xff",
    b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf", b"Rar!\x1a", b"\x7fELF", b"(\xb5/\xfd",
    b"\xca\xfe\xba\xbe", b"OggS", b"ID3", b"fLaC", b"wOFF", b"wOF2", b"OTTO", b"\x00\x01\x00\x00",
    b"SQLite format 3", b"FLV\x01", b"CWS", b"\xd0\xcf\x11\xe0", b"{\\rtf", b"II*\x00", b"MM\x00*",
    b"\x00\x00\x01\x00", b"\x1aE\xdf\xa3", b"\x00asm", b"!<arch>\n",
)  # fmt: skip
_CONTROL_BYTES = bytes(sorted({*range(0x20), 0x7F} - {*b"\t\n\f\r\x1b"}))  # ESC is in ISO-2022-JP


class Decoded(NamedTuple):
    """The text of a page, without a byte order mark, NULs and lone surrogates.

    `charset` is Python's name; `n_replaced` are the U+FFFD that stand for what could not be
    decoded. `how` the charset was found: "bom", "http", "meta" or "detected".
    """

    text: str
    charset: str
    n_replaced: int
    how: str


def decode(body: bytes, declared: str | None = None) -> Decoded:
    """The text of `body`; `declared` is the charset of the HTTP header, or its Content-Type."""
    for mark, charset in _MARKS:
        if body.startswith(mark):
            return _decoded(body[len(mark) :], charset, "bom")
    for label, how in ((_http_label(declared), "http"), (_meta_label(body), "meta")):
        if label is not None and (charset_ := charset_of(label)) is not None:
            # a <meta> that could be read is in no charset of two bytes, whatever it says
            charset = "utf-8" if how == "meta" and charset_.startswith("utf-16") else charset_
            found = _decoded(body, charset, how)
            return found if _fits(found, body) else _least_replaced(found, body)
    return _detected(body)


def charset_of(label: str) -> str | None:
    """Python's name of the charset that browsers take a label for; None where they know none.

    >>> charset_of("Latin1"), charset_of("utf8"), charset_of("shift_jis"), charset_of("klingon")
    ('cp1252', 'utf-8', 'cp932', None)
    """
    from resiliparse.parse.encoding import map_encoding_to_html5

    name = map_encoding_to_html5(label.strip().strip("\"'").lower(), fallback_utf8=False)
    return None if name is None else _WIDER.get(name, name)


def is_binary(body: bytes) -> bool:
    """Whether `body` is no text at all: by its first bytes, or by its control characters."""
    if body.startswith(_MAGIC) or body[4:8] == b"ftyp" or body[8:12] in (b"WEBP", b"WAVE", b"AVI "):
        return True
    if body.startswith(tuple(mark for mark, _ in _MARKS)):
        return False
    sample = body[:SAMPLE_BYTES].rstrip(b"\x00")
    if _wide(sample) is not None:
        return False
    return len(sample) - len(sample.translate(None, _CONTROL_BYTES)) > MAX_CONTROLS * len(sample)


def _http_label(declared: str | None) -> str | None:
    if declared and "charset" in declared.lower():
        found = _CHARSET_OF_TYPE.search(declared)
        return found[1] if found else None
    return None if declared and "/" in declared else declared or None


def _meta_label(body: bytes) -> str | None:
    head = body[:META_BYTES]
    if b"<!--" in head:
        head = _COMMENT.sub(b"", head)
    found = _META.search(head) or _XML.match(head)
    return found[1].decode("ascii", "replace") if found else None


def _decoded(body: bytes, charset: str, how: str) -> Decoded:
    try:
        text = body.decode(charset)
        n_replaced = 0
    except UnicodeDecodeError:
        text = body.decode(charset, "replace")
        n_replaced = text.count("\ufffd")
        if charset == "utf-8":
            n_replaced -= body.count(b"\xef\xbf\xbd")  # that is one, decoded
    if "\x00" in text:
        text = text.replace("\x00", "")
    return Decoded(text, charset, n_replaced, how)


def _fits(found: Decoded, body: bytes) -> bool:
    """Whether less than half of what is not ASCII was replaced."""
    if found.n_replaced == 0:
        return True
    n_other = len(body) - len(body.translate(None, bytes(range(0x80, 0x100))))
    return 2 * found.n_replaced < n_other


def _least_replaced(found: Decoded, body: bytes) -> Decoded:
    other = _detected(body)
    return other if other.n_replaced < found.n_replaced else found


def _detected(body: bytes) -> Decoded:
    if (wide := _wide(body[:SAMPLE_BYTES])) is not None:
        return _decoded(body, wide, "detected")
    found = _decoded(body, "utf-8", "detected")
    if found.n_replaced == 0:
        return found
    from resiliparse.parse.encoding import detect_encoding

    name = detect_encoding(_telling(body), html5_compatible=False) or "utf-8"
    charset = charset_of(name) or (name if _is_known(name) else "utf-8")
    if charset == "utf-8" and not _fits(found, body):
        charset = "cp1252"  # of the web's pages that are not in UTF-8, most are
    return found if charset == "utf-8" else _decoded(body, charset, "detected")


def _is_known(name: str) -> bool:
    """Whether Python has a charset, as it has cp949, which the WHATWG names otherwise."""
    try:
        return codecs.lookup(name)._is_text_encoding
    except LookupError:
        return False


def _telling(body: bytes) -> bytes:
    """The part to detect by: of a long page whose start is ASCII, from where it no longer is."""
    if len(body) <= SAMPLE_BYTES:
        return body
    start = re.search(rb"[\x80-\xff]", body)
    at = max(0, start.start() - META_BYTES) if start else 0
    return body[at : at + SAMPLE_BYTES]


def _wide(sample: bytes) -> str | None:
    """UTF-16 without a mark, where every second byte is NUL nearly always."""
    n_pairs = len(sample) // 2
    if n_pairs < 8 or sample.count(0) < 0.4 * n_pairs:
        return None
    for charset, at in (("utf-16-le", 1), ("utf-16-be", 0)):
        high, low = sample[at::2], sample[1 - at :: 2]
        if high.count(0) > 0.4 * n_pairs and low.count(0) < 0.01 * n_pairs:
            return charset
    return None
