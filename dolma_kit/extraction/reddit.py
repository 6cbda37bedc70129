"""Reddit dumps as Pushshift made them: a document a thread, from submissions and comments.

Files are lines of JSON, plain, .gz, .bz2 or .zst (with windows of up to 2 GiB, which then are what
reading needs in memory). A line with `link_id` is a comment, one with `title` a submission; a file
may hold both.

The text is the title and what was written below it, then the comments: answers below what they
answer, best score first, then the older one, then by id, two spaces deeper each, to MOST_DEPTH
levels. Texts that were removed or deleted are left out; `metadata.removed` counts them. Comments
whose submission is not there make a thread without a title, those whose parent is not there stand
at the left. Markdown is left as it is. Names of authors are not kept.

Threads come in the order of their ids. Lines that cannot be read come first, in the order of the
files; `number` counts what is given.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from dolma_kit.config import Extract
from dolma_kit.extraction import dates, entities, joining, parts
from dolma_kit.extraction.joining import Spill, Thread
from dolma_kit.extraction.outcomes import byte_order, faulty, taken, too_large
from dolma_kit.extraction.records import Document, Record, SourceFile
from dolma_kit.extraction.streams import Stream

KIND = "reddit"
MOST_DEPTH = 10
INDENT = "  "
REMOVED = frozenset(
    {"[removed]", "[deleted]", "[removed by reddit]", "[ removed by reddit ]", "[deleted by user]"}
)
_MONTHLY = re.compile(r"R[SC](_v\d)?_\d{4}-\d{2}(-\d{2})?$", re.IGNORECASE)
_HALVES = re.compile(r"(.+)_(comments|submissions)$", re.IGNORECASE)
_SUFFIXES = re.compile(r"(\.(jsonl|ndjson|json))?(\.(gz|bz2|zst|zstd))?$", re.IGNORECASE)
_FIELDS = re.compile(rb'"(link_id|selftext|subreddit_id)"\s*:')
_ID = re.compile(r"[0-9a-z]{1,11}", re.ASCII)
SUBMISSION, COMMENT = 0, 1


class _Line(msgspec.Struct):
    """The fields of a line that are of use, whatever they hold."""

    id: Any = None
    link_id: Any = None
    parent_id: Any = None
    title: Any = None
    selftext: Any = None
    body: Any = None
    created_utc: Any = None
    score: Any = None
    subreddit: Any = None
    over_18: Any = None
    num_comments: Any = None
    permalink: Any = None
    url: Any = None


class Submission(msgspec.Struct, array_like=True):
    """What is kept of a submission; a text that was removed is None."""

    title: str | None
    text: str | None
    created: str | None
    score: int
    subreddit: str | None
    over_18: bool | None
    n_comments: int | None
    permalink: str | None
    link: str | None


class Comment(msgspec.Struct, array_like=True):
    """What is kept of a comment; `parent` is None if that is the submission."""

    id: int
    parent: int | None
    text: str | None
    created: str | None
    score: int
    subreddit: str | None


def is_reddit(path: str, head: bytes) -> bool:
    """By the name of a file and its first bytes, decompressed."""
    stem = _SUFFIXES.sub("", os.path.basename(path))
    is_named = _MONTHLY.fullmatch(stem) or _HALVES.fullmatch(stem)
    return head.lstrip()[:1] == b"{" and bool(is_named) and _FIELDS.search(head) is not None


def members_of(paths: Iterable[str]) -> list[SourceFile]:
    """The units of work that files make: threads cross the files of a unit, never two of them.

    All monthly files (RC_2019-04.zst, RS_2019-04.zst) are one unit, `X_comments` and
    `X_submissions` another, and any other file is one of its own.
    """
    units: dict[str, list[str]] = {}
    for path in sorted(set(paths), key=byte_order):
        stem = _SUFFIXES.sub("", os.path.basename(path))
        halves = _HALVES.fullmatch(stem)
        if _MONTHLY.fullmatch(stem):
            unit = "months"
        elif halves is not None:
            unit = f"halves of {os.path.dirname(path)}/{halves[1]}"
        else:
            unit = f"file {path}"
        units.setdefault(unit, []).append(path)
    return [_unit(name, members) for name, members in units.items()]


def _unit(name: str, paths: list[str]) -> SourceFile:
    folders = [path.split("/")[:-1] for path in paths]
    levels = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))
    common = [names[0] for names in levels]
    folder = "/".join(common) or ("/" if paths[0].startswith("/") else ".")
    members = tuple("/".join(path.split("/")[len(common) :]) for path in paths)
    tree = "threads"
    if name != "months":
        stem = _SUFFIXES.sub("", os.path.basename(paths[0]))
        halves = _HALVES.fullmatch(stem)
        tree = stem if halves is None else halves[1]
    return SourceFile(KIND, folder, tree, members)


def read(file: SourceFile, settings: Extract) -> Iterator[Record]:
    """The threads of a unit's files. It keeps intermediate files: all texts, compressed."""
    numbers = itertools.count(1)
    broken: list[Record] = []
    with joining.spilling(settings) as spill:
        for member in file.members or ("",):
            path = os.path.join(file.path, member) if member else file.path
            name = member or os.path.basename(path)
            stream = Stream(path)
            try:
                for part in parts.lines(stream, settings.max_record_bytes):
                    place = f"{name}:{part.line}"
                    if part.fault is None:
                        try:
                            _spill(spill, part.data)
                            continue
                        except _Unreadable as error:
                            fault = str(error)
                    else:
                        fault = part.fault
                    record = faulty(0, place, f"{place}: {fault}", part.data)
                    if stream.fault is not None and part.fault is not None:
                        broken.append(record)
                    else:
                        yield record._replace(number=next(numbers))
            finally:
                stream.close()
        for thread in joining.threads(spill, settings.max_record_bytes):
            yield from _records(thread, numbers, settings.max_record_bytes)
    for record in broken:
        yield record._replace(number=next(numbers))


