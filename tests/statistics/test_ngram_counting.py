"""N-grams counted in bounded memory, beside a Counter: exact, or within what is promised."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import ngram_sketches
from dolma_kit.statistics import cardinality, ngram_counting
from dolma_kit.statistics.key_counts import ALL
from dolma_kit.statistics.ngram_counting import (
    COUNT,
    HASH,
    MISSED,
    PLACE,
    SAMPLE,
    Counting,
    Tally,
    least_common,
    merged,
    most_common,
    nothing,
)
from tests.naive import ngram_sketches as plain

Documents = list[list[int]]
LARGE = 1 << 19


class Row(NamedTuple):
    count: int
    missed: int
    file: int
    place: int


class Truth(NamedTuple):
    """By hash: how often, the first line and token, and the text."""

    counts: Counter[int]
    places: dict[int, int]
    texts: dict[int, str]


def truth(documents: Documents, n: int) -> Truth:
    found = Truth(Counter(), {}, {})
    for line, ids in enumerate(documents, start=1):
        tokens = [plain.hash_id(i) for i in ids]
        for hash_, at in plain.hash_ngrams(tokens, [0, len(tokens)], n):
            found.counts[hash_] += 1
            found.places.setdefault(hash_, line << 32 | at)
            found.texts.setdefault(hash_, " ".join(map(str, ids[at : at + n])))
    return found


def of_one(token: int) -> int:
    """The hash of the 1-gram of a token id."""
    return plain.hash_ngram([plain.hash_id(token)])


def count(
    documents: Documents, n: int, capacity: int = LARGE, batch: int = 25, kept: int = LARGE
) -> Tally:
    """Documents of one file, some at a time."""
    counting = Counting(n, capacity)
    for start in range(0, len(documents), batch):
        own = documents[start : start + batch]
        ids = np.array([i for document in own for i in document], np.uint32)

        def text_of(i: int, ids: np.ndarray = ids) -> str:
            return " ".join(map(str, ids[i : i + n].tolist()))

        offsets = np.cumsum([0, *map(len, own)]).astype(np.int64)
        lines = np.arange(start + 1, start + len(own) + 1)
        counting.add(ngram_sketches.hash_ids(ids), offsets, lines, text_of)
    return counting.tally(kept)


def placed(tally: Tally, file: int) -> Tally:
    return tally._replace(files=np.full(len(tally.rows), file, np.int32))


def rows_of(tally: Tally) -> dict[int, Row]:
    """By hash; the order of rows is looked at here."""
    hashes = tally.rows[:, HASH].copy().view(np.uint64).tolist()
    assert hashes == sorted(set(hashes))
    assert tally.files.dtype == np.int32
    rows = zip(hashes, tally.rows.tolist(), tally.files.tolist(), strict=True)
    return {h: Row(row[COUNT], row[MISSED], file, row[PLACE]) for h, row, file in rows}


def check_bounds(tally: Tally, counts: Counter[int]) -> None:
    """What is promised of every n-gram, of those without a row too."""
    rows = rows_of(tally)
    assert rows.keys() <= counts.keys()
    for hash_, true in counts.items():
        if hash_ in rows:
            row = rows[hash_]
            assert 1 <= row.count <= true <= row.count + row.missed
        else:
            assert true <= tally.floor
    assert tally.total == counts.total()
    if tally.floor == 0:
        assert {h: row.count for h, row in rows.items()} == counts
    registers: dict[int, int] = {}
    plain.register(registers, list(counts))
    assert {int(i): int(tally.registers[i]) for i in np.flatnonzero(tally.registers)} == registers


def check_sample(tally: Tally, expected: Truth) -> None:
    """The n-grams of the smallest hashes, with exact counts and their texts."""
    ordered = sorted(expected.counts)
    smallest = ordered[:SAMPLE]
    assert tally.sample.hashes.dtype == np.uint64
    assert tally.sample.hashes.tolist() == smallest
    assert tally.sample.counts.tolist() == [expected.counts[h] for h in smallest]
    assert tally.sample.texts == [expected.texts[h] for h in smallest]
    assert tally.sample.threshold == (ordered[SAMPLE] if len(ordered) > SAMPLE else ALL)


def equal(a: Tally, b: Tally) -> bool:
    return (
        rows_of(a) == rows_of(b)
        and (a.floor, a.total) == (b.floor, b.total)
        and np.array_equal(a.registers, b.registers)
        and a.sample.texts == b.sample.texts
        and a.sample.threshold == b.sample.threshold
        and np.array_equal(a.sample.hashes, b.sample.hashes)
        and np.array_equal(a.sample.counts, b.sample.counts)
    )


def zipfian(seed: int, n_documents: int, size: int = 20, vocabulary: int = 2000) -> Documents:
    random = np.random.default_rng(seed)
    sizes = random.integers(0, 2 * size, n_documents)
    return [(random.zipf(1.4, k) % vocabulary).tolist() for k in sizes.tolist()]


documents_of = st.lists(st.lists(st.integers(0, 5), max_size=12), max_size=12)


@settings(deadline=None)
@given(documents_of, st.integers(1, 5), st.integers(1, 5))
def test_with_room_for_all_everything_is_that_of_a_counter(
    documents: Documents, n: int, batch: int
) -> None:
    expected = truth(documents, n)
    tally = count(documents, n, batch=batch)
    assert tally.floor == 0
    assert rows_of(tally) == {
        h: Row(c, 0, 0, expected.places[h]) for h, c in expected.counts.items()
    }
    check_bounds(tally, expected.counts)
    check_sample(tally, expected)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 100])
def test_many_ngrams_with_room_for_all(n: int) -> None:
    """Far more than the table has at first."""
    documents = [*zipfian(n, 400, 30), *([7, 8, 9] * 40 for _ in range(3))]
    expected = truth(documents, n)
    tally = count(documents, n, batch=100)
    assert tally.floor == 0
    rows = rows_of(tally)
    assert {h: (row.count, row.place) for h, row in rows.items()} == {
        h: (c, expected.places[h]) for h, c in expected.counts.items()
    }
    check_sample(tally, expected)


@settings(deadline=None)
@given(documents_of, st.integers(1, 3), st.sampled_from([1, 2, 3, 4, 7]), st.integers(1, 5))
def test_bounds_hold_in_little_room(
    documents: Documents, n: int, capacity: int, batch: int
) -> None:
    expected = truth(documents, n)
    tally = count(documents, n, capacity, batch)
    assert len(tally.rows) <= capacity
    check_bounds(tally, expected.counts)
    check_sample(tally, expected)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("capacity", [4, 16, 64, 5000])
def test_bounds_hold_of_every_ngram(capacity: int, n: int) -> None:
    documents = zipfian(capacity + n, 250)
    expected = truth(documents, n)
    for batch in (20, 250):
        tally = count(documents, n, capacity, batch)
        assert len(tally.rows) <= capacity
        check_bounds(tally, expected.counts)
        check_sample(tally, expected)
    if capacity < len(expected.counts):
        assert tally.floor > 0


@pytest.mark.parametrize("kept", [0, 1, 3, 16])
def test_bounds_hold_where_rows_are_left_out(kept: int) -> None:
    documents = zipfian(5, 200)
    expected = truth(documents, 1)
    for capacity in (16, LARGE):
        tally = count(documents, 1, capacity, kept=kept)
        assert len(tally.rows) == min(kept, len(count(documents, 1, capacity).rows))
        check_bounds(tally, expected.counts)


def test_the_rows_kept_are_those_of_the_greatest_counts_then_of_the_least_hash() -> None:
    documents = [[i] * (3 if i < 4 else 2 if i < 9 else 1) for i in range(20)]
    by_count = sorted(truth(documents, 1).counts.items(), key=lambda one: (-one[1], one[0]))
    for kept in range(21):
        rows = rows_of(count(documents, 1, kept=kept))
        assert sorted(rows) == sorted(h for h, _ in by_count[:kept])


def test_what_is_frequent_stays() -> None:
    """An n-gram of a share of a tenth is in a table of 64 rows, however many others there are."""
    random = np.random.default_rng(6)
    ids = random.integers(10, 1 << 32, 20_000, np.uint64)
    frequent = random.random(20_000) < 0.2
    ids[frequent] = random.integers(0, 2, int(frequent.sum()))
    documents = ids.reshape(-1, 100).tolist()
    expected = truth(documents, 1)
    rows = rows_of(count(documents, 1, 64))
    for token in (0, 1):
        row, true = rows[of_one(token)], expected.counts[of_one(token)]
        assert row.count == true
        assert row.missed == 0


def splits(documents: Documents, n_parts: int) -> list[Documents]:
    bounds = np.linspace(0, len(documents), n_parts + 1).astype(int).tolist()
    return [documents[a:b] for a, b in itertools.pairwise(bounds)]


def grouped(parts: list[Tally], kept: int, way: str) -> Tally:
    if way == "all at once":
        return merged(parts, kept)
    if way == "from the left":
        together = merged(parts[:1], kept)
        for part in parts[1:]:
            together = merged([together, part], kept)
        return together
    if way == "from the right":
        together = merged(parts[-1:], kept)
        for part in reversed(parts[:-1]):
            together = merged([part, together], kept)
        return together
    halves = [parts[: len(parts) // 2], parts[len(parts) // 2 :]]
    return merged([merged([nothing(), *half], kept) for half in halves], kept)


WAYS = ("all at once", "from the left", "from the right", "in halves, with nothing")


@pytest.mark.parametrize("n_parts", [1, 2, 7])
@pytest.mark.parametrize("capacity", [4, 16, 64, LARGE])
def test_bounds_hold_of_parts_in_any_grouping(capacity: int, n_parts: int) -> None:
    documents = zipfian(capacity + n_parts, 150)
    expected = truth(documents, 2)
    for kept in (max(capacity // 4, 1), capacity):
        parts = [
            placed(count(own, 2, capacity, kept=kept), i)
            for i, own in enumerate(splits(documents, n_parts))
        ]
        for way in WAYS:
            together = grouped(parts, capacity, way)
            assert len(together.rows) <= capacity
            check_bounds(together, expected.counts)
            check_sample(together, expected)


@settings(deadline=None)
@given(st.lists(documents_of, min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 8))
def test_bounds_hold_of_small_parts(parts: list[Documents], n: int, capacity: int) -> None:
    expected = truth([document for part in parts for document in part], n)
    tallies = [count(part, n, capacity, kept=max(capacity // 2, 1)) for part in parts]
    for way in WAYS:
        check_bounds(grouped(tallies, capacity, way), expected.counts)


def test_parts_with_room_for_all_are_the_whole_in_any_grouping() -> None:
    documents = zipfian(8, 300)
    whole = count(documents, 2)
    parts = [placed(count(own, 2), i) for i, own in enumerate(splits(documents, 6))]
    made = [grouped(parts, LARGE, way) for way in WAYS]
    assert all(equal(made[0], other) for other in made[1:])
    # Lines begin anew in each part; all else is that of the whole.
    first: dict[int, tuple[int, int]] = {}
    for file, own in enumerate(splits(documents, 6)):
        for hash_, place in truth(own, 2).places.items():
            first.setdefault(hash_, (file, place))
    counts = {h: row.count for h, row in rows_of(whole).items()}
    assert rows_of(made[0]) == {h: Row(c, 0, *first[h]) for h, c in counts.items()}
    assert made[0].total == whole.total
    assert np.array_equal(made[0].registers, whole.registers)


@pytest.mark.parametrize("batch", [10, 45, 400])
@pytest.mark.parametrize("n_parts", [1, 3])
@pytest.mark.parametrize("capacity", [16, LARGE])
def test_the_sample_is_one_whatever_the_split(batch: int, n_parts: int, capacity: int) -> None:
    """More than the sample's 1,024 different ones, of which each has an exact count."""
    documents = zipfian(9, 400, 20, 10_000)
    expected = truth(documents, 2)
    assert len(expected.counts) > 2 * SAMPLE
    parts = [count(own, 2, capacity, batch) for own in splits(documents, n_parts)]
    check_sample(merged(parts, capacity), expected)


