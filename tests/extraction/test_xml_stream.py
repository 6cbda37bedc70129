"""XML streams: records in bounded memory, whatever is wrong with the file."""

from __future__ import annotations

import gzip
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolma_kit.extraction import streams, xml_stream
from dolma_kit.extraction.streams import Stream
from dolma_kit.extraction.xml_stream import Element, Found, XmlRecords

LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE posts [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]>
<posts><row Body="&c;"/></posts>"""
QUADRATIC = (
    b'<!DOCTYPE posts [<!ENTITY a "' + b"a" * 9999 + b'">]><posts>' + b"&a;" * 999 + b"</posts>"
)
OUTSIDE = b'<!DOCTYPE posts SYSTEM "http://127.0.0.1:1/posts.dtd"><posts><row/></posts>'
FILE = b'<!DOCTYPE posts [<!ENTITY f SYSTEM "file:///etc/passwd">]><posts><row B="&f;"/></posts>'


def found_in(path: Path, data: bytes, *, max_bytes: int = 1000) -> list[Found]:
    path.write_bytes(data)
    stream = Stream(str(path))
    try:
        return list(XmlRecords(stream, root="posts", record="row", max_bytes=max_bytes))
    finally:
        stream.close()


def ids(found: list[Found]) -> list[str]:
    """The rows' ids, `!` for a fault and `.` for the last one."""
    return [
        one.element.attributes.get("Id", "")
        if one.element is not None
        else "." if one.is_last else "!"
        for one in found
    ]  # fmt: skip


@pytest.mark.parametrize("data", [LAUGHS, QUADRATIC, OUTSIDE, FILE])
def test_a_doctype_with_declarations_is_refused(tmp_path: Path, data: bytes) -> None:
    [refused] = found_in(tmp_path / "a.xml", data)
    assert refused.is_last
    assert "a DOCTYPE posts that declares entities" in (refused.fault or "")
    assert "remove it" in (refused.fault or "")


def test_a_doctype_without_declarations_is_none_of_our_business(tmp_path: Path) -> None:
    data = b'<!DOCTYPE posts><posts><row Id="1"/></posts>'
    assert ids(found_in(tmp_path / "a.xml", data)) == ["1"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'<row Id="2" B="\0"/>', "invalid token"),
        (b'<row Id="2" B="\xff"/>', "invalid token"),
        (b'<row Id="2" B="\xed\xa0\x80"/>', "invalid token"),  # half a surrogate pair
        (b'<row Id="2" B="&#0;"/>', "reference to invalid character number"),
        (b'<row Id="2" B="&#xD800;"/>', "reference to invalid character number"),
        (b'<row Id="2" B="&nope;"/>', "undefined entity"),
        (b'<row Id="2" B="a<b"/>', "invalid token"),
        (b"<row Id=2/>", "invalid token"),
        (b'<row Id="2" Id="3"/>', "duplicate attribute"),
        (b'<row Id="2"></wor>', "mismatched tag"),
        (b"<row>" + b"<a>" * 40 + b"</a>" * 40 + b"</row>", "more than 32 elements within"),
        (b'<row Id="2" B="' + b"x" * 2000 + b'"/>', "larger than max_record_bytes (1,000)"),
        (b"<row>" + b"x" * 2000 + b"</row>", "larger than max_record_bytes (1,000)"),
    ],
)
def test_a_broken_record_is_told_and_the_next_one_read(
    tmp_path: Path, bad: bytes, reason: str
) -> None:
    data = b'<posts>\n  <row Id="1"/>\n  ' + bad + b'\n  <row Id="3"/>\n</posts>\n'
    found = found_in(tmp_path / "a.xml", data)
    assert ids(found) == ["1", "!", "3"]
    assert reason in (found[1].fault or "")
    assert found[1].raw.startswith(bad[:100])
    assert found[1].offset == data.index(bad)
    assert found[2].raw == b'<row Id="3"/>'


