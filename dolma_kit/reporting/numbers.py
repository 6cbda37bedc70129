"""Figures as people read them: thousands apart, bytes in powers of 1,000, how sure they are."""

from __future__ import annotations

import math

from dolma_kit.statistics.key_counts import Estimate

NONE = "–"
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_SHORT = ("", "K", "M", "B", "T")


def count(n: float | None) -> str:
    """
    >>> count(1234567), count(None)
    ('1,234,567', '–')
    """
    return NONE if n is None else f"{round(n):,}"


def integer(value: object) -> int | None:
    """A number of a file that others may have written; None for what is none.

    >>> integer(3), integer("3"), integer(True), integer(10**400)
    (3, None, None, None)
    """
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if abs(value) < 1 << 63 else None


def size(n_bytes: float | None) -> str:
    """
    >>> size(999), size(217_211_658), size(1e9)
    ('999 bytes', '217.2 MB', '1.0 GB')
    """
    if n_bytes is None:
        return NONE
    level = 0
    while n_bytes >= 999.95 and level < len(_UNITS) - 1:
        n_bytes /= 1000
        level += 1
    return f"{n_bytes:,.0f} bytes" if level == 0 else f"{n_bytes:,.1f} {_UNITS[level]}"


def short(n: float | None) -> str:
    """Three digits, for labels.

    >>> short(950), short(12_345), short(2_279_769), short(0.25)
    ('950', '12.3K', '2.28M', '0.25')
    """
    if n is None:
        return NONE
    level = 0
    while abs(n) >= 999.5 and level < len(_SHORT) - 1:
        n /= 1000
        level += 1
    return f"{n:.3g}{_SHORT[level]}"


def percent(share: float | None, digits: int = 3) -> str:
    """With some digits that count; what is not all is not 100 %.

    >>> percent(0.5), percent(0.05734), percent(0.00042), percent(1e-7), percent(0.99996)
    ('50 %', '5.73 %', '0.042 %', '< 0.001 %', '> 99.9 %')
    >>> percent(0.34567, 2), percent(1.034, 2)
    ('35 %', '103 %')
    """
    if share is None:
        return NONE
    value = 100 * share
    if 0 < value < 0.001:
        return "< 0.001 %"
    if 99.9 < value < 100:
        return "> 99.9 %"
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f} %"
    return f"{value:.{digits if value >= 0.1 else 2}g} %"


def part(n: float | None, of: float | None) -> str:
    """The share of a whole; none of nothing."""
    return NONE if n is None or not of else percent(n / of)


def interval(low: float, high: float) -> str:
    """A share's bounds, as many digits each.

    >>> interval(0.0, 0.0198), interval(0.85, 0.959)
    ('0.0 to 2.0 %', '85.0 to 95.9 %')
    """
    digits = 1 if 100 * high >= 1 else 2 if 100 * high >= 0.1 else 3
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f} %"


def number(value: float | None, digits: int = 4) -> str:
    """Any number, with some digits that count.

    >>> number(0.123456), number(1234567.0), number(3.0), number(1e-9)
    ('0.1235', '1,234,567', '3', '1e-09')
    """
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == round(value) and abs(value) < 1e15:
        return f"{round(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.{digits}g}"
    return f"{value:.{digits}g}"


def estimate(one: Estimate) -> str:
    """A figure; of an estimate, with half the width of its interval.

    >>> estimate(Estimate(29.0, 29.0, 29.0, True)), estimate(Estimate(1e4, 9500.0, 1.05e4, False))
    ('29', '≈ 10,000 ± 500')
    """
    if one.exact:
        return count(one.value)
    return f"≈ {count(one.value)} ± {count((one.high - one.low) / 2)}"


def duration(seconds: float | None) -> str:
    """
    >>> duration(0.034), duration(75), duration(7325), duration(200_000)
    ('0.034 s', '1 min 15 s', '2 h 2 min', '2 d 7 h')
    """
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds else "0 s"
    whole = round(seconds)
    for unit, name, smaller, its_name in (
        (86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"),
    ):  # fmt: skip
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // smaller} {its_name}"
    return f"{whole} s"


def probability(p: float) -> str:
    """A p-value; those below what a float holds come as 0.

    >>> probability(0.0), probability(2.3e-45)
    ('< 1e-300', '2e-45')
    """
    return "< 1e-300" if p < 1e-300 else f"{p:.0e}" if p < 0.001 else f"{p:.2g}"
