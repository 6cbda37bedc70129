"""Stack Exchange data dumps: a document a question, with its answers, from Posts.xml.

Posts.xml is plain, .gz, .bz2 or .zst, or lies in the official .7z archive (then py7zr is needed).
The text is the title, the question and the answers, best score first and among equal ones by id,
each parted from what is before by a line `---`. Questions come in the order of their ids. Rows that
are neither question nor answer, and those that cannot be read, come first, in the order of the
file; `number` counts what is given.

`id` is `SITE/ID` as in `cooking.stackexchange.com/12` where a folder or archive bears the name of
a site, so that many sites can be one source; else the question's number alone.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import lzma
import os
import re
from collections.abc import Iterator

import msgspec

from dolma_kit.config import Extract
from dolma_kit.errors import ConfigError
from dolma_kit.extraction import dates, joining
from dolma_kit.extraction.joining import Thread
from dolma_kit.extraction.outcomes import faulty, taken, too_large
from dolma_kit.extraction.records import Document, Record, SourceFile
from dolma_kit.extraction.streams import Stream
from dolma_kit.extraction.xml_stream import Element, XmlRecords

NAMES = re.compile(
    r"(^|/)([\w.-]+[-_.])?posts\.xml(\.(gz|bz2|zst|zstd))?$|(^|/)[\w.-]+\.7z$", re.IGNORECASE
)
OTHER_TABLES = re.compile(
    r"(^|/)(badges|comments|posthistory|postlinks|tags|users|votes)\.xml(\.\w+)?$"
    r"|\.com-(badges|comments|posthistory|postlinks|tags|users|votes)\.7z$",
    re.IGNORECASE,
)
SEPARATOR = "\n\n---\n\n"
LICENCES = "licences"
_ROOT = re.compile(rb"<posts[\s>]")
_SITE = re.compile(r"([a-z0-9-]+\.)+(com|net|org)")
_ARCHIVE = re.compile(r"(-posts)?\.7z$|[-_.]posts\.xml(\.\w+)?$", re.IGNORECASE)
_TAG = re.compile(r"[<|]([^<>|]+)(?=[>|])")
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
QUESTION, ANSWER = 1, 2


class Post(msgspec.Struct, array_like=True):
    """What is kept of a row."""

    id: int
    parent_id: int  # of an answer; else 0
    score: int
    body: str
    title: str | None
    created: str | None
    licence: str | None
    n_comments: int
    tags: list[str]
    n_views: int | None
    n_answers: int | None
    accepted_id: int | None
    closed: str | None
    deleted: str | None


def is_stack_exchange(path: str, head: bytes) -> bool:
    """By the name of a file and its first bytes, decompressed."""
    if not NAMES.search(path) or OTHER_TABLES.search(path):
        return False
    return path.lower().endswith(".7z") or _ROOT.search(head) is not None


def read(file: SourceFile, settings: Extract) -> Iterator[Record]:
    """The threads of a site. It keeps intermediate files: all posts, compressed."""
    numbers = itertools.count(1)
    host = site_of(file.path)
    site = host or settings.source or os.path.basename(os.path.dirname(os.path.abspath(file.path)))
    encoder = msgspec.msgpack.Encoder()
    last: Record | None = None
    with joining.spilling(settings) as spill, contextlib.ExitStack() as stack:
        try:
            path = _unpacked(file.path, spill.folder)
        except _Unreadable as error:
            yield faulty(1, file.path, str(error))
            return
        stream = Stream(path)
        stack.callback(stream.close)
        for row, found in enumerate(
            XmlRecords(stream, root="posts", record="row", max_bytes=settings.max_record_bytes), 1
        ):
            name = f"row {row}"
            if found.element is None:
                fault = f"{name}: {found.fault}"
                if found.is_last:
                    last = faulty(0, name, fault, found.raw)
                else:
                    yield faulty(next(numbers), name, fault, found.raw)
                continue
            try:
                kind, post = _post(found.element)
            except _Unreadable as error:
                yield faulty(next(numbers), name, f"{name}: {error}", found.raw)
                continue
            if kind == QUESTION:
                spill.add((post.id, QUESTION, 0, post.id), encoder.encode(post))
            elif kind == ANSWER:
                spill.add((post.parent_id, ANSWER, -post.score, post.id), encoder.encode(post))
            else:
                detail = f"PostTypeId {kind}"
                yield Record(next(numbers), f"post {post.id}", reason="post type", detail=detail)
        for thread in joining.threads(spill, settings.max_record_bytes):
            yield from _records(thread, numbers, site, host, settings.max_record_bytes)
    if last is not None:
        yield last._replace(number=next(numbers))


def site_of(path: str) -> str | None:
    """The host of the site that a dump is of, by the name of its archive or folder.

    >>> site_of("dumps/cooking.stackexchange.com/Posts.xml.gz"), site_of("dumps/Posts.xml")
    ('cooking.stackexchange.com', None)
    >>> site_of("stackoverflow.com-Posts.7z")
    'stackoverflow.com'
    """
    folder, name = os.path.split(path if "://" in path else os.path.abspath(path))
    for one in (_ARCHIVE.sub("", name), os.path.basename(folder)):
        if _SITE.fullmatch(one.lower()):
            return one.lower()
    return None


class _Unreadable(Exception):
    """A row or file that cannot be read, and why."""


def _post(row: Element) -> tuple[int, Post]:
    """A row's PostTypeId and what is kept of it."""
    of = row.attributes
    if row.tag != "row":
        raise _Unreadable(f"<{row.tag}> where a <row> was expected")
    kind = _needed(of, "PostTypeId")
    return kind, Post(
        id=_needed(of, "Id"),
        parent_id=_needed(of, "ParentId") if kind == ANSWER else 0,
        score=_integer(of, "Score") or 0,
        body=of.get("Body", ""),
        title=of.get("Title"),
        created=of.get("CreationDate"),
        licence=of.get("ContentLicense"),
        n_comments=_integer(of, "CommentCount") or 0,
        tags=_TAG.findall(of.get("Tags", "")),
        n_views=_integer(of, "ViewCount"),
        n_answers=_integer(of, "AnswerCount"),
        accepted_id=_integer(of, "AcceptedAnswerId"),
        closed=dates.iso(of.get("ClosedDate")),
        deleted=dates.iso(of.get("DeletionDate")),
    )


