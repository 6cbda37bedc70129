"""order-trace.bin: bytes that stay readable, what is cut short, and what was changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from dolma_kit.errors import DataError, VerificationError
from dolma_kit.order import step_trace
from dolma_kit.order.step_trace import TraceWriter

HEAD = step_trace.header(8, bytes(range(32)))
STEPS = [(1, 0, 0, 30, [5, 2]), (2, 0, 2, 32, [7, 1]), (3, 1, 0, 31, [2, 5])]


def write(path: Path, steps: list[tuple[int, int, int, int, list[int]]]) -> bytes:
    writer = TraceWriter(str(path), HEAD)
    for step, epoch, first, n_targets, instances in steps:
        writer.add(step, epoch, first, n_targets, np.array(instances, np.uint32))
    writer.close()
    return writer.chain


def test_bytes(tmp_path: Path) -> None:
    """Written once and read for ever."""
    chain = write(tmp_path / "t", STEPS)
    data = (tmp_path / "t").read_bytes()
    assert data[:16].hex() == "444b54524143453101000000" + "08000000"
    assert len(data) == 64 * 4
    plain = hashlib.sha256(data[:64]).digest()
    for i, (_, _, _, _, instances) in enumerate(STEPS):
        head = data[64 * (i + 1) :][:32]
        ids = hashlib.sha256(np.array(instances, "<u4").tobytes()).digest()
        plain = hashlib.sha256(plain + head + ids).digest()
        assert data[64 * (i + 1) + 32 :][:32] == plain
    assert plain == chain
    assert hashlib.sha256(data).hexdigest().startswith("6a5ed1710a9d485f")


def test_read_again(tmp_path: Path) -> None:
    write(tmp_path / "t", STEPS)
    found = [(r.step, r.epoch, r.first_position, r.n_targets, r.batch_size)
             for r in step_trace.read(str(tmp_path / "t"), HEAD)]  # fmt: skip
    assert found == [(*row[:4], 2) for row in STEPS]
    length, data, head = step_trace.read_header(str(tmp_path / "t"))
    assert (length, data, head) == (8, bytes(range(32)), HEAD)


@pytest.mark.parametrize("torn", [0, 1, 63])
def test_gone_on_with(tmp_path: Path, torn: int) -> None:
    """From the checkpoint at step 2: what came behind it is cut off, a torn record too."""
    chain = write(tmp_path / "part", STEPS[:2])
    whole = write(tmp_path / "t", STEPS)
    with (tmp_path / "t").open("ab") as stream:
        stream.write(b"x" * torn)
    writer = TraceWriter(str(tmp_path / "t"), HEAD, step=2, chain=chain)
    assert writer.chain == chain
    writer.add(3, 1, 0, 31, np.array([2, 5], np.uint32))
    writer.close()
    assert writer.chain == whole


def test_not_gone_on_with(tmp_path: Path) -> None:
    chain = write(tmp_path / "t", STEPS)
    path = str(tmp_path / "t")
    with pytest.raises(VerificationError, match="step 2 was come by another way"):
        TraceWriter(path, HEAD, step=2, chain=chain)
    with pytest.raises(VerificationError, match="ends before step 9"):
        TraceWriter(path, HEAD, step=9, chain=chain)
    with pytest.raises(VerificationError, match="is of other data, order or sequence length"):
        TraceWriter(path, step_trace.header(9, bytes(32)), step=3, chain=chain)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no trace of steps"),
        (b"DKTRACE1", "is no trace of steps"),
        (b"DKTRACE1\x02" + bytes(55), "has version 2, 1 is read"),
        (bytes(64), "is no trace of steps"),
    ],
)
def test_files_that_are_none(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(DataError, match=message):
        list(step_trace.read(str(tmp_path / "t")))
