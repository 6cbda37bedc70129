"""Wikipedia: pages of dumps, and wikitext as plain text."""

from __future__ import annotations

import bz2
import gzip
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import mwparserfromhell
import pytest
import zstandard

from dolma_kit.config import Extract
from dolma_kit.extraction import wikitext
from dolma_kit.extraction.records import Record, SourceFile
from dolma_kit.extraction.wikipedia import is_wikipedia, read
from dolma_kit.extraction.wikitext import Site, plain_text

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="de">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>dewiki</dbname>
    <base>https://de.wikipedia.org/wiki/Wikipedia:Hauptseite</base>
    <namespaces>
      <namespace key="-2" case="first-letter">Medium</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Diskussion</namespace>
      <namespace key="6" case="first-letter">Datei</namespace>
      <namespace key="14" case="first-letter">Kategorie</namespace>
    </namespaces>
  </siteinfo>
"""
END = "</mediawiki>\n"
ARTICLE = """{{short description|Hot drink}}
{{Infobox drink
| name = Tea
| image = [[File:Tea.jpg|thumb|A [[cup]]]]
| list = {{plainlist|
* a
* b
}}
}}
[[File:Leaf.jpg|thumb|right|A [[leaf]] of ''[[Camellia|tea]]'' and [http://x.org a link]]]
'''Tea''' ({{IPAc-en|t|iː}}; {{lang-zh|茶}}, {{transl|zh|chá}}) is a [[beverage]] of
[[curing (food)|cured]] leaves of ''[[Camellia sinensis]]''.<ref name="a">{{cite book|title=The
[[True]] History}}</ref><ref name=b /> It weighs {{convert|5|km|mi|abbr=on}} or \
{{convert|2|-|3|m2}}, {{nowrap|ten [[bus]]es}} &amp; caf&eacute;s&nbsp;at {{circa|1900}}\
{{citation needed|date=May 2020}}, ({{IPA|tʰe}}) so {{unknown|x}}, it is <small>said</small>.<!-- no

comment -->
Second line<br />and third{{ndash}}of it.

{| class="wikitable"
! a !! b
|-
| 1 || {{nowrap|2}}
{|
| nested
|}
|}
== History ==
{{Main|History of tea}}
=== Early ===
* one [[a|x]]
** nested '''bold'''
* two<ref>x</ref>
* {{Flag|France}}
# first
# second
## sub
#: more
# third
; Term: what it means
: indented

Formula <math>E=mc^2</math>, <code>f(x) = []</code>, <nowiki>[[no link]] {{x}}</nowiki>, f().
<syntaxhighlight lang="python">
def f(x):
    return {{x}}  # ''no''

f(1)
</syntaxhighlight>
<pre>
 as   typed &lt;b&gt;
</pre>
 typed line
   indented
<blockquote>A quote.</blockquote>
{{quote|Words of [[one|some]].|Author}}
See [http://example.org an ''external'' link], [http://x.org], https://bare.org/a?b=c&copy=2, \
[[:Category:Tea|those]] and [[:File:X.jpg]]. [[de:Tee]][[Category:Drinks]]__NOTOC__
<gallery>
File:a.jpg|caption
</gallery>
----
=== Empty ===
== Empty, too ==
=== With a template ===
{{Navbox}}
== See also ==
* [[x]]
=== Of it ===
x
== References ==
{{reflist}}
== Uses ==
The last {{ open [[text]] here; a [[broken
link and ]] {{end.

{|
| a table without an end
== External links ==
* [http://x.org x]
{{Authority control}}
[[Category:Tea]]
"""
TEXT = """Tea (茶, chá) is a beverage of
cured leaves of Camellia sinensis. It weighs 5 km or 2–3 m², ten buses & cafés at c. 1900, so, \
it is said.
Second line
and third–of it.

History

Early

- one x
  - nested bold
- two
1. first
2. second
  1. sub
  more
3. third
Term: what it means
indented

Formula E=mc^2, f(x) = [], [[no link]] {{x}}, f().

def f(x):
    return {{x}}  # ''no''

f(1)

 as   typed <b>

typed line
  indented

A quote.

Words of some.

See an external link, https://bare.org/a?b=c&copy=2, those and File:X.jpg.

Uses

The last open text here; a broken
link and end."""


def page(
    title: str = "Tee", id_: Any = 7, ns: int = 0, text: str = "Ein Text.", more: str = "",
    revision: str = "", attributes: str = "",
) -> str:  # fmt: skip
    return f"""  <page>
    <title>{escape(title)}</title>
    <ns>{ns}</ns>
    <id>{id_}</id>
    {more}<revision>
      <id>99</id>
      <timestamp>2024-04-25T16:24:44Z</timestamp>
      {revision}<text bytes="1" xml:space="preserve"{attributes}>{escape(text)}</text>
    </revision>
  </page>
"""


def dump(path: Path, *pages: str, head: str = HEAD, end: str = END) -> SourceFile:
    parts = [head, *pages, end]
    data = "".join(parts).encode("utf-8", "surrogatepass")
    if path.suffix == ".bz2":  # as a multistream dump: each part a stream of its own
        path.write_bytes(b"".join(bz2.compress(part.encode()) for part in parts))
    else:
        pack = {".gz": gzip.compress, ".zst": zstandard.compress}
        path.write_bytes(pack.get(path.suffix, lambda given: given)(data))
    return SourceFile("wikipedia", str(path), "dewiki")


def records(file: SourceFile, **keys: Any) -> list[Record]:
    found = list(read(file, Extract(**keys)))
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    return found


@pytest.mark.parametrize("suffix", ["", ".bz2", ".gz", ".zst"])
def test_an_article_is_a_document(tmp_path: Path, suffix: str) -> None:
    text = "'''Tee''' [[Datei:T.jpg|mini|x]] ist [[Getränk|warm]].\n\n== Weblinks ==\n* x"
    file = dump(tmp_path / f"dewiki.xml{suffix}", page("Grüner Tee?", text=text))
    [record] = records(file)
    assert record.name == "Grüner Tee?"
    assert record.notes == ()
    assert record.document is not None
    assert record.document.id == "7"
    assert record.document.text == "Tee ist warm."
    assert record.document.created == "2024-04-25T16:24:44Z"
    assert record.document.metadata == {
        "title": "Grüner Tee?", "url": "https://de.wikipedia.org/wiki/Gr%C3%BCner_Tee%3F",
        "revision": "99", "language": "de", "wikitext_length": len(text), "disambiguation": False,
    }  # fmt: skip


def test_what_is_left_out(tmp_path: Path) -> None:
    found = records(
        dump(
            tmp_path / "a.xml",
            page("Diskussion:Tee", 1, ns=1),
            page("Thee", 2, more='<redirect title="Tee" />'),
            page("Teh", 3, text="#REDIRECT [[Tee]]"),
            page("Tee.js", 4, revision="<model>javascript</model>"),
            page("Weg", 5, text="", attributes=' deleted="deleted"'),
            page("Leer", 6, text="{{Infobox}}"),
            page("Tee", 7),
            page("Tee", 7),
            page("Mehr", 8, text="{{Begriffsklärung}}\n* [[a]]"),
            "  <logitem><id>1</id></logitem>\n",
        )
    )
    assert [(one.name, one.reason, one.detail) for one in found] == [
        ("Diskussion:Tee", "namespace", "1"),
        ("Thee", "redirect", "Tee"),
        ("Teh", "redirect", ""),
        ("Tee.js", "content model", "javascript"),
        ("Weg", "deleted", ""),
        ("Leer", "empty", ""),
        ("Tee", None, ""),
        ("Tee", "duplicate", "of page 7"),
        ("Mehr", None, ""),
        ("logitem", "no page", "logitem"),
    ]
    assert found[8].document is not None
    assert found[8].document.metadata["disambiguation"]
    assert found[8].document.text == "- a"


def test_the_latest_revision_is_taken(tmp_path: Path) -> None:
    revisions = "".join(
        f"<revision><id>{id_}</id><timestamp>{when}</timestamp><text>{id_}</text></revision>"
        for id_, when in [(1, "2020-01-01T00:00:00Z"), (2, "2022-01-01T00:00:00Z"),
                          (3, "2021-01-01T00:00:00Z")]
    )  # fmt: skip
    history = f"<page><title>a</title><ns>0</ns><id>1</id>{revisions}</page>"
    [record] = records(dump(tmp_path / "a.xml", history))
    assert record.document is not None
    assert (record.document.text, record.document.created) == ("2", "2022-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (page(id_=""), "the page's id is '', not a number"),
        (page(id_="7x"), "the page's id is '7x', not a number"),
        (page(title=""), "a page without a title"),
        ("<page><title>a</title><id>9</id></page>", "a page without a revision"),
        (page(text="a\0b"), "not XML: not well-formed (invalid token)"),
        (page(text="a\ud800b"), "not XML: not well-formed (invalid token)"),
        (page(text="a\x01b"), "not XML: not well-formed (invalid token)"),
        ("<page><title>a</page>", "not XML: mismatched tag"),
        (page(text="long " * 1000), "larger than max_record_bytes (2,000)"),
        (page(more="<x>" * 50), "more than 32 elements within each other"),
    ],
)
def test_a_bad_page_is_told_and_the_others_read(tmp_path: Path, bad: str, fault: str) -> None:
    file = dump(tmp_path / "a.xml", page("A", 1), bad, page("B", 2))
    found = records(file, max_record_bytes=2000)
    assert [one.document and one.document.id for one in found] == ["1", None, "2"]
    assert fault in (found[1].fault or "")
    assert (found[1].raw or b"").startswith(b"<page>")
    assert found[2].document is not None
    assert found[2].document.metadata["url"] == "https://de.wikipedia.org/wiki/B"


@pytest.mark.parametrize("suffix", ["", ".bz2", ".gz", ".zst"])
def test_a_truncated_dump_gives_what_is_before(tmp_path: Path, suffix: str) -> None:
    rng = random.Random(2)
    pages = [page(f"S{i}", i + 1, text=f"Text {rng.random()}") for i in range(1000)]
    file = dump(tmp_path / f"a.xml{suffix}", *pages)
    path = tmp_path / f"a.xml{suffix}"
    path.write_bytes(path.read_bytes()[: -400 if suffix in ("", ".bz2") else -100])
    *whole, last = records(file)
    assert [one.name for one in whole] == [f"S{i}" for i in range(len(whole))]
    assert len(whole) > 100
    assert "truncated" in (last.fault or "")


def test_another_root_is_told(tmp_path: Path) -> None:
    [record] = records(dump(tmp_path / "a.xml", head="<rss>", end="</rss>"))
    assert record.fault == "the root is <rss>, not <mediawiki>"


@pytest.mark.parametrize(
    ("path", "head", "is_one"),
    [
        ("a/dewiki-20240401-pages-articles-multistream.xml.bz2", HEAD.encode(), True),
        ("a/dewiki.xml", b'<?xml version="1.0"?>\n<mediawiki>', True),
        ("a/Posts.xml", b"<posts>", False),
        ("a/dewiki-pages-articles-multistream-index.txt.bz2", b"616:12:Tee\n", False),
    ],
)
def test_a_dump_is_known_by_name_and_first_bytes(path: str, head: bytes, is_one: bool) -> None:
    assert is_wikipedia(path, head) == is_one


# Wikitext.


def text_of(source: str, language: str = "en") -> str:
    return plain_text(source, Site(language)).text


def test_an_article_with_everything_in_it() -> None:
    assert text_of(ARTICLE) == TEXT


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", ""),
        ("a '''b''' ''c'' '''''d''''' e's ''''f''''", "a b c d e's 'f'"),
        ("[[a]]s, [[a#b]], [[a|]], [[ a | b ]], [[a|b|c]]", "as, a#b, a, b , b|c"),
        ("[[a|b [[c]] d]]", "b c d"),
        ("[[Image:a.jpg|thumb|b [[c]] [[File:d.jpg]]]]e", "e"),
        ("[[fr:Thé]]x [[:fr:Thé|y]] [[wikt:tea|z]] [[IT: film]]", "x y z IT: film"),
        ("[//e.org a] [https://e.org] [mailto:a@b.c d] [not a link]", "a d [not a link]"),
        ("a [http://e.org/ b [[c]] d] e", "a b c d e"),
        ("&lt;b&gt; &#65;&#x42; &nosuch; &amp;lt; &#xD800; &#0;", "<b> AB &nosuch; &lt; � �"),
        ("a < b, c > d <unknown> e", "a < b, c > d <unknown> e"),
        ("{{nowrap|a=b|1=c}}", "c"),
        ("{{nowrap|[[x|E=mc]]}}", "E=mc"),
        ("{{lang|fr|{{nowrap|a {{sub|b}}}}}}", "a b"),
        ("{{LANG | fr | thé }}", "thé"),
        ("{{convert|12|to|15|ftin}}, {{cvt|3|km2}}", "12 to 15 ft in, 3 km²"),
        ("{{frac|1|2}} {{frac|3|1|4}} {{US$|5}} {{val|5|u=km}}", "1/2 3 1/4 US$5 5 km"),
        ("{{As of|2020|1}} x, {{as of|2020|lc=y}} y", "As of 2020-1 x, as of 2020 y"),
        ("{{formatnum:1234}} {{uc:ab}} {{lc:AB}} {{#if:x|y}}", "1234 AB ab"),
        ("{{nihongo|Tea|茶|cha}}", "Tea (茶, cha)"),
        ("a{{!}}b {{=}} {{'}}", "a|b = '"),
        ("{{{1|default}}} x", "} x"),
        ("{{cn}} , a ({{x}}) b ({{x}}; c) d (e, {{x}}).", ", a b (c) d (e)."),
        ("f() and ( ) stay", "f() and ( ) stay"),
        ("a ({{x}}, {{y}}) b ({{x}} – c) d（{{x}}）e", "a b (c) de"),
        ("a,{{x}}, b; {{x}}; {{x}}. {{x}}c", "a, b. c"),
        ("x <ref>{{cite|a}}</ref>. y<ref name='a>b'/>", "x. yb'/>"),
        ("a<!-- b --> c<!-- d", "a c"),
        ("<ref>a", "a"),
        ("a<nowiki/>b <nowiki>''c'' &amp; [[d]]</nowiki>", "ab ''c'' & [[d]]"),
        ("<math>\\frac{{a}}{b}</math>", "\\frac{{a}}{b}"),
        ("<poem>\na\nb\n</poem>", "a\nb"),
        ("a<sub>2</sub><sup>3</sup><span class='x'>b</span>", "a23b"),
        ("* a\n\n* b\n*# c\n*# d\n* e", "- a\n\n- b\n  1. c\n  2. d\n- e"),
        ("# a\n## b\n# c\n\n# d", "1. a\n  1. b\n2. c\n\n3. d"),
        ("text:\n* a\nafter", "text:\n- a\nafter"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("== a ==\n== b ==\nx\n=== c ===\n==== d ====\ny", "b\n\nx\n\nc\n\nd\n\ny"),
        ("==a== <!-- x -->\nb", "a\n\nb"),
        ("a == b ==\n==", "a == b ==\n=="),
        ("{|\n|}\na", "a"),
        ("{|\n| a\n\nb", ""),
        ("a<table><tr><td>b</td><td>{{x}}</td></tr></table>c", "a\nc"),
        ("{{x\n|{|\n|a\n|}}}b", "b"),
        ("a }} b ]] c", "a b c"),
        ("a {{nowrap|b {{sub|2}}", "a nowrap|b 2"),
        ("__TOC__ __init__ __DISAMBIG__", "__init__"),
        ("\x01\x02\x03a", "a"),
    ],
)
def test_wikitext_as_text(source: str, text: str) -> None:
    assert text_of(source) == text


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("en", "Further reading"), ("de", "Einzelnachweise"), ("fr", "Notes et références"),
        ("es", "Véase también"), ("it", "Collegamenti esterni"), ("pt", "Ver também"),
        ("nl", "Externe links"), ("pl", "Przypisy"), ("ru", "См. также"), ("ja", "脚注"),
        ("zh", "參考文獻"), ("sv", "Externa länkar"), ("ar", "وصلات خارجية"), ("uk", "Примітки"),
        ("vi", "Liên kết ngoài"), ("ceb", "Mga gi basihan"),
    ],
)  # fmt: skip
def test_sections_without_prose_are_left_out(language: str, title: str) -> None:
    source = f"a\n== {title} ==\n* b\n=== c ===\nd\n== e ==\nf"
    assert text_of(source, language) == "a\n\ne\n\nf"


def test_variants_and_centuries_are_of_a_language() -> None:
    assert text_of("a -{zh-hant:b; zh-hans:c}- -{d}-", "zh") == "a c d"
    assert text_of("a -{zh-hant:b; zh-hans:c}-", "en") == "a -{zh-hant:b; zh-hans:c}-"
    assert text_of("au {{s|XIX}}", "fr") == "au XIXe siècle"
    assert text_of("at {{s|XIX}}", "en") == "at"


def test_all_rules_have_a_meaning() -> None:
    for name in wikitext.rules().templates:
        assert text_of(f"a{{{{{name}|b|c}}}}d", "fr").startswith("a")
    assert all(name == name.casefold() for name in wikitext.rules().templates)


def test_words_are_those_of_the_parsers_own_rule() -> None:
    """mwparserfromhell's strip_code, on wikitext that both read alike."""
    source = (
        "'''Tea''' is a [[hot drink|drink]], ''made'' of [[leaf|leaves]] &amp; water.{{cn}}\n" * 9
    )
    theirs = mwparserfromhell.parse(source).strip_code()
    assert text_of(source).split() == theirs.split()


def test_what_is_nested_too_deeply_is_told() -> None:
    deep = "{{nowrap|" * 99 + "x" + "}}" * 99
    plain = plain_text(f"a {deep} b", Site())
    assert (plain.text, plain.is_parsed) == ("a x b", False)
    assert plain_text("a " + "{{nowrap|" * 9 + "x" + "}}" * 9, Site()).is_parsed


BOMBS = [
    "{{a|", "{{", "[[", "[[a|", "{|\n", "{{{a|", "<b>", "<ref>", "<ref name='", "''", "'''''a ",
    "[http://a ", "==a\n", "<!--", "&", "*", "*\n", ";a:b\n", "{{[[", "{{a|[[b|", "<nowiki>",
    "<pre>", "<div a='", "{{nowrap|", "{{nowrap|[[a|{|\n", "{{quote|a=", "}}", "]]", "(\x00",
    "( <ref/>", ", {{x}}", "-{", "__A", "{{nowrap|a}}", "{{#if:", "[[File:a|",
]  # fmt: skip
SCRIPT = """
import sys, time
from dolma_kit.extraction.wikitext import Site, plain_text
for bomb in BOMBS:
    for size in (20_000, 200_000):
        text = bomb * (size // len(bomb))
        started = time.process_time()
        plain_text(text, Site("zh"))
        seconds = time.process_time() - started
        assert seconds < 1.5, (bomb, size, seconds)
print("alive")
"""


def test_no_wikitext_crashes_or_stops_it() -> None:
    """In another process, for a parser in C may take it down."""
    script = SCRIPT.replace("BOMBS", repr(BOMBS))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "alive\n", done.stderr[-500:]


def test_time_grows_with_length() -> None:
    def seconds(text: str) -> float:
        started = time.process_time()
        plain_text(text, Site())
        return time.process_time() - started

    seconds(ARTICLE)
    once = min(seconds(ARTICLE * 4) for _ in range(3))
    assert min(seconds(ARTICLE * 40) for _ in range(3)) < 30 * once


def test_titles_are_quoted_as_mediawiki_does(tmp_path: Path) -> None:
    file = dump(tmp_path / "a.xml", page("C++ (x): a/b & 'c' 50%", 1, text=quoteattr("a")))
    [record] = records(file)
    assert record.document is not None
    assert record.document.metadata["url"] == (
        "https://de.wikipedia.org/wiki/C%2B%2B_(x):_a/b_%26_%27c%27_50%25"
    )