@pytest.mark.parametrize(
    ("data", "told", "reason"),
    [
        (b'<posts><row Id="1"/><row Id="2', ["1", "."], "truncated XML: unclosed token"),
        (b'<posts><row Id="1"/><row Id="2">x', ["1", "."], "truncated XML: no element found"),
        (b'<posts><row Id="1"/>', ["1", "."], "truncated XML"),
        (b"", ["."], "not XML: no element found"),
        (b"PK\x03\x04", ["."], "not XML"),
        (b"<html><row/></html>", ["."], "the root is <html>, not <posts>"),
        (b'<posts><row Id="1"/></posts><posts><row Id="2"/></posts>', ["1", "!", "2"], "junk"),
    ],
)
def test_what_is_wrong_with_a_file(
    tmp_path: Path, data: bytes, told: list[str], reason: str
) -> None:
    found = found_in(tmp_path / "a.xml", data)
    assert ids(found) == told
    assert any(reason in (one.fault or "") for one in found)


def test_a_truncated_gzip_gives_what_is_before(tmp_path: Path) -> None:
    rng = random.Random(4)
    rows = b"".join(b'<row Id="%d" B="%x"/>\n' % (i, rng.getrandbits(64)) for i in range(2000))
    data = gzip.compress(b"<posts>\n" + rows + b"</posts>")
    found = found_in(tmp_path / "a.xml.gz", data[: len(data) // 2])
    assert ids(found)[:-1] == [str(i) for i in range(len(found) - 1)]
    assert 500 < len(found) < 1500
    assert found[-1].is_last
    assert "truncated gzip" in (found[-1].fault or "")


def test_other_encodings_are_read(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="{}"?><posts><row Id="é"/></posts>'
    for encoding in ("utf-16", "iso-8859-1"):
        data = text.format(encoding).encode(encoding)
        assert ids(found_in(tmp_path / "a.xml", data)) == ["é"]


def test_only_the_newest_of_many_is_held(tmp_path: Path) -> None:
    revisions = "".join(f"<revision><id>{i}</id>{'x' * 500}</revision>" for i in range(2000))
    path = tmp_path / "a.xml"
    path.write_text(f"<wiki><page><title>t</title>{revisions}</page></wiki>")

    def newer(one: Element, another: Element) -> Element:
        return max(one, another, key=lambda element: int(element.text_of("id") or 0))

    stream = Stream(str(path))
    [found] = XmlRecords(
        stream, root="wiki", record="page", max_bytes=2000, newest=("revision", newer)
    )
    stream.close()
    assert found.element is not None
    assert [child.tag for child in found.element.children] == ["title", "revision"]
    assert found.element.children[1].text_of("id") == "1999"


@pytest.mark.parametrize("within", [b'<row B="', b"<row>", b"<!--", b"<row><![CDATA["])
def test_memory_is_bounded(tmp_path: Path, within: bytes) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(b"<posts>" + within + b"x" * (8 << 20) + b'"/>\n<row Id="2"/></posts>')
    stream = Stream(str(path))
    tracemalloc.start()
    found = list(XmlRecords(stream, root="posts", record="row", max_bytes=300_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    stream.close()
    assert ids(found) == ["!", "2"]
    assert peak < 4 << 20


PIECES = st.sampled_from(
    [b'<row Id="1"/>', b'<row Id="2">text</row>', b'<row Id="\xc3\xa9" B="&amp;"/>', b"\n  ",
     b'<row Id="\0"/>', b'<row Id="3" B="<"/>', b"<row>", b"</row>", b"junk", b"\xff", b"<a>",
     b'<row Id="4" B="' + b"y" * 90 + b'"/>', b"<!-- <row Id='5'/> -->", b"</posts>", b"<row"]
)  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(PIECES, max_size=12), st.integers(1, 40))
def test_blocks_do_not_matter(tmp_path: Path, pieces: list[bytes], size: int) -> None:
    """Whether bytes come at once or a few at a time, the records are the same.

    (Within a record that is too large, where that is seen depends on them.)
    """
    data = b"<posts>" + b"".join(pieces) + b"</posts>"
    at_once = found_in(tmp_path / "a.xml", data, max_bytes=10_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK", size)
        patch.setattr(xml_stream, "BLOCK", size)
        in_pieces = found_in(tmp_path / "a.xml", data, max_bytes=10_000)
    whole = [one.element.attributes for one in at_once if one.element is not None]
    assert [one.element.attributes for one in in_pieces if one.element is not None] == whole
