"""What pages say about themselves."""

from __future__ import annotations

import json

import pytest

from dolma_kit.extraction.licences import licence_name
from dolma_kit.extraction.page_facts import Licence, PageFacts, facts_of

NOTHING = PageFacts(None, None, None, (), (), None, None, None, None)
CC = "https://creativecommons.org/licenses"


def test_a_page_that_says_nothing() -> None:
    assert facts_of("<p>a") == facts_of("") == NOTHING
    said = "<!-- <html lang=de><title>a</title><meta name=robots content=noai> -->"
    assert facts_of(f"{said}<script>'<meta name=robots content=noai>'</script>") == NOTHING


@pytest.mark.parametrize(
    ("html", "fact"),
    [
        ("<title>\n a &amp;\n b</title><title>c</title>", {"title": "a & b"}),
        ("<title> </title>", {"title": None}),
        ("<html lang=de-AT><meta http-equiv=content-language content=en>", {"language": "de-AT"}),
        ("<html xml:lang=fr>", {"language": "fr"}),
        ("<meta http-equiv=Content-Language content=en>", {"language": "en"}),
        ("<link rel='x Canonical' href=' /a?b&amp;c '>", {"canonical": "/a?b&c"}),
        ("<META NAME=Robots CONTENT='NoIndex , noai;nosnippet'>",
         {"robots": ("noai", "noindex", "nosnippet")}),
        ("<meta name=googlebot content=none>", {"robots": ("nofollow", "noindex")}),
        ("<meta name=CCBot content=noimageai><meta name=robots content='max-snippet: 0, all'>",
         {"robots": ("noimageai", "nosnippet")}),
        ("<meta name=robots content='index, max-snippet:20'>", {"robots": ()}),
        ("<meta name=tdm-reservation content=1><meta name=tdm-policy content=/p.json>",
         {"tdm_reservation": True, "tdm_policy": "/p.json"}),
        ("<meta name=tdm-reservation content=0>", {"tdm_reservation": False}),
        ("<meta property=article:published_time content=2021-11-07T08:30:00+01:00>",
         {"published": "2021-11-07T07:30:00Z"}),
        ("<meta name=date content=2020-01-01>"
         "<meta property=article:published_time content=2021-11-07>",
         {"published": "2021-11-07"}),
        ("<meta name=citation_publication_date content=2021/1/11>", {"published": "2021-01-11"}),
        ("<article><time class='entry-date published' datetime=2019-06-23>x</time>",
         {"published": "2019-06-23"}),
        ("<time itemprop=dateModified datetime=2019-06-24>x</time><time datetime=1999-01-01>",
         {"published": None, "modified": "2019-06-24"}),
        ("<meta name=date content=soon>", {"published": None}),
    ],
)  # fmt: skip
def test_facts(html: str, fact: dict[str, object]) -> None:
    assert facts_of(html) == NOTHING._replace(**fact)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "fact"),
    [
        ({"X-Robots-Tag": "noindex, noai"}, {"robots": ("noai", "noindex")}),
        ({"x-robots-tag": "otherbot: noindex, nofollow"}, {"robots": ()}),
        ({"x-robots-tag": "otherbot: noindex, googlebot: noarchive, noai"},
         {"robots": ("noai", "noarchive")}),
        ({"x-robots-tag": "unavailable_after: 25 Jun 2010 15:00:00 PST, noindex"},
         {"robots": ("noindex",)}),
        ({"TDM-Reservation": "1", "TDM-Policy": "https://a.example/p"},
         {"tdm_reservation": True, "tdm_policy": "https://a.example/p"}),
        ({"Content-Language": "de"}, {"language": "de"}),
    ],
)  # fmt: skip
def test_headers(headers: dict[str, str], fact: dict[str, object]) -> None:
    assert facts_of("<p>a", headers.items()) == NOTHING._replace(**fact)  # type: ignore[arg-type]


