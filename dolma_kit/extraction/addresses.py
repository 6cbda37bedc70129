"""URLs of pages, as Dolma writes them, and their registered domains."""

from __future__ import annotations

import functools
import re
from typing import Any

from dolma_kit import urls

_QUOTES = re.compile(r"(^['\"<]+)|([/'\">]+$)")
_WWW_AND_SLASHES = re.compile(r"(^(www\d*\.))|(/+$)", re.IGNORECASE)


def bare(url: str) -> str:
    """Without the brackets or quotes that some writers put around it.

    >>> bare("<https://example.org/a>")
    'https://example.org/a'
    """
    return url.strip().strip("<>\"'")


def normalized(url: str) -> str | None:
    """As `dolma warc` has it: canonical, without scheme, www and slashes at the end; None for what
    is no URL.

    >>> normalized("<https://www.Example.org/b/?z=1&a=%7E#part>")
    'example.org/b/?a=~&z=1'
    """
    canonicalize, normalize = _libraries()
    try:
        made = str(normalize(canonicalize(_QUOTES.sub("", url))))
    except (ValueError, UnicodeError):
        return None
    if "://" not in made:
        return None
    return _WWW_AND_SLASHES.sub("", made.split("://", 1)[1])


@functools.cache
def _libraries() -> tuple[Any, Any]:
    from url_normalize import url_normalize
    from w3lib.url import canonicalize_url

    return canonicalize_url, url_normalize


def domain_of(url: str) -> str | None:
    """The registered domain, by the Public Suffix List: what somebody has registered below a public
    suffix. None for an address by number, a suffix alone, and what is no URL.

    >>> domain_of("https://news.bbc.co.uk/a"), domain_of("http://127.0.0.1/")
    ('bbc.co.uk', None)
    """
    host = urls.host_of(url)
    return None if host is None else _registered(host)


@functools.lru_cache(maxsize=1 << 16)
def _registered(host: str) -> str | None:
    if urls.is_address(host):
        return None
    found = _suffixes().privatesuffix(host)
    return None if found is None else str(found)


@functools.cache
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(only_icann=True, accept_unknown=False)  # as `stats urls` has it