def _needed(of: dict[str, str], name: str) -> int:
    value = _integer(of, name)
    if value is None:
        raise _Unreadable(f"no {name}")
    return value


def _integer(of: dict[str, str], name: str) -> int | None:
    value = of.get(name)
    if not value:
        return None
    if not _INTEGER.fullmatch(value):
        raise _Unreadable(f"{name} is {value[:40]!r}, not an integer")
    return int(value)


_decoder = msgspec.msgpack.Decoder(Post)


def _records(
    thread: Thread, numbers: Iterator[int], site: str, host: str | None, max_bytes: int
) -> Iterator[Record]:
    """A thread as a document, after what of it is none."""
    posts = [(key[1], _decoder.decode(row)) for key, row in thread.rows]
    questions = [post for kind, post in posts if kind == QUESTION]
    answers = [post for kind, post in posts if kind == ANSWER]
    if thread.is_too_large:
        raw = thread.rows[0][1] if thread.rows else b""
        fault = f"question {thread.number} with its answers: {too_large(thread.n_bytes, max_bytes)}"
        yield faulty(next(numbers), f"question {thread.number}", fault, raw)
        return
    if not questions:
        for answer in answers:
            detail = f"question {thread.number} is not there"
            name = f"answer {answer.id}"
            yield Record(next(numbers), name, reason="orphan", detail=detail)
        return
    for other in questions[1:]:
        name = other.title or f"question {other.id}"
        detail = f"of question {other.id}"
        yield Record(next(numbers), name, reason="duplicate", detail=detail)
    yield _record(next(numbers), questions[0], answers, site, host)


def _record(
    number: int, question: Post, answers: list[Post], site: str, host: str | None
) -> Record:  # fmt: skip
    notes = []
    unique = list({answer.id: answer for answer in reversed(answers)}.values())[::-1]
    if len(unique) < len(answers):
        notes.append("duplicate answers")
    created = dates.iso(question.created)
    if created is None and question.created:
        notes.append("unreadable date")
    posts = [question, *unique]
    bodies = [text_of(post.body) for post in posts]
    asked = "\n\n".join(part for part in (_line(question.title), bodies[0]) if part)
    text = SEPARATOR.join(part for part in (asked, *bodies[1:]) if part)
    given = {
        "title": _line(question.title) or None,
        "url": f"https://{host}/questions/{question.id}" if host else None,
        "site": site,
        "tags": question.tags,
        "score": question.score,
        "view_count": question.n_views,
        "answer_count": question.n_answers,
        "accepted_answer_id": question.accepted_id,
        "comments": sum(post.n_comments for post in posts),
        LICENCES: sorted({post.licence for post in posts if post.licence}),
        "closed": question.closed,
        "deleted": question.deleted,
    }
    metadata = {key: value for key, value in given.items() if value is not None}
    id_ = f"{host}/{question.id}" if host else str(question.id)
    name = _line(question.title) or f"question {question.id}"
    return taken(number, name, Document(id_, text, created, metadata), tuple(notes))


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def text_of(html: str) -> str:
    """A body as text: all of it, for it is a fragment that has no boilerplate.

    >>> print(text_of("<p>Use <code>a</code>:</p><pre><code>if a:\\n    b\\n</code></pre>"))
    Use a:
    <BLANKLINE>
    if a:
        b
    """
    from resiliparse.extract.html2text import extract_plain_text

    html = html.replace("</pre>", "</pre><p></p>")  # a paragraph ends there, too
    text = str(extract_plain_text(html, main_content=False, alt_texts=False))
    return text.strip("\n").rstrip()


def _unpacked(path: str, folder: str) -> str:
    """Where Posts.xml lies: the path itself, or unpacked from an archive into a folder."""
    if not path.lower().endswith(".7z"):
        return path
    try:
        py7zr = importlib.import_module("py7zr")  # no dependency: few have archives only
    except ImportError:
        raise ConfigError(
            f"{path}: to read .7z, pip install py7zr, or unpack it (7z x {os.path.basename(path)}) "
            "and give its Posts.xml"
        ) from None
    try:
        with py7zr.SevenZipFile(path) as archive:
            names = [name for name in archive.getnames() if os.path.basename(name) == "Posts.xml"]
            if not names:
                raise _Unreadable(f"{path} holds no Posts.xml")
            archive.extract(path=folder, targets=names[:1])
    except (py7zr.exceptions.ArchiveError, lzma.LZMAError, EOFError, ValueError) as error:
        raise _Unreadable(f"broken 7z: {error or type(error).__name__}") from None
    return os.path.join(folder, names[0])
