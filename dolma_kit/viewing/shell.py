"""The frame of all pages: how to get about, the look, and the few keys."""

from __future__ import annotations

import os
from typing import Literal

from dolma_kit.markup import attribute, escaped, page
from dolma_kit.viewing.addresses import Addresses

Place = Literal["run", "steps", "document", "phrase"]
MOST_PHRASE_CHARACTERS = 2000

# Keys are for those who are not writing, and never taken from the browser's own with modifiers.
# "/" needs Shift on many keyboards.
SCRIPT = """
addEventListener('keydown', event => {
  const typing = event.target.closest('input, textarea, select, [tabindex="0"]');
  if (typing || event.ctrlKey || event.altKey || event.metaKey) return;
  const relation = {ArrowLeft: 'prev', ArrowRight: 'next'}[event.key];
  if (event.key === '/') {
    event.preventDefault();
    document.getElementById('search').focus();
  } else if (relation && !event.shiftKey) {
    document.querySelector(`main a[rel=${relation}]`)?.click();
  }
});
"""

_STYLE = """
body { max-width: 80rem; padding: 0 1rem 3rem; }
.skip { position: absolute; left: -100rem; } .skip:focus { left: 1rem; top: 0.5rem; z-index: 1;
  background: var(--paper); padding: 0.3rem 0.6rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
body > header { display: flex; flex-wrap: wrap; gap: 0.4rem 1.4rem; align-items: center;
  padding: 0.7rem 0; border-bottom: 1px solid var(--line); margin-bottom: 1.2rem; }
body > header nav { display: flex; gap: 1.1rem; }
body > header nav a { color: var(--soft); text-decoration: none; padding: 0.25rem 0; }
body > header nav a:hover { color: var(--ink); }
body > header nav a[aria-current] { color: var(--ink); font-weight: 600;
  box-shadow: inset 0 -2px 0 var(--link); }
body > header form { margin-left: auto; flex: 0 1 22rem; }
.brand { color: var(--ink); text-decoration: none; font-weight: 650; letter-spacing: -0.01em; }
.brand bdi { color: var(--soft); font-weight: 400; letter-spacing: 0; margin-left: 0.3rem; }
main:focus { outline: none; }
h1 { font-size: 1.5rem; line-height: 1.25; letter-spacing: -0.015em; margin: 0 0 0.4rem; }
h2 { font-size: 1.1rem; margin: 1.8rem 0 0.4rem; letter-spacing: -0.01em; }
article h2 { letter-spacing: 0; }
form { display: flex; flex-wrap: wrap; gap: 0.4rem; align-items: center; margin: 0; }
input, button { font: inherit; font-size: 0.95rem; color: var(--ink); background: var(--paper);
  border: 1px solid var(--soft); border-radius: 0.35rem; padding: 0.3rem 0.6rem; min-height: 2.1rem;
  }
input[type=search], input[type=text] { flex: 1 1 10rem; min-width: 0; width: 100%; }
input[type=number] { width: 8rem; } input[type=checkbox] { min-height: 0; accent-color: var(--link);
  width: 1rem; height: 1rem; margin: 0; }
button { background: var(--card); cursor: pointer; font-weight: 500; }
button:hover { border-color: var(--ink); }
.go { display: flex; flex-wrap: wrap; gap: 0.5rem 0.8rem; align-items: center;
  margin: 0.8rem 0; }
.go form { margin-left: auto; }
.go > a, .go > span.button, .button { border: 1px solid var(--line); border-radius: 0.35rem;
  padding: 0.25rem 0.7rem; text-decoration: none; color: var(--ink); background: var(--card); }
.go > a:hover, a.button:hover { border-color: var(--soft); }

.go > a[aria-current] { border-color: var(--link); font-weight: 600;
  box-shadow: inset 0 -2px 0 var(--link); }
.go > span.button { color: var(--soft); background: none; }
.about { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0.5rem 3rem;
  align-items: start; } .about table { margin-top: 0; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.15rem 1.2rem;
  margin: 0.6rem 0; } dt { color: var(--soft); } dd { margin: 0; }
.told { border-left: 0.25rem solid var(--mark); padding: 0.3rem 0 0.3rem 0.8rem; margin: 0.8rem 0; }
.told.bad { border-color: var(--bad); } .told.good { border-color: var(--good); }
code, .id { font-family: ui-monospace, monospace; font-size: 0.92em; }
kbd { font: 0.85em ui-monospace, monospace; border: 1px solid var(--line); border-radius: 0.25rem;
  padding: 0 0.3rem; background: var(--card); }
article:target { border-color: var(--link); box-shadow: 0 0 0 1px var(--link); }
article { scroll-margin-top: 1rem; }
body > footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 0.6rem;
  font-size: 0.85rem; color: var(--soft); display: flex; flex-wrap: wrap; gap: 0.2rem 1.5rem; }
th { font-weight: 400; } thead th { font-size: 0.85rem; color: var(--soft); }
@media (max-width: 52rem) { .about { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 40rem) { body > header form { flex: 1 1 100%; } .go form { margin-left: 0; }
  dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: 0.4rem; }
  th, td { padding-right: 0.7rem; } }
"""


