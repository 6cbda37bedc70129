"""Texts, ids, sources and metadata that mean harm are shown, and do nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dolma_kit.markup import attribute, escaped
from dolma_kit.order.run import Run
from dolma_kit.order.steps import trace_doc

from .conftest import HOSTILE
from .sites import TOKEN, Parsed, Site

ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "nav",
        "main",
        "footer",
        "script",
    ),
    *("a", "bdi", "form", "label", "input", "button", "fieldset", "legend", "h1", "h2", "h3", "p"),
    *("span", "code", "kbd", "mark", "pre", "b", "wbr", "div", "section", "article", "ol", "ul"),
    *("li", "dl", "dt", "dd", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("details", "summary"),
}
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]")


def does_nothing(page: Parsed, body: str) -> None:
    assert {tag for tag, _ in page.tags} <= ELEMENTS
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "action", "src", "formaction"):
            assert (attributes.get(name) or "#").startswith((f"/{TOKEN}/", "#"))
    assert ACTING.findall(body) == []


def addresses(site: Site, run: Run) -> Iterator[str]:
    yield site.to.start
    for doc_id, text in HOSTILE.items():
        yield site.to.document(doc_id)
        yield site.to.phrase(text)
        yield site.to.phrase(text[:7], limit=3)
        yield site.to.step(trace_doc(run, doc_id).seen[0].step)
        yield f"{site.to.steps}/{site.to.document(doc_id)[-9:]}"  # what follows is escaped
        yield site.to.document(doc_id + "\x00?") + "&show=%3Cb%3E"
        yield f"{site.to.start}step/1?instance={site.to.phrase(text)[10:]}"


def test_no_page_acts(site: Site, run: Run) -> None:
    statuses = set()
    for address in addresses(site, run):
        answer = site.ask(address.split("#")[0])
        statuses.add(answer.status)
        does_nothing(answer.page, answer.body)
    assert statuses == {200, 404}


@pytest.mark.parametrize("doc_id", HOSTILE)
def test_what_is_hostile_is_shown_as_it_stands(site: Site, doc_id: str) -> None:
    page = site.get(site.to.document(doc_id, show=[]))
    for text in (doc_id, HOSTILE[doc_id]):
        shown = Parsed(escaped(text)).text  # what would act has its name in its place
        assert shown in page.text
    assert "javascript:window.harmed=5" in page.text
    assert "<u>k</u>" in page.text


def test_bytes_that_are_no_text_are_a_phrase_like_others(site: Site) -> None:
    for phrase in ("%FF%FE", "%ED%A0%80", "%00", "%0D%0A"):
        answer = site.ask(f"{site.to.phrases}?q={phrase}")
        assert answer.status == 200
        does_nothing(answer.page, answer.body)


def test_half_a_surrogate_pair_in_a_file_is_said(site: Site, made: Path) -> None:
    """JSON may name one; no text can hold it, and what cannot be read is no document."""
    from dolma_kit.decoding import Fields
    from dolma_kit.errors import VerificationError
    from dolma_kit.viewing import stored

    path = made.parent / "half" / "documents" / "a.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"id": "a", "text": "\\ud800"}\n{"id": "b", "text": "whole"}\n')
    assert stored.read(str(path), 2, Fields()).text == "whole"
    with pytest.raises(VerificationError, match="no document at line 1"):
        stored.read(str(path), 1, Fields())


def test_random_text_never_acts() -> None:
    random = np.random.default_rng(6198)
    pool = [
        "<",
        ">",
        "&",
        "'",
        '"',
        "\x00",
        "\u202e",
        "\ud800",
        "\r",
        "\n",
        "a",
        "</script>",
        "é",
        "🦊",
    ]
    for _ in range(200):
        text = "".join(random.choice(pool, 12))
        made = escaped(text)
        assert {tag for tag, _ in Parsed(made).tags} <= {"span"}
        assert ACTING.findall(made) == []
        parsed = Parsed(f'<p title="{attribute(text)}">')
        assert [tag for tag, _ in parsed.tags] == ["p"]
        assert list(parsed.tags[0][1]) == ["title"]
