"""Searches in suffix arrays: plain looking at every suffix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import suffix_array, suffix_search
from tests.naive import suffix_arrays as plain

Ids = npt.NDArray[np.int64]
LARGE = [0, 1, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1]
ALPHABETS = [
    (np.uint16, st.integers(0, 1)),
    (np.uint32, st.integers(0, 2)),
    (np.uint16, st.integers(0, 2**16 - 1)),
    (np.uint16, st.sampled_from(LARGE[:3])),
    (np.uint32, st.sampled_from(LARGE)),
]


class Case(NamedTuple):
    """Tokens, their suffix array, and what is looked for in them."""

    tokens: npt.NDArray[Any]
    suffixes: npt.NDArray[np.int32]
    ids: Ids

    @property
    def plain(self) -> tuple[list[int], list[int], list[int]]:
        return self.tokens.tolist(), self.suffixes.tolist(), self.ids.tolist()


def case_of(tokens: Sequence[int], ids: Sequence[int], kind: type = np.uint32) -> Case:
    array = np.array(tokens, kind)
    return Case(array, suffix_array.build(array), np.array(ids, np.int64))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """What is looked for is mostly a part of the tokens, at times longer than all of them."""
    kind, alphabet = draw(st.sampled_from(ALPHABETS))
    tokens = draw(st.lists(alphabet, max_size=50))
    first = draw(st.integers(0, len(tokens)))
    ids = tokens[first : draw(st.integers(first, len(tokens)))]
    ids = ids + draw(st.lists(alphabet, max_size=3))
    ids = draw(st.sampled_from([ids, ids[:2], ids[:1], tokens + ids]))
    return case_of(tokens, ids, kind)


@settings(deadline=None, max_examples=150)
@given(case=cases())
def test_find_is_the_rows_that_begin_so(case: Case) -> None:
    low, high = suffix_search.find(case.tokens, case.suffixes, case.ids, 0, len(case.tokens))
    assert list(range(low, high)) == plain.places_of(*case.plain)
    place = sum(case.tokens[at:].tolist() < case.ids.tolist() for at in case.suffixes.tolist())
    assert low == place, "an empty range is where they would be"


@settings(deadline=None, max_examples=150)
@given(case=cases(), data=st.data())
def test_find_within_a_range(case: Case, data: st.DataObject) -> None:
    low = data.draw(st.integers(0, len(case.tokens)))
    high = data.draw(st.integers(low, len(case.tokens)))
    found = range(*suffix_search.find(case.tokens, case.suffixes, case.ids, low, high))
    assert list(found) == [row for row in plain.places_of(*case.plain) if low <= row < high]


@settings(deadline=None, max_examples=150)
@given(case=cases())
def test_extending_token_by_token_is_finding(case: Case) -> None:
    low, high = 0, len(case.tokens)
    for depth, token in enumerate(case.ids.tolist()):
        low, high = suffix_search.extend(case.tokens, case.suffixes, low, high, depth, token)
        expected = suffix_search.find(
            case.tokens, case.suffixes, case.ids[: depth + 1], 0, len(case.tokens)
        )
        assert (low, high) == expected


@settings(deadline=None, max_examples=150)
@given(case=cases(), room=st.integers(0, 60))
def test_continuations_are_counted(case: Case, room: int) -> None:
    low, high = suffix_search.find(case.tokens, case.suffixes, case.ids, 0, len(case.tokens))
    ids, counts = np.full(room, -7, np.int64), np.full(room, -7, np.int64)
    n = suffix_search.continuations(
        case.tokens, case.suffixes, low, high, len(case.ids), ids, counts
    )
    tokens, _, asked = case.plain
    expected = plain.continuations(tokens, asked)
    if len(expected) > room:
        assert n == -1
        return
    assert list(zip(ids[:n].tolist(), counts[:n].tolist(), strict=True)) == expected
    assert set(ids[n:].tolist()) | set(counts[n:].tolist()) <= {-7}, "no more is written"


@settings(deadline=None, max_examples=150)
@given(case=cases())
def test_longest_prefix_and_its_neighbours(case: Case) -> None:
    n, place = suffix_search.longest_prefix(case.tokens, case.suffixes, case.ids)
    tokens, suffixes, asked = case.plain
    assert n == plain.longest_prefix(tokens, asked)
    assert place == sum(tokens[at:] < asked for at in suffixes)
    if n:
        near = suffixes[max(place - 1, 0) : place + 1]
        assert any(tokens[at : at + n] == asked[:n] for at in near)


@pytest.mark.parametrize("kind", [np.uint16, np.uint32])
@pytest.mark.parametrize("ids", [[], [0], [7, 7], [2**32 - 1]])
def test_no_tokens(kind: type, ids: list[int]) -> None:
    case = case_of([], ids, kind)
    assert suffix_search.find(case.tokens, case.suffixes, case.ids, 0, 0) == (0, 0)
    assert suffix_search.extend(case.tokens, case.suffixes, 0, 0, 0, 7) == (0, 0)
    assert suffix_search.longest_prefix(case.tokens, case.suffixes, case.ids) == (0, 0)
    nothing = np.empty(0, np.int64)
    assert suffix_search.continuations(case.tokens, case.suffixes, 0, 0, 0, nothing, nothing) == 0


def test_fixed_example() -> None:
    case = case_of(list(b"mississippi"), list(b"iss"), np.uint16)
    n = len(case.tokens)
    assert suffix_search.find(case.tokens, case.suffixes, case.ids, 0, n) == (2, 4)
    assert suffix_search.extend(case.tokens, case.suffixes, 0, n, 0, ord("s")) == (7, 11)
    ids, counts = np.empty(4, np.int64), np.empty(4, np.int64)
    found = suffix_search.continuations(case.tokens, case.suffixes, 0, n, 0, ids, counts)
    assert (found, bytes(ids.tolist()), counts.tolist()) == (4, b"imps", [4, 1, 2, 4])
    # After the last i nothing comes, after the others p and s.
    found = suffix_search.continuations(case.tokens, case.suffixes, 0, 4, 1, ids, counts)
    assert (found, bytes(ids[:found].tolist()), counts[:found].tolist()) == (2, b"ps", [1, 2])
    asked = np.array(list(b"missouri"), np.int64)
    assert suffix_search.longest_prefix(case.tokens, case.suffixes, asked) == (4, 5)


@pytest.mark.parametrize("token", [-1, 2**16, 2**32, 2**40, -(2**63)])
def test_an_id_that_no_token_can_be_is_nowhere(token: int) -> None:
    """Ids are int64 and are compared as such: none wraps around to a token."""
    for kind in (np.uint16, np.uint32):
        case = case_of([0, 1, 2**16 - 1, 0], [token], kind)
        low, high = suffix_search.find(case.tokens, case.suffixes, case.ids, 0, 4)
        assert low == high == (0 if token < 0 else 4)
        assert suffix_search.extend(case.tokens, case.suffixes, 0, 4, 0, token) == (low, high)
        assert suffix_search.longest_prefix(case.tokens, case.suffixes, case.ids) == (0, low)


def test_long_runs_and_what_comes_after_them() -> None:
    """Steps are doubled and halved: counts on both sides of powers of two."""
    tokens: list[int] = []
    for n in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 1000):
        tokens += [9, n] * n
    case = case_of(tokens, [9])
    low, high = suffix_search.find(case.tokens, case.suffixes, case.ids, 0, len(tokens))
    ids, counts = np.empty(20, np.int64), np.empty(20, np.int64)
    n = suffix_search.continuations(case.tokens, case.suffixes, low, high, 1, ids, counts)
    expected = plain.continuations(tokens, [9])
    assert list(zip(ids[:n].tolist(), counts[:n].tolist(), strict=True)) == expected
    same = case_of([3] * 70_000, [3] * 69_990, np.uint16)
    assert suffix_search.find(same.tokens, same.suffixes, same.ids, 0, 70_000) == (69_989, 70_000)
    longer = np.full(80_000, 3, np.int64)
    assert suffix_search.longest_prefix(same.tokens, same.suffixes, longer) == (70_000, 70_000)


def test_arrays_may_be_mapped_and_read_only(tmp_path: Path) -> None:
    case = case_of([4, 2, 4, 2, 9, 1], [4, 2])
    case.tokens.tofile(tmp_path / "a.npy")
    case.suffixes.tofile(tmp_path / "a.suffixes")
    tokens = np.asarray(np.memmap(tmp_path / "a.npy", np.uint32, "r"))
    suffixes = np.asarray(np.memmap(tmp_path / "a.suffixes", np.int32, "r"))
    case.ids.flags.writeable = False
    assert suffix_search.find(tokens, suffixes, case.ids, 0, 6) == (3, 5)