class Shell:
    """The frame around the pages of one run."""

    def __init__(self, path: str, addresses: Addresses) -> None:
        self.name = os.path.join(os.path.basename(os.path.dirname(os.path.abspath(path))),
                                 os.path.basename(path))  # fmt: skip
        self.path = path
        self._to = addresses

    def page(
        self, title: str, main: str, *, place: Place | None, style: str = "", phrase: str = ""
    ) -> str:
        """A whole page; `title` is plain text, `main` HTML, `phrase` what the search box holds."""
        body = (
            "<a class=skip href='#main'>Skip to the content</a>"
            f"<header>{self._brand()}{self._views(place)}{self._search(phrase)}</header>"
            f"<main id=main tabindex=-1>{main}</main>"
            f"<footer><bdi>{escaped(self.path)}</bdi><span>Keys: <kbd>/</kbd> search, "
            "<kbd>←</kbd> <kbd>→</kbd> steps</span></footer>"
        )
        return page(f"{title} – {self.name}", body, style=_STYLE + style, script=SCRIPT)

    def notice(self, title: str, line: str, *, place: Place | None = None, more: str = "") -> str:
        """A page that says why there is no other."""
        told = f"<p class='told bad'><bdi>{escaped(line)}</bdi></p>"
        back = f"<p><a href='{self._to.start}'>To the run</a></p>"
        return self.page(title, f"<h1>{escaped(title)}</h1>{told}{more}{back}", place=place)

    def _brand(self) -> str:
        return (
            f"<a class=brand href='{self._to.start}'>dolma-kit view "
            f"<bdi>{escaped(self.name)}</bdi></a>"
        )

    def _views(self, place: Place | None) -> str:
        views: list[tuple[Place, str, str]] = [
            ("run", "Run", self._to.start),
            ("steps", "Steps", self._to.steps),
            ("document", "Document", self._to.documents),
            ("phrase", "Phrase", self._to.phrases),
        ]
        links = "".join(
            f"<a href='{address}'{' aria-current=page' if one == place else ''}>{name}</a>"
            for one, name, address in views
        )
        return f"<nav aria-label=Views>{links}</nav>"

    def _search(self, phrase: str) -> str:
        return (
            f"<form role=search action='{self._to.phrases}'>"
            "<label class=unseen for=search>Phrase to look for in the tokens</label>"
            f'<input id=search type=search name=q value="{attribute(phrase)}" '
            f"maxlength={MOST_PHRASE_CHARACTERS} placeholder='Search a phrase' autocomplete=off>"
            "<button>Search</button></form>"
        )


def table(caption: str, heads: list[tuple[str, bool]], rows: list[list[str]]) -> str:
    """A table that scrolls by itself; `heads` say of each column whether it has numbers, `rows` are
    HTML."""
    head = "".join(f"<th scope=col{_n(number)}>{name}</th>" for name, number in heads)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{_n(number)}>{cell}</td>" for cell, (_, number) in zip(row, heads, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class=scroll role=region aria-label="{caption}" tabindex=0><table>'
        f"<caption class=unseen>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _n(number: bool) -> str:
    return " class=n" if number else ""


def facts(pairs: list[tuple[str, str]]) -> str:
    """Names and values (HTML) below each other."""
    return "<dl>" + "".join(f"<dt>{a}</dt><dd>{b}</dd>" for a, b in pairs) + "</dl>"
