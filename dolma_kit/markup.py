"""HTML of ours: text made harmless, and the look that all pages share.

Corpus text is data. It is escaped, and characters that would act on the page instead of being seen
(NUL, controls, marks that turn the direction of text or break lines unseen) are named in their
place; joiners stay, which scripts and emoji are made with. Whoever puts a text on a page isolates
it (`<bdi>`, or `unicode-bidi: isolate`), so that it cannot turn what stands beside it.

A page fetches nothing: its Content-Security-Policy allows its own style and the one script whose
digest it names.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re

_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff]"
)

#: text in each of them has a contrast of 4.5 : 1 or more on the page; `--c0` to `--c7` tell things
#: apart, and neighbours also for the colour-blind; the others mean something
COLOURS = """
:root { color-scheme: light dark; --ink: #1a1d21; --paper: #fff; --card: #f6f7f9; --line: #d4d9df;
  --soft: #57606a; --mark: #8a4b00; --link: #0b6e99; --good: #1f7a33; --bad: #b3003c;
  --c0: #0b6e99; --c1: #a34700; --c2: #2f7d32; --c3: #8e3b8e; --c4: #6b5b00; --c5: #b3003c;
  --c6: #3d4fb5; --c7: #00695c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #14171a; --card: #1c2126;
  --line: #39424c; --soft: #a5afba; --mark: #ffb866; --link: #6cc5ea; --good: #85d488;
  --bad: #ff8fab;
  --c0: #6cc5ea; --c1: #ffab70; --c2: #85d488; --c3: #dd9bdd; --c4: #d8c658; --c5: #ff8fab;
  --c6: #a7b4ff; --c7: #6fd3c4; } }
"""
N_COLOURS = 8

BASE = """
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0.5rem 0; }
p { margin: 0.3rem 0; } .soft { color: var(--soft); } .small { font-size: 0.85rem; }
a { color: var(--link); } bdi { unicode-bidi: isolate; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.3rem 0; unicode-bidi: plaintext;
  text-align: start; font: 0.85rem/1.45 ui-monospace, monospace; tab-size: 4; }
.mark { color: var(--mark); border: 1px solid currentColor; border-radius: 0.25rem;
  padding: 0 0.25rem; font-size: 0.8em; unicode-bidi: isolate; white-space: nowrap; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: 0.5rem 0; }
caption { text-align: left; padding-bottom: 0.3rem; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 1rem 0.2rem 0;
  border-bottom: 1px solid var(--line); }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
summary { cursor: pointer; color: var(--soft); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
"""


def escaped(text: str) -> str:
    """Text as HTML that does nothing: what would act is named in its place.

    >>> escaped("<b>\\x00\\u202e")
    '&lt;b&gt;<span class=mark>U+0000</span><span class=mark>U+202E</span>'
    """
    pieces, at = [], 0
    text = text.replace("\r\n", "\n")
    for match in _ACTING.finditer(text):
        pieces.append(html.escape(text[at : match.start()]))
        pieces.append(f"<span class=mark>U+{ord(match.group()):04X}</span>")
        at = match.end()
    pieces.append(html.escape(text[at:]))
    return "".join(pieces)


def attribute(text: str) -> str:
    """Text within quotes of an attribute; what would act is left out.

    >>> attribute('a"\\x00<')
    'a&quot;&lt;'
    """
    return html.escape(_ACTING.sub("", text))


def counted(n: int, what: str) -> str:
    """
    >>> counted(1, "time"), counted(2000, "time")
    ('1 time', '2,000 times')
    """
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def policy(script: str = "", *, more: str = "") -> str:
    """The Content-Security-Policy of a page with one script (or none); `more` directives."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"; script-src 'sha256-{digest}'" if script else ""
    return f"default-src 'none'; style-src 'unsafe-inline'{allowed}{more}"


def page(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole page of one file. `title` is plain text; `body`, `style` and `script` are put in as
    they are."""
    scripts = f"<script>{script}</script>" if script else ""
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        f'<meta http-equiv=Content-Security-Policy content="{policy(script)}">'
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{html.escape(_ACTING.sub('', title))}</title>"
        f"<style>{COLOURS}{BASE}{style}</style></head><body>{body}{scripts}</body></html>\n"
    )
