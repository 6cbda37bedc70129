"""URLs: what Dolma looks up, and the hosts that a browser would ask."""

from __future__ import annotations

import time

import pytest

from dolma_kit import dolma_url_lists, urls


@pytest.mark.parametrize(
    ("url", "address", "host"),
    [
        ("http://Example.com/A/../b//?q#f", "example.com/b", "example.com"),
        ("example.com:80", "example.com:80", "example.com"),
        ("http://example.com:00080/", "example.com:80", "example.com"),
        ("http://example.com:0/", "example.com", "example.com"),
        ("http://u:p@www.wwf.org", "www.wwf.org", "f.org"),
        ("http://bücher.example/ü", "xn--bcher-kva.example/%c3%bc", "xn--bcher-kva.example"),
        ("ftp://BÜCHER.example/ü", "bücher.example/ü", "xn--bcher-kva.example"),
        ("http://[FE80::1%25eth0]/", "[fe80::1%eth0]", "[fe80::1%eth0]"),
        ("http://a.com/%7e%zz", "a.com/%257e%25zz", "a.com"),
        ("http://a.com/%7E%C3", "a.com/%7e%c3", "a.com"),
        ("http:a.com", "none/a.com", "none"),
        ("/x", "none/x", "none"),
        ("http://u@//a.com/x", "//a.com/x", "a.com"),
        ("localhost:80/x", "none/80/x", "none"),
        ("http://localhost:80/x", "localhost:80/x", None),
        ("http://a.com:99999/", None, None),
        ("http://[bad", None, None),
        (" \t", None, None),
    ],
)
def test_what_dolma_looks_up(url: str, address: str | None, host: str | None) -> None:
    assert (urls.cleaned(url), urls.cleaned_host(url)) == (address, host)


def test_what_dolma_looks_up_in_the_lists_of_wikidata() -> None:
    names = dolma_url_lists.wikidata_names("http://www.a.b.co.uk/x")
    assert names == ["a.b.co.uk", "co.uk", "www.a.b.co.uk", "co.uk"]
    assert dolma_url_lists.wikidata_names("http://[bad") is None
    assert set(dolma_url_lists.looked_up("http://a.com")) == {"a.com", "www.a.com"}


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Example.COM.:8080/x", "example.com"),
        ("example.com/x", "example.com"),
        ("//example.com", "example.com"),
        ("http:\\\\example.com\\x", "example.com"),
        (" http://example.com\n", "example.com"),
        ("http://exa\nmple.com", "example.com"),
        ("http://user@evil.com@example.com/@x", "example.com"),
        ("http://Bücher.example", "xn--bcher-kva.example"),
        ("http://faß.example", "xn--fa-hia.example"),
        ("http://example。com", "example.com"),
        ("http://ex%61mple.com", "example.com"),
        ("http://127.1/", "127.0.0.1"),
        ("http://0x7f000001/", "127.0.0.1"),
        ("http://256.1.1.1/", None),
        ("http://[FE80::0001]:80/", "[fe80::1]"),
        ("http://[bad]/", None),
        ("example.com:8080/x", "example.com"),
        ("mailto:jane@example.com", None),
        ("data:text/plain,x", None),
        ("javascript:alert(1)", None),
        ("/path", None),
        ("http://", None),
        ("http://a b.com/", None),
        ("http://" + "a." * 200 + "com", None),
        ("", None),
    ],
)
def test_host_of(url: str, host: str | None) -> None:
    assert urls.host_of(url) == host


@pytest.mark.parametrize(
    ("url", "rest"),
    [
        ("http://a.com:80/x/?q=A#f", "/x?q=A"),
        ("https://a.com:80/X/", ":80/X"),
        ("a.com:443", ""),
        ("http://a.com/ü ?ü", "/%C3%BC ?%C3%BC"),
        ("http://a.com\\b\\", "/b"),
    ],
)
def test_address_of(url: str, rest: str) -> None:
    found = urls.address_of(url)
    assert found is not None
    assert (found.host, found.rest) == ("a.com", rest)


@pytest.mark.parametrize(
    "piece", ["a.", "@", "[", ":", "/", "../", "%41", "%", "ü", "ü.", "1:", " "]
)
def test_a_long_url_takes_no_square_of_time(piece: str) -> None:
    started = time.perf_counter()
    for start in ("http://", "http://a.com/", "", "http://["):
        url = start + piece * 50_000
        for ask in (urls.cleaned, urls.cleaned_host, urls.host_of, urls.requested):
            ask(url)
    assert time.perf_counter() - started < 30