class _Unreadable(Exception):
    """A line that cannot be read, and why."""


_line_decoder = msgspec.json.Decoder(_Line)
_encoder = msgspec.msgpack.Encoder()


def _spill(spill: Spill, data: bytes) -> None:
    try:
        line = _line_decoder.decode(data)
        data.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _Unreadable(f"no JSON object: {error}") from None
    id_ = _number(line.id, "id")
    if line.link_id is not None:
        thread = _number(line.link_id, "link_id")
        comment = Comment(
            id=id_,
            parent=_parent(line.parent_id),
            text=_text(line.body, "body"),
            created=dates.iso(line.created_utc),
            score=_integer(line.score, "score") or 0,
            subreddit=_string(line.subreddit),
        )
        spill.add((thread, COMMENT, id_), _encoder.encode(comment))
        return
    if line.title is None:
        raise _Unreadable("neither a comment, with link_id, nor a submission, with title")
    submission = Submission(
        title=_text(line.title, "title"),
        text=_text(line.selftext, "selftext"),
        created=dates.iso(line.created_utc),
        score=_integer(line.score, "score") or 0,
        subreddit=_string(line.subreddit),
        over_18=line.over_18 if isinstance(line.over_18, bool) else None,
        n_comments=_integer(line.num_comments, "num_comments"),
        permalink=_string(line.permalink),
        link=_string(line.url),
    )
    spill.add((id_, SUBMISSION, 0), _encoder.encode(submission))


def _number(value: Any, name: str) -> int:
    """The number that an id is in base 36, with or without its kind (`t1_`, `t3_`) before it."""
    text = value if isinstance(value, str) else ""
    text = text[3:] if text.startswith(("t1_", "t3_")) else text
    if not _ID.fullmatch(text):
        shown = msgspec.json.encode(value)[:40].decode("utf-8", "replace")
        raise _Unreadable(f"no {name}" if value is None else f"{name} is {shown}, not an id")
    return int(text, 36)


def _parent(value: Any) -> int | None:
    """The comment that one answers; None for the submission, or where nothing is told."""
    if value is None or (isinstance(value, str) and value.startswith("t3_")):
        return None
    return _number(value, "parent_id")


