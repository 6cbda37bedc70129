"""Character references of HTML, as `&eacute;` and `&#233;`, in text that is no HTML itself."""

from __future__ import annotations

import html
import re

_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")


def decoded(text: str) -> str:
    """The text with the characters they stand for; U+FFFD for what is no character.

    Browsers take some without their semicolon, too; here they have to have it, for what stands
    between parameters of a URL is none.

    >>> decoded("caf&eacute; &lt;3 ?a=1&copy=2 &#xD800;")
    'café <3 ?a=1&copy=2 \ufffd'
    """
    if "&" not in text:
        return text
    return _REFERENCE.sub(lambda match: html.unescape(match[0]), text)