@pytest.mark.parametrize("n_different", [0, 1, SAMPLE - 1, SAMPLE, SAMPLE + 1])
def test_the_sample_is_all_while_there_are_not_more(n_different: int) -> None:
    documents = [[i, i] for i in range(n_different)]
    tally = count(documents, 1, 16)
    check_sample(tally, truth(documents, 1))
    assert (tally.sample.threshold == ALL) == (n_different <= SAMPLE)


def of_counts(counts: dict[int, int], floor: int = 0, missed: int = 0) -> Tally:
    ordered = sorted(counts)
    rows = np.zeros((len(ordered), 4), np.int64)
    rows[:, HASH] = np.array(ordered, np.uint64).view(np.int64)
    rows[:, COUNT] = [counts[h] for h in ordered]
    rows[:, MISSED] = missed
    registers = np.zeros(cardinality.N_REGISTERS, np.uint8)
    sample = ngram_counting.Sample(
        np.array(ordered, np.uint64), np.array([counts[h] for h in ordered], np.int64),
        [str(h) for h in ordered], ALL,
    )  # fmt: skip
    files = np.zeros(len(ordered), np.int32)
    return Tally(rows, files, floor, sum(counts.values()), registers, sample)


def test_counts_beyond_32_bits_do_not_saturate() -> None:
    """WIMBD's table of the most common holds 32 bits."""
    big, other, last = 2**33 + 5, 2**34, 2**64 - 1
    parts = [of_counts({1: big, last: 3}), of_counts({1: big, 2: other}), of_counts({2: 1})]
    together = merged(parts, LARGE)
    assert {h: row.count for h, row in rows_of(together).items()} == {
        1: 2 * big, 2: other + 1, last: 3,
    }  # fmt: skip
    assert together.total == 2 * big + other + 4
    assert together.sample.counts.tolist() == [2 * big, other + 1, 3]
    assert most_common(together, 2) == [0, 1]
    assert together.rows[most_common(together, 1)[0], COUNT] == 2**34 + 10


