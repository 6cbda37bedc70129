"""Folders and zip archives of pages and texts, and single files of them: a record a file.

Read are HTML (.html, .htm, .xhtml, .shtml), plain text (.txt, .text) and markup that is kept as
text (.md, .markdown, .rst, .adoc, .asciidoc), each also as .gz, .bz2 or .zst. With `--kind html`,
`text` or `markdown` these alone, and then also files whose names have no suffix. `metadata.path` is
the path in the folder, `metadata.charset` the encoding; YAML front matter goes into the metadata,
its date is `created`.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dolma_kit import files
from dolma_kit.errors import DolmaKitError
from dolma_kit.extraction import charsets, dates, front_matter
from dolma_kit.extraction.arrow_tables import as_json
from dolma_kit.extraction.outcomes import (
    MEMBERS,
    MOST_UNITS,
    REPLACED,
    byte_order,
    document_id,
    faulty,
    name_of,
    shown,
    taken,
    too_large,
    units,
)
from dolma_kit.extraction.records import RAW_BYTES, Document, Record, SourceFile
from dolma_kit.extraction.streams import Stream
from dolma_kit.extraction.zip_archives import MAGIC, NAMES, Archive, Unreadable

if TYPE_CHECKING:
    from dolma_kit.config import Extract

KIND = "files"
SUFFIXES = {
    ".html": "html", ".htm": "html", ".xhtml": "html", ".shtml": "html",
    ".txt": "text", ".text": "text",
    ".md": "markdown", ".markdown": "markdown", ".rst": "markdown", ".adoc": "markdown",
    ".asciidoc": "markdown",
}  # fmt: skip
_COMPRESSED = re.compile(r"\.(gz|bz2|zst|zstd)$", re.IGNORECASE)
_ARCHIVES = re.compile(r"\.(zip|tar|tgz|7z|rar|xz|jar|epub|warc)$|\.tar\.\w+$", re.IGNORECASE)
_ARCHIVE_MAGIC = (*MAGIC, b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"7z\xbc\xaf",
                  b"Rar!\x1a")  # fmt: skip
_GONE = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR)


class Content(NamedTuple):
    """What there is of a member: its bytes, or why it is left out, or why it cannot be read."""

    data: bytes = b""
    reason: str | None = None
    detail: str = ""
    fault: str | None = None


class _Place(Protocol):
    """Where members lie. `contents` are those of a name, which only in archives can be several;
    of a name that is `unwanted` for a reason, no more is read than tells whether it is binary."""

    fault: str | None

    def contents(self, member: str, max_bytes: int, unwanted: bool) -> Iterator[Content]: ...

    def close(self) -> None: ...


def form_of(name: str) -> str | None:
    """html, text or markdown, by a file's name; None for others."""
    return SUFFIXES.get(os.path.splitext(_COMPRESSED.sub("", name))[1].lower())


def is_zip(path: str, head: bytes) -> bool:
    """By the name of a file and its first bytes."""
    return bool(NAMES.search(path)) and (head.startswith(MAGIC) or not head)


