"""The text of a page: by resiliparse's parser and our choice of content, or as others do it.

`resiliparse`, the default: our choice of content (content.py) from the tree of resiliparse's parser
(elements.py), set as plain text (rendering.py).
`trafilatura`: its `extract` as the Dolma toolkit calls it. `dolma`: resiliparse's own
`extract_plain_text` with the settings of `dolma warc`: the same text, to the letter.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, Literal

from dolma_kit.errors import ConfigError
from dolma_kit.extraction import content, elements, labels, limits, rendering
from dolma_kit.extraction.limits import PageError

Extractor = Literal["resiliparse", "trafilatura", "dolma"]
DOLMA_SETTINGS: dict[str, Any] = {
    "preserve_formatting": True,
    "main_content": True,
    "list_bullets": True,
    "alt_texts": False,
    "links": False,
    "form_fields": False,
    "noscript": False,
    "comments": True,
}
TRAFILATURA_SETTINGS: dict[str, Any] = {
    "output_format": "txt",
    "include_comments": False,
    "include_links": False,
    "include_tables": False,
    "fast": False,
    "favor_precision": False,
    "favor_recall": False,
    "include_formatting": False,
}
MAX_DOLMA_STEPS = 200_000_000  # tags times those that are open at once: 2 seconds
MAX_TRAFILATURA_CHARS = 20_000_000  # of which trafilatura itself refuses more
MAX_TRAFILATURA_TAGS = 100_000  # 4 seconds
RESET_PAGES = 10_000  # after which trafilatura's caches are emptied: they leak otherwise

_TITLE = re.compile(r"<title[^>]*>([^<]*)</title>")


def extract_text(html: str, extractor: Extractor = "resiliparse") -> str:
    """The text of a page's content; "" where it has none.

    PageError for a page that no parser should be given: nested too deep, too many tags, attributes
    of a tag or characters. ConfigError where trafilatura is asked for and not there.
    """
    if extractor == "resiliparse":
        return text_of_page(elements.written(html))
    html = elements.without_surrogates(html)
    limits.check(html)
    return _by_dolma(html) if extractor == "dolma" else _by_trafilatura(html)


def text_of_page(page: str) -> str:
    """The text of a page that the parser has `written`."""
    tree = elements.tree_of(elements.body_of(page), labels.is_hidden)
    title = _TITLE.search(page)
    root = content.content_of(tree, elements.unescaped(title[1]) if title else "")
    return rendering.text_of(root)


def _by_dolma(html: str) -> str:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    html = html.strip()
    n_tags = html.count("<")
    if n_tags > limits.MAX_DEPTH:  # its time grows with the square of the depth
        n_unclosed = limits.n_unclosed(html)
        if n_unclosed * n_tags > MAX_DOLMA_STEPS:
            raise PageError("nested too deep")
        if n_unclosed > limits.MAX_DEPTH:  # maybe deep, maybe only badly written
            elements.tree_of(elements.body_of(elements.written(html)), lambda _: False)
    return str(extract_plain_text(HTMLTree.parse(html), **DOLMA_SETTINGS))


def _by_trafilatura(html: str) -> str:
    if len(html) > MAX_TRAFILATURA_CHARS or html.count("<") > MAX_TRAFILATURA_TAGS:
        raise PageError("too long for trafilatura")
    return _trafilatura()(html)


@functools.cache
def _trafilatura() -> Callable[[str], str]:
    try:
        import trafilatura
        import trafilatura.meta
    except ImportError as error:
        raise ConfigError(
            f"extractor 'trafilatura' cannot be imported ({error}): "
            "pip install 'dolma-kit[trafilatura]'"
        ) from None
    import logging

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    n_pages = 0

    def extract(html: str) -> str:
        nonlocal n_pages
        n_pages += 1
        if n_pages % RESET_PAGES == 0:
            trafilatura.meta.reset_caches()
        return str(trafilatura.extract(html, **TRAFILATURA_SETTINGS) or "")

    return extract
