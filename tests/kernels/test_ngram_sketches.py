"""Hashes of n-grams, HyperLogLog and lossy counting beside their plain twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dolma_kit.kernels import ngram_sketches as kernel
from tests.naive import ngram_sketches as plain

BIG = 2**64 - 1
uint64s = st.one_of(st.integers(0, BIG), st.sampled_from([0, 1, 2, 2**63, 2**63 - 1, BIG]))


def frozen(values: list[int], kind: type) -> NDArray:
    """An array as Arrow hands it over: read-only."""
    made = np.array(values, kind)
    made.flags.writeable = False
    return made


def hash_ngrams(documents: list[list[int]], n: int) -> list[tuple[int, int]]:
    tokens = frozen([token for own in documents for token in own], np.uint64)
    offsets = frozen(np.cumsum([0, *map(len, documents)]).tolist(), np.int64)
    hashes, places = kernel.hash_ngrams(tokens, offsets, n)
    assert hashes.dtype == np.uint64
    assert places.dtype == np.int64
    found = list(zip(hashes.tolist(), places.tolist(), strict=True))
    assert found == plain.hash_ngrams(tokens.tolist(), offsets.tolist(), n)
    return found


@given(uint64s)
def test_mix_is_that_of_the_twin(x: int) -> None:
    assert int(kernel.mix(np.uint64(x))) == plain.mix(x)


def test_mix_is_that_of_the_paper() -> None:
    """The first numbers of SplitMix64 with seed 0, as Vigna's splitmix64.c gives them."""
    golden = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [plain.mix(k * plain.BASE % 2**64) for k in (1, 2, 3)] == golden
    assert [int(kernel.mix(np.uint64(k * plain.BASE % 2**64))) for k in (1, 2, 3)] == golden


@given(st.lists(st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 2**32 - 1]))))
def test_ids_have_the_hashes_of_the_twin(ids: list[int]) -> None:
    found = kernel.hash_ids(frozen(ids, np.uint32))
    assert found.dtype == np.uint64
    assert found.tolist() == [plain.hash_id(i) for i in ids]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(uint64s, max_size=12), max_size=6), st.integers(1, 14))
def test_ngrams_have_the_hashes_of_the_twin(documents: list[list[int]], n: int) -> None:
    hash_ngrams(documents, n)


DOCUMENTS: dict[str, tuple[list[list[int]], list[int]]] = {
    # documents, and how many n-grams there are of n = 1, 2, 3
    "none": ([], [0, 0, 0]),
    "empty ones": ([[], [], []], [0, 0, 0]),
    "a token": ([[7]], [1, 0, 0]),
    "shorter than n": ([[1, 2], [], [3]], [3, 1, 0]),
    "one as long as n": ([[1], [1, 2, 3], [2, 3]], [6, 3, 1]),
    "the greatest hashes": ([[BIG] * 4, [0] * 4], [8, 6, 4]),
}


@pytest.mark.parametrize(("documents", "counts"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_ngrams_lie_within_documents(documents: list[list[int]], counts: list[int]) -> None:
    assert [len(hash_ngrams(documents, n)) for n in (1, 2, 3)] == counts


@pytest.mark.parametrize("n", [1, 2, 3, 31, 32, 63, 64, 65, 100, 119, 120])
def test_long_ngrams_wrap_around_as_python_ints_modulo_2_to_the_64(n: int) -> None:
    random = np.random.default_rng(n)
    sizes = [0, n - 1, n, n + 1, 130]
    documents = [random.integers(0, 2**64, size, np.uint64).tolist() for size in sizes]
    assert len(hash_ngrams(documents, n)) == 3 + max(131 - n, 0)


def test_every_n_up_to_120() -> None:
    tokens = np.random.default_rng(3).integers(0, 2**64, 125, np.uint64).tolist()
    for n in range(1, 121):
        assert len(hash_ngrams([tokens[:60], tokens], n)) == max(61 - n, 0) + 126 - n


def test_equal_ngrams_have_equal_hashes_wherever_they_are_and_others_do_not() -> None:
    random = np.random.default_rng(4)
    tokens = [plain.hash_id(i) for i in random.integers(0, 4, 3000).tolist()]
    for n in (1, 2, 3, 5, 8):
        hashes = [h for h, _ in hash_ngrams([tokens], n)]
        grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
        assert len(set(zip(grams, hashes, strict=True))) == len(set(grams)) == len(set(hashes))


def registers_of(hashes: list[int]) -> dict[int, int]:
    registers = np.zeros(kernel.N_REGISTERS, np.uint8)
    kernel.register(registers, frozen(hashes, np.uint64))
    return {int(i): int(registers[i]) for i in np.flatnonzero(registers)}


@given(st.lists(uint64s), st.lists(uint64s))
def test_registers_are_those_of_the_twin(first: list[int], second: list[int]) -> None:
    expected: dict[int, int] = {}
    plain.register(expected, first + second)
    assert registers_of(first + second) == expected
    # In any order, and repeated.
    assert registers_of(second + first + second) == expected


@pytest.mark.parametrize(
    ("hash_", "at", "rank"),
    [
        (0, 0, 49), (1, 0, 48), (2, 0, 47), (1 << 47, 0, 1), ((1 << 48) - 1, 0, 1),
        (1 << 48, 1, 49), (BIG, 65535, 1), (65535 << 48, 65535, 49), (1 << 63 | 1 << 46, 32768, 2),
    ],
)  # fmt: skip
def test_a_register_has_the_position_of_the_first_one(hash_: int, at: int, rank: int) -> None:
    assert registers_of([hash_]) == {at: rank}


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (5, 5), (0, 3), (100, 600), (2**63 - 5, 2**63 + 5), (BIG - 9, BIG)]
)
def test_numbers_are_registered_by_their_hashes(start: int, end: int) -> None:
    registers = np.zeros(kernel.N_REGISTERS, np.uint8)
    kernel.register_numbers(registers, np.uint64(start), np.uint64(end))
    expected: dict[int, int] = {}
    plain.register(expected, plain.number_hashes(start, end))
    assert {int(i): int(registers[i]) for i in np.flatnonzero(registers)} == expected


