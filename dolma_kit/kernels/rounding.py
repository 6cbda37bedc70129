"""Rounding to 5 decimals as Python does it, for whole arrays.

Dolma rounds every score with `round(x, 5)`, which rounds the exact binary value and is therefore
right near ties; `np.round(x, 5)` is `rint(x * 1e5) / 1e5`, and the product already has an error:
it makes 0.0 of 5e-06, where Python says 1e-05.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SCALE = 1e5
_TRUSTED = 2.0**31  # scaled values below this have an error below 2^-22 (half an ulp)
_NEAR_TIE = 2.0**-20


def round5(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`round(x, 5)` of each element, bit for bit, as a new array of the same shape (float64).

    The scaled value rounds to the right integer n unless it is within its own error of a tie; then
    n / 1e5 is the float nearest to the decimal, since both are exact and IEEE division rounds
    correctly. What is near a tie or large goes through Python's `round`. NaN, infinities and
    integers (a large float is one) are returned as they are.
    """
    rounded = np.array(values, dtype=np.float64)
    fractional = np.isfinite(rounded)
    fractional &= np.floor(rounded, out=np.zeros_like(rounded), where=fractional) != rounded
    # Copies of only what has a fraction: the scaled value of any other could overflow.
    exact = rounded[fractional]
    scaled = exact * _SCALE
    results = np.rint(scaled) / _SCALE
    doubtful = np.abs(scaled - np.floor(scaled) - 0.5) < _NEAR_TIE
    doubtful |= np.abs(scaled) >= _TRUSTED
    results[doubtful] = [round(x, 5) for x in exact[doubtful].tolist()]
    rounded[fractional] = results
    return rounded
