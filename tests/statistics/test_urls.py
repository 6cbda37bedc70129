"""What is a URL, whose it is, and how unequally things are spread over hosts."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_kit.statistics.urls import (
    ADDRESS,
    MISSING,
    NOT_STRING,
    NOT_URL,
    QUANTILES,
    UNLISTED,
    URL,
    display,
    domain_of,
    parse,
    spread,
)

URLS: list[tuple[str, str, str]] = [
    ("http://example.com", "http", "example.com"),
    ("HTTPS://WWW.Example.COM/A?b#c", "https", "www.example.com"),
    ("  http://example.com/\n", "http", "example.com"),
    ("http://example.com:80/", "http", "example.com"),
    ("https://example.com:8443", "https", "example.com"),
    ("http://example.com:/", "http", "example.com"),
    ("http://user:pass@example.com/", "http", "example.com"),
    ("http://a@b@example.com/@c", "http", "example.com"),
    ("http://example.com./", "http", "example.com"),
    ("http://example.com.../", "http", "example.com"),
    ("http://example.com?x=http://other.org", "http", "example.com"),
    ("http://example.com#other.org", "http", "example.com"),
    ("http:\\\\example.com\\a", "http", "example.com"),
    ("ftp://ftp.example.com/f", "ftp", "ftp.example.com"),
    ("gopher+x://a.b/", "gopher+x", "a.b"),
    # IDN
    ("HTTP://Bücher.de:80/a", "http", "xn--bcher-kva.de"),
    ("http://xn--bcher-kva.de", "http", "xn--bcher-kva.de"),
    ("http://BU\u0308CHER.de", "http", "xn--bcher-kva.de"),
    ("http://b%C3%BCcher.de/", "http", "xn--bcher-kva.de"),
    ("http://日本語。jp/", "http", "xn--wgv71a119e.jp"),
    ("http://пример.рф", "http", "xn--e1afmkfd.xn--p1ai"),
    ("http://faß.de", "http", "xn--fa-hia.de"),
    ("http://ｅｘａｍｐｌｅ.com", "http", "example.com"),
    # addresses
    ("http://127.0.0.1:8080/x", "http", "127.0.0.1"),
    ("http://127.1/", "http", "127.0.0.1"),
    ("http://0x7f.1/", "http", "127.0.0.1"),
    ("http://2130706433/", "http", "127.0.0.1"),
    ("http://[::1]:80/", "http", "[::1]"),
    ("http://[2001:DB8:0:0::1]/", "http", "[2001:db8::1]"),
    # one label, as the scheme says that it is a host
    ("http://localhost:8000", "http", "localhost"),
    ("http://intranet/x", "http", "intranet"),
    # without a scheme
    ("example.com", "", "example.com"),
    ("example.com/path?q", "", "example.com"),
    ("example.com:8080/path", "", "example.com"),
    ("www.bbc.co.uk", "", "www.bbc.co.uk"),
    ("//cdn.example.org/x.js", "", "cdn.example.org"),
    ("bücher.de/x", "", "xn--bcher-kva.de"),
    ("192.168.0.1/admin", "", "192.168.0.1"),
]
NO_URLS = [
    "", " ", "man page", "word", "localhost", "http://", "https:///", "http:", "://example.com",
    "mailto:a@b.com", "data:text/plain,x.y", "javascript:alert(1.0)", "tel:+1.555", "urn:isbn:1.2",
    "http://exa mple.com/", "http://a<b.com", "http://[::1", "http://[1.2.3.4]/", "http://[::g]/",
    "http://256.1.1.1/", "http://1.2.3.4.5:x/", "http://999999999999/", "http://a%00b.com",
    "http://" + "a" * 300 + ".com", "http://example.com:8x/", "/a/b.html", "?q=a.b", "#a.b", ".",
    "...", "http://./", "\ud800", "http://\ud800.com", "//host/x",
    # numbers, of which a browser would make 0.0.48.57, 1.0.0.5, 0.0.0.127
    "12345", "1.5", "3.14", "0x7f", "1.2.3", "2130706433", "20230517",
]  # fmt: skip


@pytest.mark.parametrize(("value", "scheme", "host"), URLS)
def test_urls(value: str, scheme: str, host: str) -> None:
    assert parse(value) == (URL, scheme, host)


@pytest.mark.parametrize("value", NO_URLS, ids=ascii)
def test_no_urls(value: str) -> None:
    assert parse(value) == (NOT_URL, "", "")


@pytest.mark.parametrize("value", [None, 7, 1.5, True, [], ["http://a.com"], {"url": "a.com"}])
def test_what_is_no_string(value: Any) -> None:
    assert parse(value) == (NOT_STRING, "", "")


def test_what_is_not_there() -> None:
    assert parse(msgspec.UNSET) == (MISSING, "", "")


like_urls = st.text("htps:/.@[]%?#0123456789abcxn-é日😀。\\ \t\ud800", max_size=30)


@given(st.one_of(st.text(), like_urls, like_urls.map("http://{}".format)))
def test_any_text_is_a_url_or_none_and_its_host_has_a_domain(value: str) -> None:
    state, scheme, host = parse(value)
    assert (state == URL) == (host != "")
    if state == URL:
        assert scheme == scheme.lower()
        assert host.isascii()
        assert host == host.lower()
        domain, suffix = domain_of(host)
        assert host == domain or host.endswith(f".{domain}")
        assert suffix in (ADDRESS, UNLISTED) or domain == suffix or domain.endswith(f".{suffix}")
        assert display(host).startswith(host)
        # A host in normal form stays what it is.
        assert parse(f"http://{host}/") == (URL, "http", host)
    else:
        assert state == NOT_URL


@pytest.mark.parametrize(
    ("host", "domain", "suffix"),
    [
        ("example.com", "example.com", "com"), ("a.b.example.com", "example.com", "com"),
        ("www.bbc.co.uk", "bbc.co.uk", "co.uk"), ("bbc.co.uk", "bbc.co.uk", "co.uk"),
        ("co.uk", "co.uk", "co.uk"), ("uk", "uk", "uk"), ("com", "com", "com"),
        # The list's private section is left out.
        ("someone.github.io", "github.io", "io"), ("github.io", "github.io", "io"),
        ("x.blogspot.com", "blogspot.com", "com"), ("x.s3.amazonaws.com", "amazonaws.com", "com"),
        # wildcards and exceptions of the list
        ("a.b.c.ck", "b.c.ck", "c.ck"), ("c.ck", "c.ck", "c.ck"), ("x.www.ck", "www.ck", "ck"),
        ("a.city.kawasaki.jp", "city.kawasaki.jp", "kawasaki.jp"),
        # IDN
        ("www.xn--bcher-kva.de", "xn--bcher-kva.de", "de"),
        ("www.xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai", "xn--p1ai"),
        ("a.xn--55qx5d.cn", "a.xn--55qx5d.cn", "xn--55qx5d.cn"),
        # addresses are their own domain, and what has no listed suffix
        ("127.0.0.1", "127.0.0.1", ADDRESS), ("[::1]", "[::1]", ADDRESS),
        ("localhost", "localhost", UNLISTED), ("a.b.notatld", "a.b.notatld", UNLISTED),
        ("a.internal", "a.internal", UNLISTED), ("1.2.3.4.5", "1.2.3.4.5", UNLISTED),
        ("a..com", "a..com", UNLISTED), (".com", ".com", UNLISTED), ("a_b.com", "a_b.com", "com"),
    ],
)  # fmt: skip
def test_domains(host: str, domain: str, suffix: str) -> None:
    assert domain_of(host) == (domain, suffix)


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("example.com", "example.com"),
        ("xn--bcher-kva.de", "xn--bcher-kva.de (bücher.de)"),
        ("www.xn--e1afmkfd.xn--p1ai", "www.xn--e1afmkfd.xn--p1ai (www.пример.рф)"),
        ("xn--a", "xn--a"),  # stands for nothing
        ("xn--.com", "xn--.com"),
    ],
)
def test_hosts_are_shown_with_what_they_stand_for(host: str, text: str) -> None:
    assert display(host) == text


def gini(amounts: list[int]) -> float:
    """Half of the mean difference of all pairs, by the mean."""
    n = len(amounts)
    differences = sum(abs(a - b) for a in amounts for b in amounts)
    return float(Fraction(differences, 2 * n * sum(amounts)))


def quantile(amounts: list[int], q: float) -> int:
    """The least amount that as large a share of all does not exceed."""
    need = Fraction(str(q)) * len(amounts)
    return min(a for a in amounts if sum(b <= a for b in amounts) >= need)


amounts_of = st.lists(
    st.one_of(st.integers(0, 5), st.integers(0, 10**9), st.just(2**40)), max_size=60
)


@given(amounts_of)
def test_spreads_are_those_of_double_sums(amounts: list[int]) -> None:
    found = spread(amounts)
    if not sum(amounts):
        assert (found.quantiles, found.top, found.gini) == ({}, {}, 0.0)
        return
    assert found.gini == pytest.approx(gini(amounts), abs=1e-12)
    assert 0 <= found.gini < 1
    assert found.quantiles == {str(q): quantile(amounts, q) for q in QUANTILES}
    ordered = sorted(amounts, reverse=True)
    for k in (1, 10, 100, 1000):
        assert found.top[str(k)] == pytest.approx(sum(ordered[:k]) / sum(ordered))


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ([], 0), ([0, 0], 0), ([7], 0), ([5, 5, 5], 0), ([0, 1], 1 / 2), ([0, 0, 0, 1], 3 / 4),
        ([1, 3], 1 / 4), ([1, 2, 3, 4], 1 / 4), ([0] * 999 + [1], 0.999),
        ([2**50] * 3 + [0], 1 / 4), (list(range(1, 100_001)), (100_000 - 1) / (3 * 100_000)),
    ],
)  # fmt: skip
def test_gini(amounts: list[int], expected: float) -> None:
    assert math.isclose(spread(amounts).gini, expected, abs_tol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 99, 100, 101, 1000, 1001])
def test_quantiles_of_1_to_n(n: int) -> None:
    amounts = list(range(1, n + 1))
    expected = {str(q): math.ceil(Fraction(str(q)) * n) for q in QUANTILES}
    assert spread(amounts).quantiles == expected
