"""WARC files cut into records: whole ones, and every way to be wrong that came to mind."""

from __future__ import annotations

import gzip
import io
import re
import time
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator
from hypothesis import given
from hypothesis import strategies as st

from dolma_kit.extraction.warc_records import RawRecord, records

MOST = 1_000_000


def record(block: bytes, length: int | None = None, end: bytes = b"\r\n") -> bytes:
    n = len(block) if length is None else length
    lines = [b"WARC/1.0", b"WARC-Type: response", b"Content-Length: %d" % n, b"", b""]
    return end.join(lines) + block + end + end


def cut(data: bytes, folder: Path, suffix: str = ".warc", most: int = MOST) -> list[RawRecord]:
    path = folder / f"f{suffix}"
    path.write_bytes(data)
    return list(records(str(path), most))


def blocks(found: list[RawRecord]) -> list[bytes | str]:
    return [one.block if one.fault is None else one.fault for one in found]


@given(st.lists(st.binary(max_size=300), max_size=6), st.sampled_from([b"\r\n", b"\n"]))
def test_whole_files(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], end: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    data = b"".join(record(part, end=end) for part in parts)
    for suffix, stored in ((".warc", data), (".warc.gz", gzip.compress(data))):
        found = cut(stored, folder, suffix)
        assert blocks(found) == parts
        assert not any(one.is_mended for one in found)
    assert [one.offset for one in found] == [
        match.start() for match in re.finditer(rb"WARC/1.0\r?\nWARC-Type", data)
    ] or any(b"WARC" in part for part in parts)


def test_as_fastwarc_cuts_them(shared_data: Path) -> None:
    path = shared_data / "warc/sample-0000.warc.gz"
    found = list(records(str(path), 64_000_000))
    stream = io.BytesIO(gzip.decompress(path.read_bytes()))
    theirs = [
        (one.stream_pos, one.reader.read()) for one in ArchiveIterator(stream, parse_http=False)
    ]
    assert [(one.offset, one.block) for one in found] == theirs
    assert len(found) == 48


def test_a_length_that_is_wrong_is_mended_by_the_next_record(tmp_path: Path) -> None:
    for wrong in (-3, 4, 500):
        middle = record(b"middle\r\n\r\nof it", length=15 + wrong)
        data = record(b"first") + middle + record(b"last")
        found = cut(data, tmp_path)
        assert blocks(found) == [b"first", b"middle\r\n\r\nof it", b"last"]
        assert [one.is_mended for one in found] == [False, True, False]


def test_the_last_record(tmp_path: Path) -> None:
    found = cut(record(b"first") + record(b"last one", length=3), tmp_path)
    assert blocks(found) == [b"first", b"last one"]
    found = cut(record(b"first") + record(b"last one", length=300), tmp_path)
    assert blocks(found) == [b"first", "cut short: Content-Length is 300, 12 bytes are there"]
    assert found[1].block == b"last one\r\n\r\n"


def test_a_record_within_a_record(tmp_path: Path) -> None:
    """A page may quote a WARC file; where lengths are right they are believed."""
    inner = record(b"quoted")
    assert blocks(cut(record(inner) + record(b"x"), tmp_path)) == [inner, b"x"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (b"something else\r\n\r\n", "no WARC record begins here; 18 bytes are passed over"),
        (b"WARC/1.0\r\nX: y\r\n\r\nblock\r\n\r\n", "a header without Content-Length; 27 bytes"),
        (b"WARC/1.0\r\nContent-Length: abc\r\n\r\n", "a header without Content-Length"),
        (b"WARC/1.0\r\nX: " + b"a" * 2_000_000 + b"\r\n", "a header that does not end within"),
    ],
)
def test_what_is_no_record_is_passed_over(tmp_path: Path, wrong: bytes, said: str) -> None:
    found = cut(record(b"a") + wrong + record(b"b"), tmp_path)
    assert [one.block for one in found if one.fault is None] == [b"a", b"b"]
    (fault,) = (one.fault for one in found if one.fault is not None)
    assert said in fault


def test_a_record_that_is_too_large_is_not_held(tmp_path: Path) -> None:
    found = cut(record(b"a") + record(b"x" * 5000) + record(b"b"), tmp_path, most=1000)
    assert blocks(found) == [b"a", "5,000 bytes, more than max_record_bytes (1,000)", b"b"]


def test_what_comes_before_a_cut_is_kept(tmp_path: Path) -> None:
    data = b"".join(gzip.compress(record(b"%d " % i * 3000)) for i in range(9))
    found = cut(data[: len(data) // 2], tmp_path, ".warc.gz")
    whole = [one for one in found if one.fault is None]
    assert [one.block[:2] for one in whole] == [b"%d " % i for i in range(len(whole))]
    assert len(whole) == 4
    assert found[-1].fault == "truncated gzip: it ends within a member; nothing more can be read"


def test_a_header_without_end_costs_its_reading(tmp_path: Path) -> None:
    """20 MB; it is neither held nor looked at twice."""
    data = b"WARC/1.0\r\nX: " + b"WARC/" * 4_000_000 + b"\r\n\r\n" + record(b"b")
    started = time.perf_counter()
    found = cut(data, tmp_path)
    assert found[-1].block == b"b"
    assert len(found) == 2
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("damage", ["header", "inside", "tail", "all", "plain"])
def test_a_broken_gzip_is_told_wherever_it_breaks(tmp_path: Path, damage: str) -> None:
    """A block that gives nothing is no end."""
    members = [gzip.compress(record(b"%d " % i * 300)) for i in range(20)]
    if damage == "header":
        members[4] = b"\0" + members[4][1:]
    elif damage == "inside":
        members[4] = members[4][:12] + b"\xff" * 10 + members[4][22:]
    elif damage == "tail":
        members.append(b"no gzip")
    elif damage == "plain":
        members = [record(b"x")]
    data = bytes(range(200, 256)) if damage == "all" else b"".join(members)
    found = cut(data, tmp_path, ".warc.gz")
    assert found[-1].fault is not None
    assert "broken gzip" in found[-1].fault
    whole = {"header": 4, "inside": 4, "tail": 20, "all": 0, "plain": 0}[damage]
    assert sum(one.fault is None for one in found) == whole
