"""Folders that `dolma-kit stats --out` wrote: of which files, and what they answer.

What of an answer is text of the corpus (excerpts, n-grams, values that are no URLs) is masked here,
so that neither page nor JSON has more of it. Hits of personal data and of toxic language are made
unreadable, with little around them.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from dolma_kit import files
from dolma_kit.errors import DataError, DolmaKitError
from dolma_kit.reporting.answers import MaskedExample, Missing
from dolma_kit.reporting.inventory import Inventory, inputs_of
from dolma_kit.reporting.masking import MASK, dotted, masked
from dolma_kit.reporting.redaction import redacted
from dolma_kit.statistics import partials
from dolma_kit.statistics.findings import samples_in
from dolma_kit.statistics.merging import ANSWER, WHOLE
from dolma_kit.statistics.samples import Item
from dolma_kit.statistics.settings import NAMES

N_EXAMPLES = 5
AROUND = 30  # characters; more are looked at, so that nothing is cut to what no rule finds
MOST_VALUES = 512  # of a histogram of scores, which may have tens of thousands
TEXT_KEYS = ("excerpt", "text", "value", "license", "name", "id")
SAMPLED = ("pii", "toxicity")
_DAMAGED = (DolmaKitError, msgspec.MsgspecError, OSError, LookupError, TypeError, ValueError)
#: module and struct of each answer
STRUCTS = {
    "summary": ("summary", "Summary"), "lengths": ("lengths", "Lengths"), "urls": ("urls", "Urls"),
    "dates": ("dates", "Dates"), "languages": ("languages", "Languages"),
    "licenses": ("licenses", "Licenses"), "ngrams": ("ngrams", "Ngrams"),
    "duplicates": ("duplicates", "Duplicates"), "pii": ("findings", "Findings"),
    "toxicity": ("findings", "Findings"), "contamination": ("contamination", "Contamination"),
    "attributes": ("attribute_scores", "Attributes"), "overlap": ("overlap", "Overlap"),
}  # fmt: skip

Examples = dict[str, dict[str, list[MaskedExample]]]


@dataclass(frozen=True)
class Saved:
    """`files` are absolute paths, `shown` folders as the report shows them, `names` the statistics
    that are answered, `limits` those of which only so many documents were looked at."""

    folder: str
    files: set[str]
    shown: list[str]
    names: list[str]
    limits: dict[str, int]
    bytes_stored: int

    def fresh(self, paths: set[str], limit: int | None) -> list[str]:
        """Those whose answers are younger than all files, and of as many documents."""
        newest = max((os.stat(p).st_mtime_ns for p in paths if os.path.exists(p)), default=0)
        return [
            name
            for name in self.names
            if os.stat(os.path.join(self.folder, name, ANSWER)).st_mtime_ns >= newest
            and self.limits.get(name) == limit
        ]


def read(inventory: Inventory, folder: str) -> Saved:
    """What lies in a folder; its files are those of its ledgers."""
    found: set[str] = set()
    shown: set[str] = set()
    limits: dict[str, int] = {}
    for book in inventory.books:
        if os.path.dirname(book.folder) == folder and book.header.stage.startswith("stats "):
            if (limit := book.header.config.get("limit")) is not None:
                limits[book.header.stage.removeprefix("stats ")] = limit
            for path in inputs_of(book):
                found.add(os.path.abspath(path))
                shown.add(inventory.seen_from_root(os.path.dirname(path)))
    names = [name for name in NAMES if os.path.exists(os.path.join(folder, name, ANSWER))]
    size = sum(os.path.getsize(path) for path in found if os.path.exists(path))
    return Saved(folder, found, sorted(shown), names, limits, size)


def contents(inventory: Inventory, places: Mapping[str, str]) -> tuple[dict[str, Any], Examples]:
    """The answers and masked examples of statistics, by the folder that has each; what cannot be
    read, or is no answer, is told in the inventory's `missing`."""
    answers: dict[str, Any] = {}
    examples: Examples = {}
    for name, place in places.items():
        folder = os.path.join(place, name)
        try:
            answers[name] = _answer(folder, name)
            if name in SAMPLED and (found := _examples(name, folder, answers[name])):
                examples[name] = found
        except _DAMAGED as error:
            answers.pop(name, None)
            what = f"{name} in {inventory.seen_from_root(place)}"
            why = f"it is no answer of {name}: {inventory.told(error)}"
            cure = "remove the folder, and make the report again"
            inventory.missing.append(Missing(section=name, what=what, why=why, cure=cure))
    return _masked_texts(answers), examples


def _answer(folder: str, name: str) -> Any:
    """What is saved, after it was seen to be an answer of the statistic."""
    path = os.path.join(folder, ANSWER)
    with files.open_raw(path) as stream:
        try:
            found = msgspec.json.decode(stream.read())
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DataError(path, None, f"is no answer: {error}; ask again") from None
    module, struct = STRUCTS[name]
    kind = getattr(importlib.import_module(f"dolma_kit.statistics.{module}"), struct)
    msgspec.convert(found, kind)
    if name == "attributes":
        for column in found["columns"].values():
            column["histogram"] = _thinned(column["histogram"])
    return found


def _thinned(histogram: list[list[float]]) -> list[list[float]]:
    """A histogram of at most MOST_VALUES: some neighbours as one, by the least of their values.

    >>> _thinned([[0.0, 3], [0.5, 1]])
    [[0.0, 3], [0.5, 1]]
    """
    width = -(-len(histogram) // MOST_VALUES) or 1
    groups = [histogram[i : i + width] for i in range(0, len(histogram), width)]
    return [[group[0][0], sum(count for _, count in group)] for group in groups]


def _masked_texts(answers: dict[str, Any]) -> dict[str, Any]:
    """Answers with what is text of the corpus masked, all of it in one go."""
    places: list[tuple[Any, str]] = []
    waiting: list[Any] = [answers]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            places += ((node, key) for key in TEXT_KEYS if isinstance(node.get(key), str))
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    # Once by the rules for documents, and once by form, as n-grams end within addresses.
    for (node, key), text in zip(places, masked([n[k] for n, k in places]), strict=True):
        node[key] = redacted(text)
    return answers


def _examples(name: str, folder: str, answer: Any) -> dict[str, list[MaskedExample]]:
    path = os.path.join(folder, WHOLE)
    if not os.path.exists(path):
        return {}
    partial = partials.read(path, name)
    names: Sequence[str] = answer["about"]["files"]
    return {
        kind: _hits(kind, items[:N_EXAMPLES], names, is_datum=name == "pii")
        for kind, items in samples_in(partial).items()
        if items
    }


def _hits(
    kind: str, items: Sequence[Item], names: Sequence[str], *, is_datum: bool
) -> list[MaskedExample]:  # fmt: skip
    around = masked([text for item in items for text in (item.before, item.after)])
    return [
        MaskedExample(
            file=names[item.file] if item.file < len(names) else "",
            line=item.line,
            score=item.score,
            before=before[-AROUND:],
            mask=MASK.format(kind) if is_datum else " ".join(map(dotted, item.match.split())),
            after=after[:AROUND],
        )
        for item, before, after in zip(items, around[::2], around[1::2], strict=True)
    ]
