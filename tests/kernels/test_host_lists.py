"""The reader of lists of hosts against its plain twin."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dolma_kit import kernels

from ..naive import urls as naive

PARTS = st.sampled_from(
    [
        "0.0.0.0",
        "127.0.0.1",
        "0.0.0.0 ",
        "127.0.0.1\t",
        " ",
        "a.b",
        "x",
        ".",
        "-_",
        "#",
        ";",
        "ü",
        "^",
    ]
)


@given(st.lists(st.lists(PARTS, max_size=5).map("".join), min_size=1, max_size=9))
@example(["0.0.0.0 0.0.0.0", "0.0.0.0", "0.0.0.0 ", "127.0.0.1 a.b.", "A.b", ""])
@settings(deadline=None, max_examples=200)
def test_read(lines: list[str]) -> None:
    reader = kernels.host_lists
    text = "\n".join(lines).encode()
    comments = np.frombuffer(b"#;!", np.uint8)
    data = np.frombuffer(text, np.uint8)
    kinds, starts, ends = reader.read(data, comments, reader.ZERO, reader.LOOPBACK)
    found = [text[a:b].decode() for a, b in zip(starts, ends, strict=True)]
    assert list(zip(kinds.tolist(), found, strict=True)) == [naive.host_line(x) for x in lines]
