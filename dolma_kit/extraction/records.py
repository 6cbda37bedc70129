"""What a reader of sources gives: of each record, what became of it.

Nothing is lost in silence: a reader gives exactly one `Record` for each record of its file (a page,
a line, a row, an article, a thread, a file of a work tree), in their order, whether it became a
document, was filtered, or could not be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from dolma_kit.config import Extract

RAW_BYTES = 1 << 16  # of a record that could not be read, which are set aside


class Document(NamedTuple):
    """A document as it is written.

    `created` is ISO 8601 in UTC, `2024-04-25T16:24:44Z`, or a date alone; `source` is that of the
    command unless it is told here. `attributes` are in Dolma's form, by key: [[start, end, score]].
    """

    id: str
    text: str
    created: str | None
    metadata: dict[str, Any]
    source: str | None = None
    attributes: dict[str, list[tuple[int, int, float]]] | None = None


class Record(NamedTuple):
    """Record `number` of its file, from 1; `name` is what people call it: a URL, a title, a path.

    Either it is a `document`, or was left out for a `reason` (a filter: in a few words that are the
    same for all that it leaves out, as "status" or "too short"; `detail` says more of this one),
    or had a `fault`, one line that says what was wrong with it; then `raw` are its first RAW_BYTES.
    `notes` are peculiarities of a document that are counted, as "replaced characters".
    """

    number: int
    name: str
    document: Document | None = None
    reason: str | None = None
    detail: str = ""
    fault: str | None = None
    raw: bytes | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceFile:
    """What one unit of work reads: a file, or some `members` (paths below `path`) of a folder or
    archive. `tree` is the name of its outputs, without a suffix."""

    kind: str
    path: str
    tree: str
    members: tuple[str, ...] = ()


#: A reader: the records of a file. What is broken as a whole (a truncated archive) is a Record with
#: a fault, the last one; a reader raises only for what is no input (ConfigError, OSError).
Reader = Callable[[SourceFile, "Extract"], Iterator[Record]]
