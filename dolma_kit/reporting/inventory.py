"""What lies below a folder: ledgers, documents, mixes, statistics, tokens, runs.

A folder of documents is one with a `documents/` folder in it. Files that the ledger of a mix knows
are `mixed` (or `removed`, where the mix was asked to keep what it does not take); all others are
what went in. Nothing is read but ledgers, names and the small files that describe tokens and runs.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dolma_kit import decisions, files, ledger
from dolma_kit.errors import ConfigError, DolmaKitError
from dolma_kit.ledger import Header, Record
from dolma_kit.order.tokens_json import NAME as TOKENS_JSON
from dolma_kit.reporting.answers import Missing
from dolma_kit.statistics.merging import ANSWER

DOCUMENTS = "documents"
SUFFIXES = (".yaml", ".yml")
LARGEST_RUN_FILE = 1 << 18
_RUN_KEYS = (b"tokens", b"global_batch_size")
_KEY = rb"(?:^|[{,])\s*['\"]?%s['\"]?\s*:"
_ABSOLUTE = re.compile(r"(?<![\w.:/-])/(?:[\w.@+~-]+/)+[\w.@+~-]+")
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
    of training runs. `mixed` are those that no other mix has read: what a mix of mixes was made of
    is in `between`. `missing` tells what could not be looked at.
    """

    root: str
    books: list[Book] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    between: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    mixes: list[str] = field(default_factory=list)
    statistics: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def seen_from_root(self, path: str) -> str:
        """A path as the report shows it."""
        if files.is_remote(path):
            return path
        return os.path.relpath(path, self.root)

    def told(self, error: Exception) -> str:
        """What an error says, with paths as the report shows them."""
        text = " ".join(str(error).split())
        whole = os.path.abspath(self.root)
        places = {whole, os.path.realpath(self.root), os.path.normpath(self.root)} - {".", "/"}
        for place in sorted(places, key=lambda one: -len(one)):
            text = re.sub(rf"(?<![\w./-]){re.escape(place)}(?:/(?=[\w.])|(?![\w.-]))", "", text)
        return _ABSOLUTE.sub(lambda found: f".../{os.path.basename(found[0])}", text)


def take_inventory(root: str) -> Inventory:
    """Look below a folder; ConfigError where there is none.

    A folder that is reached again, by a link, is looked at once.
    """
    if not os.path.isdir(root):
        raise ConfigError(f"{root}: no such folder; name the one that the stages wrote to")
    found = Inventory(root)
    documents: list[str] = []
    seen: set[tuple[int, int]] = set()
    _is_new(root, seen)
    for place, folders, names in os.walk(
        root, followlinks=True, onerror=lambda error: found.missing.append(_unread(found, error))
    ):
        if ledger.FOLDER in folders:
            _add_book(found, place)
        if DOCUMENTS in folders:
            documents.append(place)
        if decisions.NAME in names:
            found.mixes.append(place)
        if TOKENS_JSON in names and _is_file(os.path.join(place, TOKENS_JSON)):
            found.tokens.append(place)
        if ANSWER in names and os.path.dirname(place) not in found.statistics:
            found.statistics.append(os.path.dirname(place))
        found.runs.extend(
            path
            for name in sorted(names)
            if name.endswith(SUFFIXES) and is_run(path := os.path.join(place, name))
        )
        folders[:] = [
            name
            for name in sorted(set(folders) - PASSED_OVER)
            if _is_new(os.path.join(place, name), seen)
        ]
    _sort(found, documents)
    return found


def _sort(found: Inventory, documents: Sequence[str]) -> None:
    """Folders of documents by what has made them and what has read them."""
    mixes = [book for book in found.books if book.header.stage == "mix"]
    of_mixes = _outputs(mixes)
    read = {os.path.abspath(path) for book in mixes for path in inputs_of(book)}
    for place in documents:
        below = os.path.join(os.path.abspath(place), DOCUMENTS) + os.sep
        if not any(path.startswith(below) for path in of_mixes):
            found.sources.append(place)
        elif place not in found.mixes:
            found.removed.append(place)
        elif any(path.startswith(below) for path in read):
            found.between.append(place)
        else:
            found.mixed.append(place)


def _add_book(found: Inventory, place: str) -> None:
    try:
        read = ledger.read(place)
    except (DolmaKitError, OSError) as error:
        what = f"the ledger of {found.seen_from_root(place)}"
        found.missing.append(Missing(section="provenance", what=what, why=found.told(error)))
        return
    if read is not None:
        found.books.append(Book(place, *read))


def _unread(found: Inventory, error: OSError) -> Missing:
    what = f"the folder {found.seen_from_root(error.filename or found.root)}"
    return Missing(section="corpora", what=what, why=f"it cannot be read: {error.strerror}")


def _is_new(folder: str, seen: set[tuple[int, int]]) -> bool:
    try:
        state = os.stat(folder)
    except OSError:
        return True  # walking it tells what is wrong
    key = state.st_dev, state.st_ino
    is_new = key not in seen
    seen.add(key)
    return is_new


def _is_file(path: str) -> bool:
    """Whether it is one that can be read to its end; a pipe would be waited for."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def inputs_of(book: Book) -> list[str]:
    """The first input of each unit, as paths seen from where the command runs, each once."""
    found: dict[str, None] = {}
    for record in book.records:
        if record.source is None:
            continue
        place = record.source
        if not files.is_remote(place):
            place = os.path.normpath(os.path.join(book.folder, place))
        if ledger.FOLDER not in place.split(os.sep):  # intermediate files are of no interest
            found[place] = None
    return sorted(found)


def _outputs(books: Sequence[Book]) -> set[str]:
    """The absolute paths of what ledgers know."""
    return {
        os.path.normpath(os.path.join(os.path.abspath(book.folder), name))
        for book in books
        for record in book.records
        for name in record.sizes
    }


def is_run(path: str) -> bool:
    """Whether a YAML file describes a training run: it names tokens and batches.

    Only what has these keys at the beginning of lines is parsed, so that no other YAML file (there
    may be any) costs or breaks anything.
    """
    import yaml

    try:
        if not _is_file(path) or os.path.getsize(path) > LARGEST_RUN_FILE:
            return False
        with open(path, "rb") as stream:
            data = stream.read(LARGEST_RUN_FILE)
    except OSError:
        return False
    if not all(re.search(_KEY % key, data, re.MULTILINE) for key in _RUN_KEYS):
        return False
    # By PyYAML's own loader: libyaml's ends the process where brackets are nested deep enough.
    try:
        said = yaml.load(data, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError):
        return True  # open_run tells what is wrong with it
    return isinstance(said, dict) and "tokens" in said and "global_batch_size" in said


def stages_in(inventory: Inventory, stage: str) -> Iterator[Book]:
    """The ledgers of a stage."""
    return (book for book in inventory.books if book.header.stage == stage)
