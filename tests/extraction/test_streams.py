"""Streams give all bytes before a fault, then tell it."""

from __future__ import annotations

import bz2
import gzip
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from dolma_kit.extraction.streams import Stream

TEXT = random.Random(1).randbytes(150_000) + b"a line of text\n" * 20_000


def in_members(compress: Callable[[bytes], bytes]) -> bytes:
    return b"".join(compress(TEXT[i : i + 70_000]) for i in range(0, len(TEXT), 70_000))


FORMS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".txt": bytes,
}


def read(path: Path) -> tuple[bytes, str | None]:
    stream = Stream(str(path))
    data = b"".join(stream)
    stream.close()
    return data, stream.fault


@pytest.mark.parametrize("suffix", FORMS)
def test_whole_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"f{suffix}"
    for data in (FORMS[suffix](TEXT), in_members(FORMS[suffix])):
        path.write_bytes(data)
        assert read(path) == (TEXT, None)
    path.write_bytes(b"")
    assert read(path) == (b"", None)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
def test_what_is_cut_short_gives_its_beginning(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"f{suffix}"
    stored = in_members(FORMS[suffix])
    for cut in (len(stored) - 1, len(stored) // 2, 60_000, 3):
        path.write_bytes(stored[:cut])
        data, fault = read(path)
        assert TEXT.startswith(data)
        assert fault is not None
        assert "truncated" in fault
        if cut > len(stored) // 2 - 1:
            assert len(data) >= 70_000


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
def test_what_is_broken_gives_what_comes_before(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"f{suffix}"
    stored = bytearray(in_members(FORMS[suffix]))
    at = len(FORMS[suffix](TEXT[:70_000])) + 20_000  # in the second member
    stored[at : at + 50] = bytes(50)
    path.write_bytes(bytes(stored))
    data, fault = read(path)
    assert fault is not None
    assert len(data) >= 70_000
    # A block of bzip2 or zstd is checked when it has ended; gzip's is when it is too late.
    assert TEXT.startswith(data[:70_000])


def test_gzip_gives_all_before_the_fault(tmp_path: Path) -> None:
    """To the byte: what zlib itself gives before it complains."""
    stored = bytearray(gzip.compress(b"".join(b"%d\n" % i for i in range(50_000))))
    stored[90_000] ^= 0xFF
    (tmp_path / "f.gz").write_bytes(bytes(stored))
    data, fault = read(tmp_path / "f.gz")
    assert fault is not None
    lines = data.split(b"\n")
    assert [int(line) for line in lines[:25_000]] == list(range(25_000))


def test_padding_after_gzip_is_none(tmp_path: Path) -> None:
    (tmp_path / "f.gz").write_bytes(gzip.compress(TEXT) + bytes(1000))
    assert read(tmp_path / "f.gz") == (TEXT, None)
    (tmp_path / "f.gz").write_bytes(gzip.compress(TEXT) + b"\r\n" + gzip.compress(TEXT))
    assert read(tmp_path / "f.gz") == (TEXT + TEXT, None)
    (tmp_path / "f.gz").write_bytes(gzip.compress(TEXT) + b"no gzip")
    data, fault = read(tmp_path / "f.gz")
    assert data == TEXT
    assert fault is not None


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
def test_a_bomb_comes_in_blocks(tmp_path: Path, suffix: str) -> None:
    whole = 200_000_000
    path = tmp_path / f"f{suffix}"
    path.write_bytes(FORMS[suffix](bytes(whole)))
    tracemalloc.start()
    try:
        stream = Stream(str(path))
        n = sum(map(len, stream))
        stream.close()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n == whole
    assert peak < 60_000_000