def rows_of(table: NDArray) -> plain.Table:
    used = table[table[:, kernel.COUNT] > 0]
    hashes = used[:, kernel.HASH].copy().view(np.uint64).tolist()
    rest = map(tuple, used[:, 1:].tolist())
    found = dict(zip(hashes, rest, strict=True))
    assert len(found) == len(used)
    return found


def check_note(hashes: list[int], room: int, floor: int, start: int, n_slots: int = 32) -> None:
    table = np.zeros((n_slots, 4), np.int64)
    twin: plain.Table = {}
    places = [1000 + i for i in range(len(hashes))]
    answer = kernel.note(
        table, room, floor, frozen(hashes, np.uint64), frozen(places, np.int64), start
    )
    assert tuple(answer) == plain.note(twin, room, floor, hashes, places, start)
    assert rows_of(table) == twin
    # And from where it stopped, after room has been made.
    at, left = answer
    more = kernel.note(
        table, left + 2, floor + 1, frozen(hashes, np.uint64), frozen(places, np.int64), at
    )
    assert tuple(more) == plain.note(twin, left + 2, floor + 1, hashes, places, at)
    assert rows_of(table) == twin


# Few different ones, many of which want one slot; a hash of 0 has the bits of an empty slot's.
slot_mates = st.one_of(st.integers(0, 5).map(lambda i: i << 58), st.integers(0, 40), uint64s)


@given(st.lists(slot_mates, max_size=60), st.integers(0, 16), st.integers(0, 9), st.integers(0, 5))
def test_notes_are_those_of_a_dict(hashes: list[int], room: int, floor: int, start: int) -> None:
    check_note(hashes, room, floor, min(start, len(hashes)))


NOTES: dict[str, tuple[list[int], int, int, int]] = {
    "nothing": ([], 4, 0, 0),
    "no room at all": ([1], 0, 0, 0),
    "no room, but known ones still count": ([1, 2, 1, 2, 1, 3, 1], 2, 7, 0),
    "just enough room": ([1, 2, 3], 3, 0, 0),
    "a hash of 0": ([0, 0, 1, 0], 2, 0, 0),
    "the last slot is followed by the first": ([31, 63, 95, 31, 63, BIG], 8, 0, 0),
    "the greatest hash": ([BIG, BIG, 2**63], 2, 1, 0),
    "from the last on": ([1, 2, 3], 3, 0, 3),
}


@pytest.mark.parametrize(("hashes", "room", "floor", "start"), NOTES.values(), ids=NOTES)
def test_note(hashes: list[int], room: int, floor: int, start: int) -> None:
    check_note(hashes, room, floor, start)


@given(
    st.dictionaries(
        slot_mates,
        st.tuples(st.integers(1, 2**62), st.integers(0, 2**62), st.integers(0, 2**62)),
        max_size=16,
    )
)
def test_fill_keeps_every_row_and_note_finds_it(rows: plain.Table) -> None:
    array = np.array([[0, *row] for row in rows.values()], np.int64).reshape(-1, 4)
    array[:, kernel.HASH] = np.array(list(rows), np.uint64).view(np.int64)
    array.flags.writeable = False
    table = np.zeros((32, 4), np.int64)
    kernel.fill(table, array)
    assert rows_of(table) == rows
    hashes = frozen(list(rows), np.uint64)
    places = np.zeros(len(rows), np.int64)
    assert tuple(kernel.note(table, 0, 9, hashes, places, 0)) == (len(rows), 0)
    assert rows_of(table) == {h: (count + 1, m, p) for h, (count, m, p) in rows.items()}
