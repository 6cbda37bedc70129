"""How sure a share is."""

from __future__ import annotations

import math

Z = 1.959963984540054  # of 95 %


def wilson(n_found: int, n: int, z: float = Z) -> tuple[float, float]:
    """Wilson's score interval of a share, 95 % by default; (0, 1) of nothing.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference". Unlike the
    one by the normal distribution it is not empty where nothing, or all, was found.

    >>> [round(bound, 4) for bound in wilson(0, 100)], [round(bound, 4) for bound in wilson(8, 10)]
    ([0.0, 0.037], [0.4902, 0.9433])
    """
    if n == 0:
        return 0.0, 1.0
    share = n_found / n
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * spread) / (1 + z * z / n) for sign in (-1, 1))
    return (0.0 if n_found == 0 else low), (1.0 if n_found == n else high)
