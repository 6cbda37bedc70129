"""Filters by the kernel against the plain twin, rule by rule and some at once.

For `resource` requests, `tests/test_filter_lists.py` has the answers of adblock-rust.
"""

from __future__ import annotations

import random

import pytest

from dolma_kit import filter_rules
from dolma_kit.filter_lists import FilterList

from ..naive import urls as naive
from ..test_filter_lists import asked

HOSTS = ["a.com", "ads.a.com", "a.com.org", "xa.com", "www.js.img-img", "a.b.a", "img", "0.uk"]
PATHS = ["", "/ads", "/ads/x", "/a-ads.js", "/adsx", "/x/ads/", "//ads", "/x%20ads", "/a_ads.b"]
URLS = [(f"http://{host}{path}", host) for host in HOSTS for path in PATHS]
PATTERNS = ["ads", "/ads", "ads^", "^ads^", "*ads", "/*ads", "a*s", "^", "^^", "s|", ".js|",
            "/ads|", "^*^", "", "a", "/a^ads", "ads*^|", "x"]  # fmt: skip
STARTS = [
    "",
    "|",
    "||",
    "||a.com",
    "||ads.",
    "||com",
    "||.com",
    "||img",
    "||a",
    "|http://a",
    "||a*",
]


def rules() -> list[str]:
    return [start + pattern for start in STARTS for pattern in PATTERNS]


def twin(line: str, url: str, host: str) -> bool:
    rule = filter_rules.parse(line, "document")
    return rule is not None and naive.matches(rule, url, host)


@pytest.mark.parametrize("start", STARTS)
def test_each_rule(start: str) -> None:
    for pattern in PATTERNS:
        line = start + pattern
        found = FilterList([line], "document").blocks(asked(URLS)).tolist()
        assert found == [twin(line, *url) for url in URLS], line


def test_all_rules_at_once() -> None:
    draw = random.Random(3)
    for _ in range(30):
        lines = draw.sample(rules(), 4)
        found = FilterList(lines, "document").blocks(asked(URLS)).tolist()
        assert found == [any(twin(line, *url) for line in lines) for url in URLS]


def test_wildcards_take_no_square_of_time() -> None:
    url = "http://a.com/" + "ads" * 300_000
    made = FilterList(["ads*q*ads*r", "||a.com*q*r", "a*b*c*d*e*q"], "document")
    assert made.blocks(asked([(url, "a.com")])).tolist() == [False]
