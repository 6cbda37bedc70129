"""Sizes of what remembers keys: formulas against simulation and against what is made."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dolma_kit.deduplication import bloom, sizing
from dolma_kit.errors import ConfigError

from ..conftest import RunCommand


@pytest.mark.parametrize(("n", "rate"), [(1, 1e-3), (1000, 1e-6), (10**9, 1e-6), (10**10, 1e-9)])
def test_the_blocked_filter_is_the_one_that_is_made(n: int, rate: float) -> None:
    found = sizing.sizes(n, rate, 2**40).sizes[0]
    made = bloom.size_for(n, rate)
    assert (found.n_bytes, found.k) == (made.n_bytes, made.k)


@pytest.mark.parametrize("rate", [1e-1, 1e-2, 3e-3])
def test_the_classic_rate_is_that_of_random_positions(rate: float) -> None:
    n = 4_000
    one = sizing.sizes(n, rate, 2**40).sizes[1]
    assert one.k is not None
    random = np.random.default_rng(7)
    bits = np.zeros(8 * one.n_bytes, np.bool_)
    bits[random.integers(0, len(bits), n * one.k)] = True
    hits = bits[random.integers(0, len(bits), (200_000, one.k))].all(axis=1)
    assert abs(hits.mean() - rate) < 5 * (rate / 200_000) ** 0.5 + 0.03 * rate
    assert one.fp_rate <= rate * 1.001


def test_no_smaller_classic_filter_would_do() -> None:
    for n, rate in ((1_000, 1e-6), (12_345, 1e-3), (10**6, 1e-9)):
        one = sizing.sizes(n, rate, 2**40).sizes[1]
        n_bits = 8 * one.n_bytes - 64
        best = min((1 - np.exp(-k * n / n_bits)) ** k for k in range(1, 60))
        assert best > rate or n_bits < 1.01 * 8 * one.n_bytes - 64


@pytest.mark.parametrize(
    ("n", "rate", "smallest"),
    [
        (10**9, 1e-6, "classic Bloom"), (10**6, 1e-12, "classic Bloom"),
        (10**3, 1e-15, "classic Bloom"), (10**3, 6e-17, "64-bit hashes"),
        (10**9, 1e-12, "128-bit hashes"),
    ],
)  # fmt: skip
def test_the_smallest_keeps_to_the_rate(n: int, rate: float, smallest: str) -> None:
    assert sizing.sizes(n, rate, 2**40).smallest == smallest


@pytest.mark.parametrize(
    ("n", "rate", "advice"),
    [
        (10**9, 1e-6, "take dedupe as it is, which is the fastest; --classic takes 26% less"),
        (10**9, 1e-12, "take dedupe --fingerprints 128: a filter of 1,000,000,000 keys errs more"),
        (10**3, 6e-17, "take dedupe --fingerprints 64: a filter of 1,000 keys errs more than"),
    ],
)  # fmt: skip
def test_what_to_take(n: int, rate: float, advice: str) -> None:
    assert sizing.sizes(n, rate, 2**40).advice.startswith(advice)


@pytest.mark.parametrize("bits", [64, 128])
def test_fingerprints_are_smaller_than_the_blocked_filter_from_some_rate_on(bits: int) -> None:
    """Not below 1e-6 at once: the blocked filter takes 4.9 bytes a key, a set of hashes 10."""
    place = {64: 2, 128: 3}[bits]
    smaller = []
    for exponent in range(6, 19):
        found = sizing.sizes(10**6, 10.0**-exponent, 2**40).sizes
        if found[place].n_bytes < found[0].n_bytes:
            smaller.append(exponent)
    assert smaller[0] == {64: 9, 128: 13}[bits]
    assert smaller == list(range(smaller[0], 19))


def test_partitions_fit_in_the_memory() -> None:
    for one in sizing.sizes(10**10, 1e-6, 10**10).sizes:
        assert one.partitions * 10**10 >= one.n_bytes > (one.partitions - 1) * 10**10


def test_nothing_has_no_size() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        sizing.sizes(0, 1e-6, 1)
    with pytest.raises(ConfigError, match="0 bytes of memory"):
        sizing.sizes(1, 1e-6, 0)


def test_the_command_prints_a_table_or_json(dolma_kit: RunCommand) -> None:
    answer = dolma_kit("dedupe-size", "--items", "1e9", "--memory", "1e9")
    assert (answer.code, answer.err) == (0, "")
    assert "blocked Bloom" in answer.out
    assert f"{bloom.size_for(10**9, 1e-6).n_bytes:,}" in answer.out
    said = json.loads(dolma_kit("dedupe-size", "--items", "1e9", "--json").out)
    assert said["n_items"] == 10**9
    assert [one["structure"] for one in said["sizes"]][2:] == ["64-bit hashes", "128-bit hashes"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--items", "0"], "--items 0: the number is from 1 to 2**63"),
        (["--items", "nan"], "--items nan: the number is from 1 to 2**63"),
        (["--items", "9", "--memory", "-1"], "--memory -1: the number is from 1"),
        (["--items", "9", "--fp-rate", "1"], "the rate between 0 and 1"),
        ([], "Missing option"),
    ],
)
def test_what_has_no_size(dolma_kit: RunCommand, flags: list[str], message: str) -> None:
    answer = dolma_kit("dedupe-size", *flags)
    assert answer.code == 2
    assert message in answer.err