def test_floors_beyond_32_bits_add_up() -> None:
    parts = [of_counts({1: 2**35}, floor=2**33, missed=2**32), of_counts({2: 7}, floor=2**33)]
    together = merged(parts, LARGE)
    assert together.floor == 2**34
    assert {h: (row.count, row.missed) for h, row in rows_of(together).items()} == {
        1: (2**35, 2**32 + 2**33), 2: (7, 2**33),
    }  # fmt: skip
    assert merged(parts, 1).floor == 2**34
    assert merged([of_counts({1: 2**40, 2: 2**41})], 1).floor == 2**40


@pytest.mark.parametrize(
    "values",
    [[1], [1, 2], [3, 1, 2], [1] * 50 + [9], [5000, 2, 6000], [2**40, 2**41, 2**42], [4095, 4096]],
)
def test_the_median_is_the_upper_one(values: list[int]) -> None:
    assert ngram_counting._median(np.array(values)) == sorted(values)[len(values) // 2]


@given(st.lists(st.one_of(st.integers(1, 9), st.integers(4090, 4100), st.integers(1, 2**50))))
def test_the_median_is_that_of_sorted_values(values: list[int]) -> None:
    if values:
        assert ngram_counting._median(np.array(values)) == sorted(values)[len(values) // 2]


def test_the_most_and_the_least_common_are_in_order_of_count_then_of_place() -> None:
    parts = [[[1, 1, 1, 2], [3, 2, 4]], [[5, 3, 3, 6], [4, 1]]]
    together = merged([placed(count(own, 1), i) for i, own in enumerate(parts)], LARGE)
    ids = {of_one(i): i for i in range(1, 7)}
    hashes = [ids[h] for h in rows_of(together)]
    assert [hashes[i] for i in most_common(together, 9)] == [1, 3, 2, 4, 5, 6]
    assert [hashes[i] for i in most_common(together, 3)] == [1, 3, 2]
    assert [hashes[i] for i in least_common(together, 9)] == [5, 6, 2, 4, 3, 1]
    assert [hashes[i] for i in least_common(together, 3)] == [5, 6, 2]
    assert most_common(together, 0) == least_common(nothing(), 5) == most_common(nothing(), 5) == []


def test_places_are_line_and_number_of_the_token_and_documents_have_none_in_common() -> None:
    documents = [[1, 2], [2, 3], [], [1, 2, 3]]
    rows = rows_of(count(documents, 2, batch=1))
    places = {row.place: row.count for row in rows.values()}
    assert places == {1 << 32 | 0: 2, 2 << 32 | 0: 2}


@pytest.mark.parametrize("capacity", [16, 64, LARGE])
def test_counting_again_gives_the_same(capacity: int) -> None:
    documents = zipfian(10, 300)
    assert equal(count(documents, 3, capacity), count(documents, 3, capacity))
    parts = [count(own, 3, capacity, kept=8) for own in splits(documents, 5)]
    assert equal(merged(parts, capacity), merged(parts, capacity))


def test_merging_leaves_the_parts_as_they_are() -> None:
    parts = [count(own, 1, 16) for own in splits(zipfian(11, 100), 3)]
    before = [(p.rows.copy(), p.registers.copy(), p.sample.counts.copy()) for p in parts]
    merged(parts, 16)
    for part, (rows, registers, counts) in zip(parts, before, strict=True):
        assert np.array_equal(part.rows, rows)
        assert np.array_equal(part.registers, registers)
        assert np.array_equal(part.sample.counts, counts)


def test_nothing_is_neutral() -> None:
    tally = count(zipfian(12, 50), 2, 16)
    for parts in ([tally], [nothing(), tally], [tally, nothing()]):
        assert equal(merged(parts, 16), tally)
    assert equal(merged([nothing(), nothing()], 4), nothing())
    assert cardinality.estimate(nothing().registers).value == 0
