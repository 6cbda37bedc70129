"""The text of pages: what is kept of them and how it is set, and what no page can do to us."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from resiliparse.extract.html2text import extract_plain_text

from dolma_kit.errors import ConfigError
from dolma_kit.extraction import pages
from dolma_kit.extraction.limits import MAX_ATTRIBUTES, MAX_DEPTH, PageError
from tests.extraction.overlap import SETS, Example, examples, f1

PROSE = "<p>The water leaves the way a guest does, with one long look around the room.</p>"
OTHERS: tuple[pages.Extractor, ...] = ("trafilatura", "dolma")
LEAST_MEAN = {"pages": 0.99, "held_out": 0.97}


@pytest.mark.parametrize("folder", SETS)
def test_more_of_the_content_than_others_find(folder: str) -> None:
    pages_ = examples(folder)
    ours = [f1(pages.extract_text(page.html), page.text) for page in pages_]
    assert statistics.mean(ours) >= LEAST_MEAN[folder]
    assert min(ours) >= 0.85
    for other in OTHERS:
        theirs = [f1(pages.extract_text(page.html, other), page.text) for page in pages_]
        assert statistics.mean(theirs) < statistics.mean(ours) - 0.1


@pytest.mark.parametrize("page", examples("pages"), ids=lambda page: page.name)
def test_dolma_is_what_dolma_calls(page: Example) -> None:
    """warc/linearizers.py of Dolma 1.2.1, after warc/processor.py has stripped the page."""
    expected = extract_plain_text(
        page.html.strip(), preserve_formatting=True, main_content=True, list_bullets=True,
        alt_texts=False, links=False, form_fields=False, noscript=False, comments=True,
        skip_elements=None,
    )  # fmt: skip
    assert pages.extract_text(f"\n{page.html} ", "dolma") == expected


def test_deterministic() -> None:
    found = [pages.extract_text(page.html) for page in examples("pages")]
    assert [pages.extract_text(page.html) for page in examples("pages")] == found


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>A</h1><p>b\n  c<br>d</p><p>e</p>", "A\n\nb c\nd\n\ne"),
        ("a <b>b</b><i>c</i><span>d</span><sup>2</sup>", "a bcd2"),
        ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>e", "- a\n- b\n  - c\n- d\n\ne"),
        ("<ol start=3><li>a<li>b<ol><li>c</ol></ol>", "3. a\n4. b\n   1. c"),
        ("<ul><li><p>a</p><p>b</p></ul>", "- a\n  b"),
        ("<ul class='comment-list'><li>a<li>b</ul>", "a\nb"),
        ("<table><caption>T<tr><th>a<th>b<tr><td>1<td>2\n 3</table>", "T\na | b\n1 | 2 3"),
        ("<table><tr><td><h2>a</h2><p>b<td>c</table>", "a\n\nb\n\nc"),
        ("<table><tr><td>a<td><table><tr><td>b<td>c</table></table>", "a\n\nb | c"),
        ("<dl><dt>a<dd>b<dt>c<dd>d</dl>", "a\nb\nc\nd"),
        ("<p>x<pre>\n\n  if a:\n\tb  \n\nc\n</pre>y", "x\n\n  if a:\n\tb\n\nc\n\ny"),
        ("<pre><code><div>a = 1</div><div>b</div></code></pre>", "a = 1\nb"),
        ("<xmp><b>a</b> &amp;\n b</xmp>", "<b>a</b> &amp;\n b"),
        ("<blockquote><p>a</p></blockquote><p>He said <q>b</q>.", "a\n\nHe said “b”."),
        ("<details><summary>Why?</summary><p>So.</p></details>", "Why?\n\nSo."),
        ("<figure><img alt=x><figcaption>a</figcaption></figure>", "a"),
        ("<p>1&nbsp;&lt;&nbsp;2 &amp;amp; &eacute;&#x1F600;&#xD800;", "1 < 2 &amp; é😀\ufffd"),
        ("<p>a\x00b\u200b\u00ad\ufeff\x07c\ud800", "abc\ufffd"),
        ("<p>a<script>b</script><style>c</style><template>d</template><noscript>e</noscript>", "a"),
        ("<p hidden>a</p><p style='DISPLAY : none'>b</p><p aria-hidden=true>c</p><p>d", "d"),
        ("<p>a<svg><title>b</title><text>c</text></svg><iframe>d</iframe><object>e</object>", "a"),
        ("<p>a<select><option>b</select><textarea>c</textarea><button>d</button>", "a"),
        ("<p><a>One</a><a>Two</a> <a>Three</a></p>", "One Two Three"),
        ("<h2>a<a href=#a>¶</a></h2><p>b", "a\n\nb"),
        ("<frameset><frame src=a></frameset>", ""),
        ("", ""),
        ("just text", "just text"),
    ],
)  # fmt: skip
def test_setting(html: str, text: str) -> None:
    assert pages.extract_text(html) == text


@pytest.mark.parametrize(
    ("html", "tex"),
    [
        ("<math><mi>x</mi><annotation encoding='application/x-tex'>x_1&lt;2</annotation></math>",
         "x_1<2"),
        ("<span style='display:none' class='mwe-math-mathml-a11y'><math alttext='{\\displaystyle "
         "E=mc^2}'><mi>E</mi></math></span>", "E=mc^2"),
        ("<script type='math/tex'>a<b</script>", "a<b"),
    ],
)  # fmt: skip
def test_formulas_are_tex(html: str, tex: str) -> None:
    assert pages.extract_text(f"<p>As {html} says") == f"As ${tex}$ says"


@pytest.mark.parametrize(
    "boilerplate",
    [
        "<nav><a href=/>Home</a> and more</nav>",
        "<div role=navigation>Here and there</div>",
        "<div class='SiteFooter'>Of us</div>",
        "<div id=cookie-banner>We value your privacy. Do you?</div>",
        "<ul class=breadcrumbs><li><a href=/>Home</a><li>Here</ul>",
        "<div class=x><h3>More</h3><ul><li><a href=1>Bread</a><li><a href=2>Tea</a></ul></div>",
        "<div class=x><a href=/a>About</a> <a href=/b>Imprint</a> © 2024 X</div>",
        "<p><a href=/>Back to index</a></p>",
        "<div class='share-buttons'>Share: <a href=#>Here</a></div>",
        "<div aria-modal=true>Subscribe now, it is free.</div>",
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_without(boilerplate: str, *, first: bool) -> None:
    article = f"<div><h1>Ebb</h1>{PROSE * 5}</div>"
    found = pages.extract_text(boilerplate + article if first else article + boilerplate)
    assert found == pages.extract_text(article)


def test_names_take_nothing_away_that_is_most_of_a_page() -> None:
    for name in ("sidebar", "menu", "footer", "modal"):
        assert pages.extract_text(f"<div class={name}>{PROSE * 3}</div>").count("guest") == 3
    assert "guest" in pages.extract_text(f"<body class='has-sidebar menu-open'>{PROSE}</body>")


def test_all_of_a_page_that_has_only_links() -> None:
    links = "".join(f"<li><a href={i}>Lake number {i}</a></li>" for i in range(9))
    assert pages.extract_text(f"<h1>Lakes</h1><ul>{links}</ul>").count("Lake number") == 9
    assert pages.extract_text(f"<div class=toc><ul>{links}</ul></div>").count("Lake number") == 9


def test_a_title_outside_of_the_content_is_kept() -> None:
    header = "<div class=header><h1>On water</h1><a href=/>Home</a></div>"
    html = f"<title>On water - a blog</title>{header}<main>{PROSE}</main>"
    assert pages.extract_text(html).startswith("On water\n\nThe water")
    assert "Home" not in pages.extract_text(html)


def test_without_trafilatura(monkeypatch: pytest.MonkeyPatch) -> None:
    pages._trafilatura.cache_clear()
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(ConfigError, match=r"pip install 'dolma-kit\[trafilatura\]'"):
        pages.extract_text("<p>a", "trafilatura")


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("<div>" * 100_000, "nested too deep"),
        ("<DIV>" * (MAX_DEPTH + 1) + "x", "nested too deep"),
        ("<table><tr><td>" * 100_000, "nested too deep"),
        ("<template>" * 100_000, "too many templates"),
        ("<template><!--</template>-->" * 100_000, "too many templates"),
        ("<p " + " ".join(f"a{i}=1" for i in range(100_000)) + ">x", "too many attributes"),
        ("<p " + " ".join(f"a{i}='>'" for i in range(100_000)) + ">x", "too many attributes"),
        ("<p>" + "".join(f"<font a={i}>" for i in range(1000)) + "</p>" + "<p>x" * 100_000,
         "formatting that is never closed"),
        ("<p>" + "some words " * 10 + "<p>" * 600_000, "too many tags"),
        ("x" * (1 << 26) + "x", "too long"),
    ],
    ids=range(10),
)  # fmt: skip
@pytest.mark.parametrize("extractor", ["resiliparse", "dolma"])
def test_refused(html: str, reason: str, extractor: pages.Extractor) -> None:
    """Before the parser gets them: some of these would end the process."""
    with pytest.raises(PageError, match=reason) as raised:
        pages.extract_text(html, extractor)
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    "html",
    [
        "<p><o:p/></p>" * 3_000 + PROSE,  # Word's, which nothing closes
        "<ul>" + "<li>a" * 30_000 + "</ul>" + PROSE,
        "<p><b>a<p>" * 3_000 + PROSE,  # reopened at most three times
        f"<p {'data-x=1 ' * (MAX_ATTRIBUTES - 1)}>" + PROSE,
        "<script>if(a<b)x={" + "'k':'v=1'," * 6_000 + "}</script>" + PROSE,
    ],
    ids=["word", "items", "bold", "attributes", "script"],
)  # fmt: skip
@pytest.mark.parametrize("extractor", ["resiliparse", "dolma"])
def test_not_refused(html: str, extractor: pages.Extractor) -> None:
    assert "guest" in pages.extract_text(html, extractor)


# in a process of their own, which a fault of the parser would end
HOSTILE = textwrap.dedent(
    r"""
    import json, sys, time
    from dolma_kit.extraction import page_facts, pages
    entities = "".join(f'<!ENTITY l{i} "{"&l%d;" % (i - 1) * 10}">' for i in range(1, 10))
    cases = {
        "depth": "<div>" * 1_900 + "x",
        "templates": "<template>" * 9_000 + "x",
        "unclosed": "<table><tr><td><ul><li><b><i><font color=red><p>x<dl><dt>" * 150,
        "end tags": "</div></p></table></b>" * 20_000 + "x",
        "attribute": "<p class='" + "is-ad-" * 100_000 + "'>x",
        "entities": "&amp;&lt;&eacute;&#x41;" * 100_000,
        "doctype": f"<!DOCTYPE l [<!ENTITY l0 'lol'>{entities}]><p>&l9;</p>x",
        "surrogates": "<p>&#xD800;&#xDFFF;&#55296;\ud800x",
        "NULs": "<p>\x00x\x00<\x00b>" * 1_000,
        "siblings": "<div>x</div>" * 20_000,
        "links": "<a href=y>next</a>x" * 20_000,
        "chains": ("<div>" * 1_000 + "x" + "</div>" * 1_000) * 10,
        "headers": ("<div class=header>" * 500 + "<a href=x>x</a>" + "</div>" * 500) * 20,
        "tables": "<table><tr><td>x</td><td>y</td></tr><tr><td>" * 300 + "x",
        "comments": "<!--" * 100_000 + "x",
        "less than": "x<" * 100_000,
        "quotes": "<p title='x" * 1_000,
        "plaintext": "x<plaintext>" * 1_000,
        "select": "<select><option>" * 1_000 + "x",
        "svg": "<svg><g><foreignObject>" * 500 + "x",
        "math": "<math><mi>x" * 900,
    }
    for name, html in cases.items():
        for extractor in ("resiliparse", "dolma"):
            started = time.perf_counter()
            text = pages.extract_text(html, extractor)
            text.encode()
            page_facts.facts_of(html)
            seconds = time.perf_counter() - started
            print(json.dumps([name, extractor, len(text), seconds]), flush=True)
    """
)


def test_hostile_pages_end_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=60, check=False
    )
    lines: list[Any] = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (lines[-1:], done.stderr)
    assert max(seconds for *_, seconds in lines) < 3, sorted(lines, key=lambda line: -line[3])[:3]
