"""Keys counted exactly, or beyond a limit by a sample: the same whatever the split, unbiased."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.statistics import key_counts
from dolma_kit.statistics.key_counts import ALL, Counts, count, distinct, merged, nothing, total

Keys = list[int]
uint64s = st.one_of(st.integers(0, 9), st.sampled_from([2**63, 2**64 - 1]), st.integers(0, ALL - 1))
keys_of = st.lists(uint64s, max_size=30)


def counted(keys: Keys, file: int = 0, threshold: int = ALL) -> Counts:
    """The keys of a file, on lines from 1."""
    found = count(np.array(keys, np.uint64), np.arange(1, len(keys) + 1), threshold)
    return found._replace(files=np.full(len(found.files), file, np.int32))


Row = tuple[int, int, int, int]


def rows_of(found: Counts) -> list[Row]:
    assert [column.dtype for column in found[:4]] == [np.uint64, np.int64, np.int32, np.int64]
    return list(zip(*(column.tolist() for column in found[:4]), strict=True))


def expected(files: list[Keys], limit: int) -> tuple[list[Row], int]:
    """Rows and threshold by a dict: of the keys of all files, the `limit` smallest."""
    counts = Counter(key for keys in files for key in keys)
    first: dict[int, tuple[int, int]] = {}
    for file, keys in enumerate(files):
        for line, key in enumerate(keys, start=1):
            first.setdefault(key, (file, line))
    kept = sorted(counts)
    threshold = kept[limit] if len(kept) > limit else ALL
    return [(key, counts[key], *first[key]) for key in kept[:limit]], threshold


def check(found: Counts, files: list[Keys], limit: int) -> None:
    rows, threshold = expected(files, limit)
    assert rows_of(found) == rows
    assert found.threshold == threshold
    assert found.n_keys == sum(map(len, files))


@given(keys_of)
def test_a_file_is_counted_as_by_a_counter(keys: Keys) -> None:
    check(counted(keys), [keys], 100)


@given(keys_of, uint64s)
def test_beyond_a_threshold_keys_are_only_how_many(keys: Keys, threshold: int) -> None:
    found = counted(keys, threshold=threshold)
    rows, _ = expected([keys], 100)
    assert rows_of(found) == [row for row in rows if row[0] < threshold]
    assert (found.threshold, found.n_keys) == (threshold, len(keys))


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_exact_up_to_the_limit_and_a_sample_from_there(limit: int) -> None:
    files = [[40, 10, 40, 30], [20, 10, 2**64 - 1]]
    found = merged([counted(keys, i) for i, keys in enumerate(files)], limit)
    check(found, files, limit)
    assert distinct(found).exact == (limit >= 5)
    if limit >= 5:
        assert (found.threshold, distinct(found).value) == (ALL, 5)
        assert rows_of(found)[0] == (10, 2, 0, 2)


def grouped(parts: list[Counts], limit: int, way: str) -> Counts:
    if way == "all at once":
        return merged(parts, limit)
    if way == "one by one":
        together = nothing()
        for part in parts:
            together = merged([together, part], limit)
        return together
    halves = parts[: len(parts) // 2], parts[len(parts) // 2 :]
    return merged([merged([*half, nothing()], limit) for half in halves], limit)


WAYS = ("all at once", "one by one", "in halves")


@settings(deadline=None)
@given(st.lists(keys_of, min_size=1, max_size=5), st.integers(1, 12))
def test_the_same_whatever_the_split(files: list[Keys], limit: int) -> None:
    parts = [counted(keys, i) for i, keys in enumerate(files)]
    cut = [merged([part], limit) for part in parts]
    for way in WAYS:
        check(grouped(parts, limit, way), files, limit)
        check(grouped(cut, limit, way), files, limit)


@pytest.mark.parametrize("limit", [1, 50, 1000, 5000])
def test_many_keys_batch_by_batch_with_the_threshold_so_far(limit: int) -> None:
    """As a worker counts: keys that can no longer be in the sample are not grouped at all."""
    random = np.random.default_rng(limit)
    keys = random.integers(0, ALL, 3000, np.uint64)[random.zipf(1.3, 9000) % 3000]
    for size in (100, 2500, 9000):
        found = nothing()
        for start in range(0, len(keys), size):
            own = keys[start : start + size]
            lines = np.arange(start + 1, start + 1 + len(own))
            found = merged([found, count(own, lines, found.threshold)], limit)
        check(found, [keys.tolist()], limit)


def test_nothing() -> None:
    assert rows_of(nothing()) == rows_of(merged([nothing(), nothing()], 3)) == []
    assert distinct(nothing()) == key_counts.Estimate(0, 0, 0, True)
    assert total(nothing(), np.zeros(0)) == key_counts.Estimate(0, 0, 0, True)


def test_merging_leaves_the_parts_as_they_are() -> None:
    parts = [counted([5, 5, 7]), counted([7, 9], 1)]
    before = [rows_of(part) for part in parts]
    merged(parts, 2)
    assert [rows_of(part) for part in parts] == before


def test_counts_beyond_32_bits_add_up() -> None:
    one = counted([8])._replace(counts=np.array([2**33]), n_keys=2**33)
    found = merged([one, one, counted([8])], 10)
    assert found.counts.tolist() == [2**34 + 1]
    assert found.n_keys == 2**34 + 1


def sampled(seed: int, counts: np.ndarray, limit: int) -> Counts:
    """A sample of keys that occur `counts` times, with hashes of a seed."""
    random = np.random.default_rng(seed)
    hashes = np.sort(random.integers(0, ALL, len(counts), np.uint64))
    places = np.zeros(len(counts), np.int64)
    whole = Counts(
        hashes, random.permutation(counts), places.astype(np.int32), places, ALL, int(counts.sum())
    )
    return merged([whole], limit)


N_TRIALS = 200
RANDOM = np.random.default_rng(99)
SHAPES = {
    "all once": np.ones(4000, np.int64),
    "geometric": RANDOM.geometric(0.3, 4000),
    "log-normal": np.ceil(RANDOM.lognormal(1, 0.8, 4000)).astype(np.int64),
}


@pytest.mark.parametrize("limit", [300, 2000, 3900])
@pytest.mark.parametrize("shape", SHAPES)
def test_estimates_are_unbiased_and_their_bounds_those_of_95_percent(
    shape: str, limit: int
) -> None:
    counts = SHAPES[shape]
    truths = [len(counts), int(counts.sum()), int((counts > 1).sum())]
    made = []
    for seed in range(N_TRIALS):
        found = sampled(seed, counts, limit)
        assert len(found.hashes) == limit
        assert found.n_keys == counts.sum()
        values = found.counts.astype(np.float64)
        several = (found.counts > 1).astype(np.float64)
        made.append([distinct(found), total(found, values), total(found, several)])
    for i, truth in enumerate(truths):
        estimates = [one[i] for one in made]
        assert not any(one.exact for one in estimates)
        covered = sum(one.low <= truth <= one.high for one in estimates)
        assert covered >= 0.9 * N_TRIALS
        found_values = np.array([one.value for one in estimates])
        error = found_values.std() / math.sqrt(N_TRIALS)
        assert abs(found_values.mean() - truth) <= 3 * error
        # No wider than they have to be: the half width is that of 95 %.
        widths = np.array([one.high - one.low for one in estimates]) / 2
        if truth:
            assert widths.mean() == pytest.approx(key_counts.Z * found_values.std(), rel=0.2)


def test_exact_totals_have_no_width() -> None:
    found = counted([1, 1, 2, 3, 3, 3])
    assert total(found, found.counts.astype(np.float64)) == key_counts.Estimate(6, 6, 6, True)
    assert total(found, (found.counts > 1).astype(np.float64)).value == 2


@pytest.mark.parametrize(
    ("n", "expected_pairs"), [(0, 0), (1, 0), (2, 2**-64), (2**32, 0.5), (2**40, 2**15)]
)
def test_expected_collisions_are_pairs_by_2_to_the_64(n: int, expected_pairs: float) -> None:
    assert key_counts.expected_collisions(n) == pytest.approx(expected_pairs, rel=1e-6)


def test_keys_that_collide_by_chance_are_as_many_as_expected() -> None:
    """In 2^20 values in place of 2^64: pairs are those that the formula counts."""
    n, m = 2000, 1 << 20
    pairs = []
    for seed in range(100):
        sizes = Counter(np.random.default_rng(seed).integers(0, m, n).tolist()).values()
        pairs.append(sum(len(list(itertools.combinations(range(k), 2))) for k in sizes if k > 1))
    wanted = key_counts.expected_collisions(n) * ALL / m
    assert np.mean(pairs) == pytest.approx(wanted, rel=0.2)
