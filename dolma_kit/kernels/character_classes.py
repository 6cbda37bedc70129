"""Classes of code points that libraries of Dolma's taggers know, frozen in `data/*.txt`.

A file has a line for each run of code points of the same classes, `first..last NAME...`, in hex and
in order; code points without a class are in none, a line that begins with `#` is a comment. So
counts do not change with a library's version or the Unicode tables of the running Python. The
files are made by `tests/golden/make_character_classes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dolma_kit.kernels.unicode import N_CODE_POINTS

FOLDER = Path(__file__).parent / "data"


def table(name: str, codes: Mapping[str, int]) -> npt.NDArray[np.uint8]:
    """The sum of the codes of each code point's classes, (0x110000,) uint8, read-only.

    `codes` has every class of the file `data/<name>.txt`.
    """
    made = np.zeros(N_CODE_POINTS, np.uint8)
    for line in (FOLDER / f"{name}.txt").read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            run, *classes = line.split()
            first, last = run.split("..")
            made[int(first, 16) : int(last, 16) + 1] = sum(codes[c] for c in classes)
    made.flags.writeable = False
    return made