def members_of(path: str) -> list[SourceFile]:
    """Units of work for a folder or zip of files, in canonical order of their members; for any
    other file, one without members.

    A unit has at most MEMBERS of them; of a zip no more than MOST_UNITS units are made, for each
    reads the list of members anew. Every file of a folder is a member, links and special files,
    too, but not what lies in a `.git`.
    """
    tree = os.path.splitext(_COMPRESSED.sub("", name_of(path)))[0]
    if files.is_folder(path):
        return units(KIND, path, sorted(_below(path), key=byte_order), name_of(path))
    if not NAMES.search(path):
        return [SourceFile(KIND, path, tree)]
    archive = Archive(path)
    archive.close()
    members = sorted(archive.members, key=byte_order)
    if not members or archive.fault is not None:
        return [SourceFile(KIND, path, tree)]
    return units(KIND, path, members, tree, max(MEMBERS, -(-len(members) // MOST_UNITS)))


def units_of(folder: str, members: Sequence[str], tree: str) -> list[SourceFile]:
    """Units of work for some files of a folder, which a glob matches: paths in it."""
    return units(KIND, folder, sorted(members, key=byte_order), tree)


def _below(root: str) -> Iterator[str]:
    """Paths of all files below a local or remote folder, and of links to folders."""
    if files.is_remote(root):
        base = root.rstrip("/") + "/"
        yield from (path[len(base) :] for path in files.expand(base + "**"))
        return
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if not entry.is_dir(follow_symlinks=False):
                    yield path
                elif entry.name != ".git":
                    waiting.append(path)


def read(file: SourceFile, settings: Extract) -> Iterator[Record]:
    """A record for each member of the unit; what is wrong with an archive as a whole is the last.

    The text of a member is as it stands, line breaks included; that of HTML, what the extractor
    makes of it. Ids are those of `outcomes.document_id`, by the member's path.
    """
    place: _Place
    members: Sequence[str] = file.members
    if files.is_folder(file.path):
        place = _Folder(file.path)
    elif NAMES.search(file.path):
        place = _Zip(file.path)
        members = members or sorted(place.archive.members, key=byte_order)
    else:
        place = _Lone(file.path)
        members = [name_of(file.path)]
    number = 1
    try:
        for member in members:
            name, form = shown(member), _form(member, file, settings)
            found = place.contents(member, settings.max_record_bytes, form is None)
            for nth, content in enumerate(found):
                yield _record(number, name, member, form, nth, content, file, settings)
                number += 1
        if place.fault is not None:
            yield faulty(number, shown(name_of(file.path)), place.fault)
    finally:
        place.close()


def _form(member: str, file: SourceFile, settings: Extract) -> str | None:
    """What a member is taken for; None if it is not wanted."""
    form = form_of(member)
    if settings.kind not in SUFFIXES.values():
        return form
    is_lone = not file.members and not NAMES.search(file.path)
    if form is None and (is_lone or "." not in os.path.basename(member)[1:]):
        return settings.kind
    return form if form == settings.kind else None


def _record(
    number: int,
    name: str,
    member: str,
    form: str | None,
    nth: int,
    content: Content,
    file: SourceFile,
    settings: Extract,
) -> Record:
    data = content.data
    if content.fault is not None:
        return faulty(number, name, content.fault, data)
    if content.reason is not None:
        return Record(number, name, reason=content.reason, detail=content.detail)
    if is_hidden(member):
        return Record(number, name, reason="hidden", detail="its name begins with a dot")
    if _ARCHIVES.search(member) or data.startswith(_ARCHIVE_MAGIC):
        return Record(number, name, reason="archive", detail="what is in it is not looked at")
    if charsets.is_binary(data):
        return Record(number, name, reason="binary")
    if form is None:
        suffix = os.path.splitext(name)[1]
        return Record(number, name, reason="type", detail=suffix or "a name without a suffix")
    if len(data) > settings.max_record_bytes:
        return faulty(number, name, too_large(len(data), settings.max_record_bytes), data)
    place = (member, str(nth)) if nth else (member,)  # of those of one name, the first is plain
    id_ = document_id("file", file, *place)
    if form == "html":
        return _page(number, name, id_, data, settings)
    return _text(number, name, id_, data, form)


def _text(number: int, name: str, id_: str, data: bytes, form: str) -> Record:
    decoded = charsets.decode(data, "utf-8")  # a <meta> in it would be its subject
    notes: tuple[str, ...] = (REPLACED,) if decoded.n_replaced else ()
    text, metadata, created = decoded.text, {}, None
    if form == "markdown":
        said, text, note = front_matter.split(text)
        metadata = as_json(said)
        if "date" in said and (created := dates.iso(said["date"])) is not None:
            del metadata["date"]
        notes += (note,) if note else ()
    metadata |= {"path": name, "charset": decoded.charset}
    return taken(number, name, Document(id_, text, created, metadata), notes)


def _page(number: int, name: str, id_: str, data: bytes, settings: Extract) -> Record:
    """A page of HTML, whose date is the one that it says it was published at."""
    from dolma_kit.extraction import elements, page_facts, pages

    decoded = charsets.decode(data)
    try:
        written = elements.written(decoded.text)
        if settings.extractor == "resiliparse":
            text = pages.text_of_page(written).strip()
        else:
            text = pages.extract_text(decoded.text, settings.extractor).strip()
    except DolmaKitError as error:
        return faulty(number, name, str(error), data)
    facts = page_facts.facts_of_page(written)
    metadata = page_facts.metadata_of(facts)
    metadata |= {"path": name, "charset": decoded.charset}
    if settings.store_html:
        metadata["html"] = decoded.text
    notes = (REPLACED,) if decoded.n_replaced else ()
    return taken(number, name, Document(id_, text, dates.iso(facts.published), metadata), notes)


class _Folder:
    """Files of a folder; a link is followed to a file that lies in the folder, too."""

    fault: str | None = None

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") if files.is_remote(root) else root
        self._real = root if files.is_remote(root) else os.path.realpath(root) + os.sep

    def contents(self, member: str, max_bytes: int, unwanted: bool) -> Iterator[Content]:
        if files.is_remote(self._root):
            path = f"{self._root}/{member}"
            yield _stored(path, member, files.size(path), max_bytes, unwanted)
            return
        path = os.path.join(self._root, member)
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                if not os.path.realpath(path).startswith(self._real):
                    yield Content(reason="link", detail="it leads out of the folder")
                    return
                status = os.stat(path)
                if stat.S_ISDIR(status.st_mode):
                    yield Content(reason="link", detail="to a folder")
                    return
            if not stat.S_ISREG(status.st_mode):
                yield Content(reason="special file")  # reading a pipe may never end
                return
            yield _stored(path, member, status.st_size, max_bytes, unwanted)
        except OSError as error:
            if error.errno not in _GONE:
                raise  # the disk
            is_link = os.path.islink(path)
            yield (
                Content(reason="link", detail="it leads nowhere")
                if is_link and error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)
                else Content(fault=os.strerror(error.errno))
            )

    def close(self) -> None: ...


class _Lone:
    """A file by itself."""

    fault: str | None = None

    def __init__(self, path: str) -> None:
        self._path = path

    def contents(self, member: str, max_bytes: int, unwanted: bool) -> Iterator[Content]:
        yield _stored(self._path, member, files.size(self._path), max_bytes, unwanted)

    def close(self) -> None: ...


class _Zip:
    """Members of an archive; one that is a symbolic link is none."""

    def __init__(self, path: str) -> None:
        self.archive = Archive(path)
        self.fault = self.archive.fault

    def contents(self, member: str, max_bytes: int, unwanted: bool) -> Iterator[Content]:
        for one in self.archive.members.get(member, []):
            if one.is_link:
                yield Content(reason="link", detail="of a zip")
                continue
            most = charsets.SAMPLE_BYTES if unwanted else max_bytes
            if one.n_bytes > max_bytes and not unwanted:
                yield Content(fault=too_large(one.n_bytes, max_bytes))
                continue
            try:
                data = self.archive.read(one, most)
            except Unreadable as error:
                yield Content(fault=str(error))
                continue
            if _COMPRESSED.search(member) and not unwanted:
                yield Content(reason="archive", detail="compressed within a zip")
                continue
            yield Content(data)

    def close(self) -> None:
        self.archive.close()


def _stored(path: str, member: str, size: int, max_bytes: int, unwanted: bool) -> Content:
    """The bytes of a file, decompressed by its name, at most one more than may be."""
    if unwanted:
        with files.open_raw(path) as raw:
            return Content(raw.read(charsets.SAMPLE_BYTES))
    if not _COMPRESSED.search(member):
        if size > max_bytes:
            with files.open_raw(path) as raw:
                return Content(raw.read(RAW_BYTES), fault=too_large(size, max_bytes))
        with files.open_raw(path) as raw:
            return Content(raw.read(max_bytes + 1))
    stream = Stream(path)
    try:
        pieces, n_bytes = [], 0
        for block in stream:
            pieces.append(block)
            n_bytes += len(block)
            if n_bytes > max_bytes:
                return Content(pieces[0][:RAW_BYTES], fault=too_large(n_bytes, max_bytes))
        return Content(b"".join(pieces), fault=stream.fault)
    finally:
        stream.close()


def is_hidden(member: str) -> bool:
    """Whether it or a folder above it has a name with a dot in front."""
    return any(part.startswith(".") and part not in (".", "..") for part in member.split("/"))
