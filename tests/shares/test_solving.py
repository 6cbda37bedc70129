"""Rates that give what was asked for, against plain twins and by their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_kit.config import Budget
from dolma_kit.errors import ConfigError
from dolma_kit.shares import surveys
from dolma_kit.shares.sampling import Sample, copies_at
from dolma_kit.shares.solving import Wish, sample_of, stream_rates
from dolma_kit.shares.surveys import Measured, Size, draws


def wish(
    name: str,
    *,
    rate: float | None = None,
    budget: tuple[str, int] | None = None,
    share: float | None = None,
    max_rate: float = 1.0,
) -> Wish:
    return Wish(name, (), True, rate, budget, share, max_rate, None)


def rates(
    wishes: list[Wish], tokens: list[int], budget: int | None, temperature: float = 1.0
) -> list[float]:
    sizes = [Size(n, 4 * n, n) for n in tokens]
    whole = None if budget is None else ("tokens", budget)
    return stream_rates(wishes, sizes, whole, temperature)


def test_half_of_it_web() -> None:
    found = rates([wish("web", share=0.5), wish("a"), wish("b")], [1000, 300, 100], 400)
    assert found == pytest.approx([0.2, 0.5, 0.5])


def test_own_rates_and_budgets_come_first() -> None:
    wishes = [wish("a", rate=2.0), wish("b", budget=("bytes", 40)), wish("c"), wish("d")]
    assert rates(wishes, [10, 100, 30, 60], 75) == pytest.approx([2, 0.1, 0.5, 0.5])


def test_without_a_budget_the_others_are_taken_once() -> None:
    assert rates([wish("a"), wish("b", rate=0.25)], [10, 10], None) == [1.0, 0.25]


@pytest.mark.parametrize(
    ("temperature", "shares"),
    [(1.0, [0.9, 0.1]), (2.0, [0.75, 0.25]), (1e9, [0.5, 0.5])],
)
def test_temperature_evens_out(temperature: float, shares: list[float]) -> None:
    found = rates([wish("a"), wish("b")], [900, 100], 100, temperature)
    assert [r * n / 100 for r, n in zip(found, [900, 100], strict=True)] == pytest.approx(shares)


sizes_and_more = st.lists(
    st.tuples(st.integers(0, 10_000), st.floats(0.1, 10)), min_size=1, max_size=8
)


@given(sizes_and_more, st.floats(0, 1), st.floats(0.2, 5))
def test_a_rest_is_divided_and_no_stream_gives_too_much(
    streams: list[tuple[int, float]], part: float, temperature: float
) -> None:
    sizes = [n for n, _ in streams]
    most = [n * m for n, m in streams]
    budget = int(part * sum(most))
    if budget < 1:
        return
    wishes = [wish(str(i), max_rate=m) for i, (_, m) in enumerate(streams)]
    given_ = np.array(rates(wishes, sizes, budget, temperature)) * sizes
    assert given_.sum() == pytest.approx(budget)
    assert (given_ <= np.array(most) * (1 + 1e-9)).all()
    # Those that are not full have what the temperature gives them, one beside the other.
    free = [i for i, m in enumerate(most) if given_[i] < m * (1 - 1e-6)]
    levels = [given_[i] / sizes[i] ** (1 / temperature) for i in free]
    assert not levels or max(levels) == pytest.approx(min(levels))


@pytest.mark.parametrize(
    ("wishes", "budget", "message"),
    [
        ([wish("a", budget=("tokens", 101))], None, "'a': 101 tokens are asked for, and its rules"),
        ([wish("a", share=1.0, max_rate=3.0)], 301, r"each 3.010 times, and max_rate is 3"),
        ([wish("a", rate=1.0), wish("b", share=0.6)], 110, "give 166 tokens, more than the 110"),
        ([wish("a", share=0.4), wish("b", share=0.5)], 100, "give 90 tokens, less than the 100"),
        ([wish("a"), wish("b")], 201, "201 tokens are left for a, b, which have 200"),
        ([wish("empty", budget=("tokens", 1))], None, "its rules leave none"),
    ],
)
def test_what_cannot_be_had_says_what_would_be_needed(
    wishes: list[Wish], budget: int | None, message: str
) -> None:
    sizes = [0 if one.name == "empty" else 100 for one in wishes]
    with pytest.raises(ConfigError, match=message):
        rates(wishes, sizes, budget)


@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=300),
    st.floats(0, 3),
    st.integers(0, 5),
)
def test_a_sample_gives_its_part_to_one_document(tokens: list[int], rate: float, seed: int) -> None:
    """Beside taking the documents in the order of their draws until there is enough."""
    ids = [str(i) for i in range(len(tokens))]
    drawn, sizes = draws(ids, seed), np.array(tokens)
    measured = Measured([""] * len(ids), surveys.draw_bins(drawn), 4 * sizes, sizes)
    sample = sample_of(surveys.table_of(measured), "tokens", rate)
    taken = (sample.copies(drawn) * sizes).sum()
    # 300 draws may share one of 65,536 bins with another, hardly with two.
    assert abs(taken - rate * sizes.sum()) <= 2 * max(tokens)


@given(st.floats(0, 5), st.floats(0, 5))
def test_more_contains_less(a: float, b: float) -> None:
    drawn = draws([str(i) for i in range(200)], 1)
    less, more = sorted((a, b))
    assert (Sample.at(less).copies(drawn) <= Sample.at(more).copies(drawn)).all()
    assert (copies_at(np.full(200, less), drawn) <= copies_at(np.full(200, more), drawn)).all()
    assert (copies_at(np.full(200, less), drawn) == Sample.at(less).copies(drawn)).all()


def test_the_ends_of_a_sample() -> None:
    drawn = np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
    assert Sample(0, 0).copies(drawn).tolist() == [0, 0, 0, 0]
    assert Sample(0, 1).copies(drawn).tolist() == [1, 0, 0, 0]
    assert Sample(1, 2**64).copies(drawn).tolist() == [2, 2, 2, 2]


@given(st.lists(st.floats(allow_nan=True), min_size=2, max_size=50))
def test_bins_of_scores_are_in_their_order(scores: list[float]) -> None:
    found = surveys.score_bins(np.array(scores))
    for (a, x), (b, y) in zip(
        zip(found, scores, strict=True), list(zip(found, scores, strict=True))[1:], strict=False
    ):
        if np.isnan(x) or np.isnan(y):
            assert (a == 0) == np.isnan(x)
        elif x <= y:
            assert a <= b
        else:
            assert a >= b
    assert (found < 2**surveys.SCORE_BITS).all()


def test_bins_of_scores_tell_quantiles_apart() -> None:
    scores = np.linspace(0.5, 1, 4000, endpoint=False)
    assert len(np.unique(surveys.score_bins(scores))) == 4000
    assert (
        surveys.score_bins(np.array([0.0, -0.0])).tolist()[0]
        == surveys.score_bins(np.array([-0.0]))[0]
    )


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.integers(0, 9))))
def test_surveys_add_up_in_any_parts(rows: list[tuple[str, int, int]]) -> None:
    def table(part: list[tuple[str, int, int]]) -> object:
        columns = [np.array([r[k] for r in part], np.int64) for k in (1, 2)]
        bins, n = columns[0].astype(np.uint32), columns[1]
        return surveys.table_of(Measured([r[0] for r in part], bins, n, 2 * n))

    whole = table(rows)
    parts = surveys.merged([table(rows[::2]), table(rows[1::2])])  # type: ignore[list-item]
    assert whole.equals(parts)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "amount"),
    [(5, 5), ("50B", 50 * 10**9), ("1.5M", 1_500_000), ("2 k", 2000), ("3G", 3 * 10**9), ("7", 7)],
)
def test_amounts(value: int | str, amount: int) -> None:
    assert Budget(tokens=value).amount == amount


@pytest.mark.parametrize("value", ["", "B", "1e9", "-1", "1.5 MB", 0, -3, "0.1"])
def test_what_is_no_amount(value: int | str) -> None:
    with pytest.raises(ConfigError, match="budget: "):
        Budget(bytes=value).amount  # noqa: B018


def test_a_budget_has_one_unit() -> None:
    for budget in (Budget(), Budget(tokens=1, bytes=1)):
        with pytest.raises(ConfigError, match="give one of tokens, bytes and documents"):
            budget.unit  # noqa: B018