def _text(value: Any, name: str) -> str | None:
    """A text as it was written (the dumps have `&`, `<`, `>` as references); None if removed."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Unreadable(f"{name} is no string")
    text = value.strip()
    if text.lower() in REMOVED:
        return None
    for reference, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(reference, character)
    text = entities.decoded(text).replace("\u200b", "")  # an empty line is often `&amp;#x200B;`
    return re.sub(r"\n{3,}", "\n\n", text.replace("\r\n", "\n")).strip()


def _integer(value: Any, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 62:
        shown = msgspec.json.encode(value)[:40].decode("utf-8", "replace")
        raise _Unreadable(f"{name} is {shown}, not an integer")
    return value


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


_submissions = msgspec.msgpack.Decoder(Submission)
_comments = msgspec.msgpack.Decoder(Comment)


def _records(thread: Thread, numbers: Iterator[int], max_bytes: int) -> Iterator[Record]:
    """A thread as a document, after what of it is none."""
    id_ = base36(thread.number)
    if thread.is_too_large:
        raw = thread.rows[0][1] if thread.rows else b""
        fault = f"thread {id_}: {too_large(thread.n_bytes, max_bytes)}"
        yield faulty(next(numbers), id_, fault, raw)
        return
    found = [_submissions.decode(row) for key, row in thread.rows if key[1] == SUBMISSION]
    comments = [_comments.decode(row) for key, row in thread.rows if key[1] == COMMENT]
    for other in found[1:]:
        yield Record(next(numbers), other.title or id_, reason="duplicate", detail=f"of {id_}")
    yield _record(next(numbers), id_, found[0] if found else None, comments)


def _record(number: int, id_: str, top: Submission | None, comments: list[Comment]) -> Record:
    unique = list({comment.id: comment for comment in reversed(comments)}.values())
    ordered = tree(unique)
    kept = [(depth, comment.text) for depth, comment in ordered if comment.text]
    n_removed = sum(comment.text is None for comment in unique)
    head: list[str | None] = [] if top is None else [top.title, top.text]
    n_removed += head.count(None)
    known = {comment.id for comment in unique}
    n_lost = sum(comment.parent is not None and comment.parent not in known for comment in unique)
    notes = [
        note
        for note, is_so in (
            ("no submission", top is None),
            ("removed texts", n_removed > 0),
            ("duplicate comments", len(unique) < len(comments)),
            ("comments without the one they answer", n_lost > 0),
        )
        if is_so
    ]
    text = "\n\n".join(
        [part for part in head if part] + [_indented(text, depth) for depth, text in kept]
    )
    name = (top and top.title and " ".join(top.title.split())) or id_
    if not text and n_removed:
        return Record(number, name, reason="removed", notes=tuple(notes))
    given: dict[str, Any] = {"removed": n_removed, "comments": len(kept)}
    created = min((one.created for one in unique if one.created), default=None)
    subreddit = next((one.subreddit for _, one in ordered if one.subreddit), None)
    if top is not None:
        created = top.created
        subreddit = top.subreddit or subreddit
        is_own = top.link is not None and top.permalink is not None and top.permalink in top.link
        given |= {
            "title": top.title,
            "score": top.score,
            "over_18": top.over_18,
            "num_comments": top.n_comments,
            "permalink": top.permalink,
            "link": None if is_own else top.link,
        }
    given["subreddit"] = subreddit
    metadata = {key: value for key, value in given.items() if value is not None}
    return taken(number, name, Document(id_, text, created, metadata), tuple(notes))


def tree(comments: list[Comment]) -> list[tuple[int, Comment]]:
    """The comments of a thread, whose ids differ, with their depths, as they are read."""
    ordered = sorted(comments, key=lambda one: (-one.score, one.created or "", one.id))
    known = {one.id for one in ordered}
    below: dict[int | None, list[Comment]] = {}
    for one in ordered:
        below.setdefault(one.parent if one.parent in known else None, []).append(one)
    found: list[tuple[int, Comment]] = []
    seen: set[int] = set()
    # Those that answer each other in a circle are below nothing; they follow, from the first on.
    for top in (*below.get(None, ()), *ordered):
        waiting = [(0, top)]
        while waiting:
            depth, one = waiting.pop()
            if one.id in seen:
                continue
            seen.add(one.id)
            found.append((depth, one))
            waiting += [(depth + 1, answer) for answer in reversed(below.get(one.id, ()))]
    return found


def _indented(text: str, depth: int) -> str:
    before = INDENT * min(depth, MOST_DEPTH)
    return "\n".join(before + line if line.strip() else "" for line in text.split("\n"))


def base36(number: int) -> str:
    """
    >>> base36(int("1abz", 36))
    '1abz'
    """
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"