def test_licences_are_told_once_by_their_clearest_place() -> None:
    data = json.dumps({"@type": "Article", "license": [f"{CC}/by/4.0/", {"@id": "/terms"}],
                       "comment": {"license": f"{CC}/by-nc/2.0/"}})  # fmt: skip
    html = (
        f"<a href={CC}/by/4.0/deed.de>a</a><a href=/licenses>b</a><a href='{CC}/by-sa/3.0/'>c</a>"
        f"<a rel=license href=//creativecommons.org/publicdomain/zero/1.0/>d</a>"
        f"<meta name=dc.rights content='see {CC}/by-nd/2.5/'>"
        f"<script type=application/ld+json>{data}</script>"
    )
    assert facts_of(html).licences == (
        Licence("cc0-1.0", "//creativecommons.org/publicdomain/zero/1.0/", "rel"),
        Licence("cc-by-4.0", f"{CC}/by/4.0/", "json-ld"),
        Licence(None, "/terms", "json-ld"),
        Licence("cc-by-nd-2.5", f"see {CC}/by-nd/2.5/", "meta"),
        Licence("cc-by-sa-3.0", f"{CC}/by-sa/3.0/", "link"),
    )


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (f"{CC}/by/4.0/", "cc-by-4.0"),
        ("HTTP://www.CreativeCommons.org/licenses/BY-NC-ND/2.5/it/", "cc-by-nc-nd-2.5-it"),
        (f"{CC}/by-sa/3.0/igo/legalcode", "cc-by-sa-3.0-igo"),
        (f"{CC}/by-sa/4.0/legalcode.de", "cc-by-sa-4.0"),
        (f"{CC}/by-sa/3.0/deed.en", "cc-by-sa-3.0"),
        (f"{CC}/by-nd-nc/1.0", "cc-by-nc-nd-1.0"),
        (f"{CC}/by", "cc-by"),
        (f"{CC}/", None),
        (f"{CC}/nonsense/1.0", None),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "cc-pdm-1.0"),
        ("https://www.gnu.org/licenses/fdl-1.3.html", "gfdl-1.3"),
        ("https://www.gnu.org/licenses/old-licenses/gpl-2.0.txt", "gpl-2.0"),
        ("https://www.gnu.org/licenses/agpl", "agpl"),
        ("http://www.apache.org/licenses/LICENSE-2.0.txt", "apache-2.0"),
        ("https://opensource.org/licenses/MIT", "mit"),
        ("https://opensource.org/license/bsd-3-clause/", "bsd-3-clause"),
        ("https://spdx.org/licenses/MPL-2.0.html", "mpl-2.0"),
        (
            "https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/",
            "ogl-uk-3.0",
        ),
        ("https://opendatacommons.org/licenses/odbl/1-0/", "odbl-1.0"),
        ("http://rightsstatements.org/vocab/InC/1.0/", "rightsstatements-inc-1.0"),
        ("https://a.example/license", None),
    ],
)
def test_names_of_licences(address: str, name: str | None) -> None:
    assert licence_name(address) == name


@pytest.mark.parametrize(
    ("data", "published"),
    [
        ('{"datePublished": "2020-01-19"}', "2020-01-19"),
        ('{"@graph": [{"@type": "WebSite"}, {"datePublished": "2020-01-19T10:00:00Z"}]}',
         "2020-01-19T10:00:00Z"),
        ('{"comment": [{"datePublished": "2020-01-19"}]}', None),
        ('{"datePublished": 5}', None),
        ('{"datePublished": "2020-01-19"', None),
        ('{"text": "a\nb", "datePublished": "2020-01-19"}', "2020-01-19"),
        ("[" * 100_000, None),
        ('[{"a":' * 50_000, None),
    ],
    ids=range(8),
)  # fmt: skip
def test_json_ld(data: str, published: str | None) -> None:
    html = f"<script async type='application/ld+json'>{data}</script>"
    assert facts_of(html).published == published
