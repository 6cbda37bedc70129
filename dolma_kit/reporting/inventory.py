"""What lies below a folder: ledgers, documents, mixes, statistics, tokens, runs.

A folder of documents is one with a `documents/` folder in it. Files that the ledger of a mix knows
are `mixed` (or `removed`, where the mix was asked to keep what it does not take); all others are
what went in. Nothing is read but ledgers, names and the small files that describe tokens and runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dolma_kit import decisions, files, ledger
from dolma_kit.errors import ConfigError
from dolma_kit.ledger import Header, Record
from dolma_kit.order.tokens_json import NAME as TOKENS_JSON
from dolma_kit.statistics.merging import ANSWER

DOCUMENTS = "documents"
SUFFIXES = (".yaml", ".yml")
LARGEST_RUN_FILE = 1 << 20
#: not gone into: what is there is known from beside it, or is no corpus
PASSED_OVER = {ledger.FOLDER, DOCUMENTS, "__pycache__"}


@dataclass(frozen=True)
class Book:
    """A ledger: of which folder (its path), and what it says."""

    folder: str
    header: Header
    records: list[Record]


@dataclass(frozen=True)
class Inventory:
    """All that was found below `root`, each in order. Paths begin with `root`.

    `sources` and `mixed` are folders with `documents/` in them, `mixes` those that have decisions,
    `statistics` the `--out` of a `stats`, `tokens` folders of token files, `runs` the descriptions
    of training runs.
    """

    root: str
    books: list[Book] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    mixes: list[str] = field(default_factory=list)
    statistics: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)

    def seen_from_root(self, path: str) -> str:
        """A path as the report shows it."""
        if files.is_remote(path):
            return path
        return os.path.relpath(path, self.root)


def take_inventory(root: str) -> Inventory:
    """Look below a folder; ConfigError where there is none."""
    if not os.path.isdir(root):
        raise ConfigError(f"{root}: no such folder; name the one that the stages wrote to")
    found = Inventory(root)
    documents: list[str] = []
    for place, folders, names in os.walk(root, followlinks=True):
        if ledger.FOLDER in folders:
            read = ledger.read(place)
            if read is not None:
                found.books.append(Book(place, *read))
        if DOCUMENTS in folders:
            documents.append(place)
        if decisions.NAME in names:
            found.mixes.append(place)
        if TOKENS_JSON in names:
            found.tokens.append(place)
        if ANSWER in names and os.path.dirname(place) not in found.statistics:
            found.statistics.append(os.path.dirname(place))
        found.runs.extend(
            path
            for name in sorted(names)
            if name.endswith(SUFFIXES) and is_run(path := os.path.join(place, name))
        )
        folders[:] = sorted(set(folders) - PASSED_OVER)
    of_mixes = _outputs([book for book in found.books if book.header.stage == "mix"])
    for place in documents:
        below = os.path.join(os.path.abspath(place), DOCUMENTS) + os.sep
        if not any(path.startswith(below) for path in of_mixes):
            found.sources.append(place)
        elif place in found.mixes:
            found.mixed.append(place)
        else:
            found.removed.append(place)
    return found


def _outputs(books: Sequence[Book]) -> set[str]:
    """The absolute paths of what ledgers know."""
    return {
        os.path.normpath(os.path.join(os.path.abspath(book.folder), name))
        for book in books
        for record in book.records
        for name in record.sizes
    }


def is_run(path: str) -> bool:
    """Whether a YAML file describes a training run: it names tokens and an order or batches."""
    import yaml

    if os.path.getsize(path) > LARGEST_RUN_FILE:
        return False
    with open(path, "rb") as stream:
        try:
            said = yaml.load(stream, Loader=yaml.CSafeLoader)
        except yaml.YAMLError:
            return False
    return isinstance(said, dict) and "tokens" in said and "global_batch_size" in said


def stages_in(inventory: Inventory, stage: str) -> Iterator[Book]:
    """The ledgers of a stage."""
    return (book for book in inventory.books if book.header.stage == stage)
