"""Kernels of URLs against their plain twins."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit import kernels, urls

from ..naive import as_arrays
from ..naive import urls as naive

PARTS = st.sampled_from(
    ["http://", "HTTPS://", "ftp://", "//", "/", "www.", "w", "a.b", "Example.COM", "localhost",
     ".", ":", ":80", ":080", ":0", ":65536", "/A/b", "/./", "?q=ü", "#f", "@", "%41", "ü", " ",
     "[::1]", "1.2.3.4", "0x7f", "_", "~", "\\", "\n", "mailto:"]
)  # fmt: skip


def taken_apart(texts: list[str]) -> list[tuple[str | None, str | None, str | None]]:
    kinds, text, places = kernels.urls.take_apart(*as_arrays(texts), kernels.urls.CLASSES)
    data = text.tobytes().decode("latin-1")
    found = []
    for kind, (start, host_end, end, name) in zip(kinds.tolist(), places.tolist(), strict=True):
        is_address, is_host = kind & kernels.urls.ADDRESS, kind & kernels.urls.HOST
        address = (data[start:end], data[name:host_end]) if is_address else (None, None)
        found.append((*address, data[start:host_end] if is_host else None))
    return found


@given(st.lists(st.lists(PARTS, max_size=6).map("".join), max_size=8))
@settings(deadline=None, max_examples=150)
def test_take_apart(texts: list[str]) -> None:
    assert taken_apart(texts) == [naive.take_apart(text) for text in texts]


@given(st.lists(PARTS, max_size=6).map("".join))
@settings(deadline=None, max_examples=150)
def test_the_plain_code_says_the_same_of_usual_urls(url: str) -> None:
    ((address, name, host),) = taken_apart([url])
    assert address in (None, urls.cleaned(url))
    assert name in (None, urls.cleaned_host(url))
    assert host in (None, urls.host_of(url))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://www.A.com:8080/A/?b", ("www.a.com:8080/a", "a.com", "www.a.com")),
        ("wwf.org//", ("wwf.org", "f.org", "wwf.org")),
        ("https://a.com/%41", (None, None, "a.com")),
        ("http://10.0.0.1/", ("10.0.0.1", "10.0.0.1", None)),
        ("http://user@a.com/", (None, None, None)),
        ("localhost:80/x", (None, None, None)),
        ("", (None, None, None)),
    ],
)  # fmt: skip
def test_examples(url: str, expected: tuple[str | None, ...]) -> None:
    assert taken_apart([url]) == [expected]
