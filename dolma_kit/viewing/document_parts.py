"""Parts of a document's page: the legend of its spans, its scores, its metadata, its places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit.errors import DolmaKitError
from dolma_kit.markup import N_COLOURS, attribute, counted, escaped
from dolma_kit.viewing import shell
from dolma_kit.viewing.copies import Copy, Texts, Traced
from dolma_kit.viewing.stored import Column, Stored
from dolma_kit.viewing.viewed import Viewed

if TYPE_CHECKING:
    from dolma_kit.viewing.document_view import Asked

MOST_VALUE_CHARACTERS = 2000


def legend(viewed: Viewed, asked: Asked, columns: Sequence[Column], chosen: Sequence[str]) -> str:
    """A form to choose whose spans are shown; it is the legend of their colours too."""
    if not columns:
        return ""
    boxes = "".join(_box(one, chosen) for one in columns)
    # Without a box ticked a browser sends no `show`, which would mean: as the page chooses.
    kept = [("id", asked.id), ("show", "")]
    kept += [("mix", str(asked.copy))] if asked.copy != 1 else []
    kept += [("at", str(asked.at))] if asked.at else []
    kept += [("tokens_at", str(asked.tokens_at))] if asked.tokens_at else []
    kept += [("seen", str(asked.seen))] if asked.seen else []
    hidden = "".join(
        f'<input type=hidden name={name} value="{attribute(value)}">' for name, value in kept
    )
    none = attribute(viewed.addresses.document(asked.id, copy=asked.copy, show=[]))
    return (
        f"<form action='{viewed.addresses.documents}'>{hidden}<fieldset><legend>Spans in the text "
        f"</legend><div class=columns>{boxes}</div><button>Show these</button> "
        f'<a class=button href="{none}">None</a></fieldset></form>'
    )


def _box(one: Column, chosen: Sequence[str]) -> str:
    nth = chosen.index(one.name) if one.name in chosen else None
    colour = "transparent" if nth is None else f"var(--c{nth % N_COLOURS})"
    scores = [span.score for span in one.spans]
    low, high = min(scores), max(scores)
    scored = f"score {low:g}" if low == high else f"scores {low:g} to {high:g}"
    return (
        f'<label><input type=checkbox name=show value="{attribute(one.name)}"'
        f"{'' if nth is None else ' checked'}><span class=swatch style='--c:{colour}'></span>"
        f"<span><bdi class=id>{_breakable(one.name)}</bdi> <span class=soft>"
        f"{counted(len(one.spans), 'span')}, {scored}</span></span></label>"
    )


def scores(columns: Sequence[Column]) -> str:
    """A table a tagger, and the columns that found no span."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in columns:
        group, _, key = one.name.rpartition("__")
        if one.kind == "score":
            value = "<span class=soft>none</span>" if one.score is None else f"{one.score:,.6g}"
            groups.setdefault(group or one.experiment, []).append((key, value))
        else:
            n = f"{counted(len(one.spans), 'span')}"
            groups.setdefault(group or one.experiment, []).append((key, n))
    if not groups:
        return ""
    tables = "".join(
        f"<section><table><caption><bdi class=id>{_breakable(group)}</bdi></caption><tbody>"
        + "".join(
            f"<tr><th scope=row><bdi>{_breakable(key)}</bdi></th><td class=n>{value}</td></tr>"
            for key, value in rows
        )
        + "</tbody></table></section>"
        for group, rows in groups.items()
    )
    return f"<h2>What attributes say</h2><div class=scores>{tables}</div>"


def _breakable(name: str) -> str:
    """A column's name, which may go on in the next line after its underscores."""
    return escaped(name).replace("_", "_<wbr>")


def metadata(texts: Texts) -> str:
    """The metadata before the mix, and what the mix added or changed."""
    document = texts.original or texts.tokenized
    if document is None:
        return ""
    rows = _fields(document)
    mixed = _fields(texts.tokenized) if texts.is_mixed and texts.tokenized else {}
    added = {name: value for name, value in mixed.items() if rows.get(name) != value}
    made = [[_name(name), _value(value)] for name, value in rows.items()]
    made += [[f"{_name(name)} <span class=mark>by the mix</span>", _value(value)]
             for name, value in added.items()]  # fmt: skip
    if not made:
        return "<h2>Metadata</h2><p class=soft>None.</p>"
    heads = [("key", False), ("value", False)]
    return f"<h2>Metadata</h2>{shell.table('Metadata', heads, made)}"


def _fields(document: Stored) -> dict[str, Any]:
    """Metadata by key; what is no object as one value."""
    if document.metadata is None or document.metadata == b"null":
        return {}
    try:
        found = msgspec.json.decode(document.metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = document.metadata.decode("utf-8", "replace")
    return found if isinstance(found, dict) else {"metadata": found}


def _name(name: str) -> str:
    return f"<bdi class=id>{escaped(name)}</bdi>"


def _value(value: Any) -> str:
    """A value as text; never a link, wherever it would lead."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    more = len(text) - MOST_VALUE_CHARACTERS
    cut = f" <span class=mark>{counted(more, 'character')} more</span>" if more > 0 else ""
    return f"<bdi>{escaped(text[:MOST_VALUE_CHARACTERS])}</bdi>{cut}"


def places(viewed: Viewed, copy: Copy, texts: Texts, found: Traced) -> str:
    """Where the document lies: among the tokens, in the mix, before it."""
    pairs = []

    def path(place: str) -> str:
        return f"<bdi class=id>{escaped(viewed.seen(place))}</bdi>"

    if copy.tokens is not None:
        file, start, end = copy.tokens
        pairs.append(("tokens", f"{path(viewed.run.files[file].path)}, {start:,} to {end:,}"))
        try:
            (document,) = viewed.run.documents(file).within(start, start + 1)
            pairs.append(("as the tokens name it", path(f"{document.src}:{document.line}")))
        except DolmaKitError:
            pass
    if texts.tokenized is not None and texts.is_mixed:
        pairs.append(("in the mix", path(f"{texts.tokenized.path}:{texts.tokenized.line}")))
    if texts.original is not None:
        name = "before the mix" if texts.is_mixed else "file"
        pairs.append((name, path(f"{texts.original.path}:{texts.original.line}")))
    for mix in dict.fromkeys(one.mix.place for one in found.decided):
        pairs.append(("decided by", path(mix)))
    return f"<h2>Where it lies</h2>{shell.facts(pairs)}"
