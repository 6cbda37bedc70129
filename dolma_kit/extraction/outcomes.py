"""What becomes of a record: the last step that readers of rows, files and work trees share."""

from __future__ import annotations

import hashlib
import os
import re

from dolma_kit.extraction.records import RAW_BYTES, Document, Record, SourceFile

MEMBERS = 2000  # of a folder or archive that one unit of work reads
MOST_UNITS = 64  # of an archive, whose list of members each unit reads anew
REPLACED = "replaced characters"  # a note: bytes that are none in the text's encoding

_NUMBER = re.compile(r"-\d{5,}$")


def document_id(reader: str, file: SourceFile, *place: str) -> str:
    """40 hexadecimal digits for a document that brings no id of its own.

    The SHA-1 of the reader's name, the name of its source (`tree`; that of members is the folder's,
    whichever unit reads them) and the place in it, parted by NUL: a member's path or a row's
    number. So it depends neither on what the document says nor on where the source lies, and a
    member keeps it when others come and go; another name of the source makes other ids.
    """
    source = _NUMBER.sub("", file.tree) if file.members else file.tree
    parts = (part.encode("utf-8", "surrogateescape") for part in (reader, source, *place))
    return hashlib.sha1(b"\0".join(parts), usedforsecurity=False).hexdigest()


def shown(path: str) -> str:
    """A path as text that any encoding can hold: bytes that are no UTF-8 as `\\xff`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def byte_order(path: str) -> bytes:
    """The key of canonical order: the bytes of a path."""
    return path.encode("utf-8", "surrogateescape")


def name_of(path: str) -> str:
    """The last part of a path, however it is written (`.` and `web/` have one, too)."""
    return os.path.basename(path.rstrip("/") if "://" in path else os.path.abspath(path))


def units(
    kind: str, path: str, members: list[str], tree: str, n_members: int = MEMBERS
) -> list[SourceFile]:
    """The members, which are in canonical order, as units of work; `tree` gets their numbers."""
    return [
        SourceFile(kind, path, f"{tree}-{number:05d}", tuple(members[start : start + n_members]))
        for number, start in enumerate(range(0, len(members), n_members))
    ]


def taken(number: int, name: str, document: Document, notes: tuple[str, ...] = ()) -> Record:
    """A document, unless its text is empty: nothing but white space."""
    if not document.text.strip():
        return Record(number, name, reason="empty", notes=notes)
    return Record(number, name, document, notes=notes)


def faulty(number: int, name: str, fault: str, raw: bytes = b"") -> Record:
    return Record(number, name, fault=" ".join(fault.split()), raw=raw[:RAW_BYTES])


def too_large(n_bytes: int, max_bytes: int) -> str:
    """The fault of a record of at least that many bytes."""
    return f"{n_bytes} bytes, max_record_bytes is {max_bytes}: raise it to read this"
