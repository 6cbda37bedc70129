"""XXH64 against the xxhash package and the vectors that everyone quotes."""

from __future__ import annotations

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import hashing

SEEDS = (0, 1, 2**31, 2**63 + 12345, 2**64 - 1)


def hash_of(data: bytes, seed: int = 0) -> int:
    ends = np.array([len(data)])
    hashes = hashing.hash_slices(
        np.frombuffer(data, np.uint8), np.zeros(1, np.int64), ends, np.uint64(seed)
    )
    assert hashes.dtype == np.uint64
    return int(hashes[0])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (b"xxhash", 0x32DD38952C4BC720),
    ],
)
def test_known_vectors(data: bytes, expected: int) -> None:
    assert hash_of(data) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_every_length_up_to_300(seed: int) -> None:
    data = np.random.default_rng(6198).integers(0, 256, 900, np.uint8)
    starts = np.arange(301, dtype=np.int64)
    hashes = hashing.hash_slices(data, starts, 2 * starts, np.uint64(seed))
    for start, found in zip(starts.tolist(), hashes.tolist(), strict=True):
        expected = xxhash.xxh64(data[start : 2 * start].tobytes(), seed=seed).intdigest()
        assert found == expected


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000), st.integers(0, 2**64 - 1))
def test_any_bytes(data: bytes, seed: int) -> None:
    assert hash_of(data, seed) == xxhash.xxh64(data, seed=seed).intdigest()


def test_sums_wrap_at_64_bits() -> None:
    data = b"\xff" * 257
    assert hash_of(data, 2**64 - 1) == xxhash.xxh64(data, seed=2**64 - 1).intdigest()


def test_slices_may_overlap_and_be_out_of_order() -> None:
    data = np.frombuffer("naïve café".encode(), np.uint8)
    hashes = hashing.hash_slices(data, np.array([4, 0, 0]), np.array([9, 12, 0]), np.uint64(0))
    assert hashes.tolist() == [
        xxhash.xxh64_intdigest(data[a:b].tobytes()) for a, b in ((4, 9), (0, 12), (0, 0))
    ]


def test_no_slices() -> None:
    nothing = np.zeros(0, np.int64)
    assert len(hashing.hash_slices(np.zeros(0, np.uint8), nothing, nothing, np.uint64(0))) == 0
