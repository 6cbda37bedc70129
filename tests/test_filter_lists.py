"""Lists of filters: adblock-rust's answers for resources, and pages that are opened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dolma_kit import url_tagging
from dolma_kit.filter_lists import FilterList, Urls

from .taggers.test_taggers import batch_of

ANSWERS = json.loads((Path(__file__).parent / "golden" / "filter_answers.json").read_text())


def asked(urls: Sequence[tuple[str, str]]) -> Urls:
    """URLs with their hosts as the lists take them."""
    texts = [url.encode() for url, _ in urls]
    ends = np.cumsum([len(text) for text in texts])
    starts = ends - [len(text) for text in texts]
    hosts = starts + [url.index("//") + 2 for url, _ in urls]
    host_ends = hosts + [len(host) for _, host in urls]
    data = np.frombuffer(b"".join(texts), np.uint8)
    return Urls(data, data, np.stack([starts, hosts, host_ends, ends], axis=1))


def blocked(rules: list[str], urls: list[str], *, is_page: bool) -> list[bool]:
    batch = batch_of([""] * len(urls), [{"url": url} for url in urls])
    made = FilterList(rules, "document" if is_page else "resource")
    requests = (
        url_tagging.page_requests(batch, "url") if is_page else url_tagging.dolma_requests(batch)
    )
    found: list[bool] = url_tagging.blocked(made, requests, len(urls)).tolist()
    return found


def test_answers_are_those_of_adblock_rust() -> None:
    assert sum(answer is True for *_, answers in ANSWERS for answer in answers) > 300
    for rules, urls, answers in ANSWERS:
        assert blocked(rules, urls, is_page=False) == [answer is True for answer in answers], rules


@pytest.mark.parametrize(
    ("rules", "url", "expected"),
    [
        (["||ads.example^"], "https://x.ads.example/y?z", True),
        (["||ads.example^"], "https://ads.example.org/", False),
        (["||ads.example^"], "http://ads.example.x.ads.example/", True),
        (["||example.com/a"], "http://www.example.com/a/b", True),
        (["||ads.example^$script"], "http://ads.example/", False),
        (["||ads.example^$~script"], "http://ads.example/", True),
        (["||ads.example^$document"], "http://ads.example/", True),
        (["||ads.example^$~document"], "http://ads.example/", False),
        (["||ads.example^$all"], "http://ads.example/", True),
        (["||ads.example^$popup"], "http://ads.example/", False),
        (["||ads.example^$third-party"], "http://ads.example/", False),
        (["||ads.example^$first-party"], "http://ads.example/", True),
        (["/ads/$domain=a.example|b.example"], "http://x.b.example/ads/", True),
        (["/ads/$domain=a.example|b.example"], "http://c.example/ads/", False),
        (["/ads/$domain=~a.example"], "http://a.example/ads/", False),
        (["||ads.example^", "@@||ads.example/good"], "http://ads.example/good/x", False),
        (["||ads.example^$important", "@@||ads.example^"], "http://ads.example/", True),
        (["||ads.example^", "||ads.example^$badfilter"], "http://ads.example/", False),
        (["&query="], "http://a.example/?x=1&QUERY=2", True),
        (["|https://"], "https://a.example/", True),
        (["|https://"], "http://a.example/", False),
        (["/Ads[0-9]/$match-case"], "http://a.example/Ads1", True),
        (["/Ads[0-9]/$match-case"], "http://a.example/ads1", False),
        (["/ads[0-9]$/"], "http://a.example/ads1", True),
        (["/a(?!b)/", "/(/", "/ads/x/"], "http://a.example/ads/x/", True),
        (["||bücher.example^"], "http://Bücher.example/", True),
        (["ads^"], "http://a.example/ads", True),
        (["ads^"], "http://a.example/adsx", False),
        (["example.com##.ads", "! ads", "[Adblock Plus 2.0]"], "http://a.example/ads", False),
    ],
)
def test_pages(rules: list[str], url: str, expected: bool) -> None:
    assert blocked(rules, [url], is_page=True) == [expected]


def test_lines_that_are_no_rules_are_counted() -> None:
    lines = ["||a.com^", "a.com##.ads", "! x", "", "||b.com^$unknown", "/x/$~important"]
    made = FilterList(lines, "document")
    assert (made.n_rules, made.n_skipped) == (1, 2)
