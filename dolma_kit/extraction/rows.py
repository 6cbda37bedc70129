"""Rows of tables as records: which fields are text, id and date, and what becomes of the others.

Without `text_key`, `id_key`, `created_key`, the first row that has any of TEXT_NAMES decides for
its file: of each list the first name that the row has with no list or object as its value. Letters
may be small or capital. A file whose deciding row has none of ID_NAMES gets ids by row number.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit.extraction import dates
from dolma_kit.extraction.outcomes import document_id, faulty, taken, too_large
from dolma_kit.extraction.records import Document, Record, SourceFile

if TYPE_CHECKING:
    from dolma_kit.config import Extract

TEXT_NAMES = (
    "text", "content", "body", "article", "raw_content", "document", "page_content", "raw_text",
    "full_text", "maintext", "passage",
)  # fmt: skip
ID_NAMES = ("id", "_id", "doc_id", "docid", "document_id", "uuid", "guid", "url", "uri")
CREATED_NAMES = (
    "created", "created_at", "date", "timestamp", "published", "published_at", "date_published",
    "publish_date", "published_date", "pub_date", "date_publish", "created_utc", "datetime",
)  # fmt: skip
URL_NAMES = ("url", "uri")  # stay in the metadata where they are the id, too
UNREADABLE_DATE = "unreadable date"  # a note; the value stays in the metadata
_NAME_CHARACTERS = 200

Path = tuple[str, ...]


class Rows:
    """Makes records of the rows of one file, in their order."""

    def __init__(self, file: SourceFile, settings: Extract) -> None:
        self._file = file
        self._settings = settings
        self._text: str | None = settings.text_key
        self._id: str | None = settings.id_key
        self._created: str | None = settings.created_key
        self._is_decided = False

    def record(self, number: int, row: dict[str, Any], raw: Callable[[], bytes]) -> Record:
        """What becomes of a row; `raw` gives its bytes if they are needed."""
        place = f"{self._file.tree}:{number}"
        try:
            return self._taken(number, row, place)
        except _Unfit as unfit:
            return faulty(number, place, unfit.args[0], raw())

    def _decide(self, row: dict[str, Any]) -> None:
        if self._text is None:
            self._text = _first(row, TEXT_NAMES)
            if self._text is None:
                fields = ", ".join(map(str, list(row)[:20])) or "none"
                raise _Unfit(
                    f"no text: it has none of {', '.join(TEXT_NAMES)}: name it with --text-key "
                    f"(the fields are {fields})"
                )
        if self._id is None:
            self._id = _first(row, ID_NAMES, without=self._text)
        if self._created is None:
            self._created = _first(row, CREATED_NAMES, without=self._text)
        self._is_decided = True

    def _taken(self, number: int, row: dict[str, Any], place: str) -> Record:
        if not self._is_decided:
            self._decide(row)
        assert self._text is not None
        text, text_path = _found(row, self._text)
        if text_path is None:
            raise _Unfit(f"no field {self._text!r}, which has the text of this file")
        if not isinstance(text, str):
            raise _Unfit(f"the text, {self._text!r}, is {_kind(text)}, not a string")
        limit = self._settings.max_record_bytes
        if len(text) * 4 > limit and (n_bytes := len(text.encode())) > limit:
            raise _Unfit(too_large(n_bytes, limit))
        used = [text_path]
        if self._id is None:
            made_id = document_id("row", self._file, str(number))
        else:
            given, id_path = _found(row, self._id)
            made_id = _as_id(given, self._id, id_path is not None)
            if id_path is not None and id_path[-1].lower() not in URL_NAMES:
                used.append(id_path)
        notes: tuple[str, ...] = ()
        created = None
        if self._created is not None:
            given, created_path = _found(row, self._created)
            created = dates.iso(given)
            if created is not None and created_path is not None:
                used.append(created_path)
            elif given not in (None, ""):
                notes = (UNREADABLE_DATE,)
        metadata = self._metadata(row, used)
        document = Document(made_id, text, created, metadata)
        name = place if self._id is None else made_id
        for key in ("url", "title"):
            if isinstance(value := metadata.get(key), str) and value:
                name = value
                break
        return taken(number, name[:_NAME_CHARACTERS], document, notes)

    def _metadata(self, row: dict[str, Any], used: list[Path]) -> dict[str, Any]:
        keys = self._settings.metadata_keys
        if keys:
            chosen: dict[str, Any] = {}
            for key in keys:
                value, path = _found(row, key)
                if path is not None:
                    _put(chosen, path, value)
            return chosen
        rest = row
        for path in used:
            rest = _without(rest, path)
        return _lifted(rest)


class _Unfit(Exception):
    """A row that cannot be a document, and why."""


def columns_of(names: Iterable[str], settings: Extract) -> list[str] | None:
    """Of a table's columns those that a row needs; None for all of them."""
    if not settings.metadata_keys:
        return None
    keys = (settings.text_key, settings.id_key, settings.created_key)
    wanted = {key for key in (*keys, *settings.metadata_keys) if key}
    wanted |= {key.split(".")[0] for key in wanted}
    for key, defaults in zip(keys, (TEXT_NAMES, ID_NAMES, CREATED_NAMES), strict=True):
        wanted.update(() if key else defaults)
    return [name for name in names if name in wanted or name.lower() in wanted]


def missing_text(names: list[str], settings: Extract) -> str | None:
    """Why no row of a table with these columns can have a text; None where one can."""
    key = settings.text_key
    lowered = {name.lower() for name in names}
    there = ", ".join(names[:20]) or "none"
    if key is None and not lowered.intersection(TEXT_NAMES):
        wanted = ", ".join(TEXT_NAMES)
        return f"no column of {wanted}: name it with --text-key (columns: {there})"
    if key is not None and key not in names and key.split(".")[0] not in names:
        return f"no column {key!r}, which --text-key names (columns: {there})"
    return None


@functools.lru_cache(maxsize=256)
def _path(key: str) -> Path:
    return tuple(key.split("."))


def _found(row: dict[str, Any], key: str) -> tuple[Any, Path | None]:
    """The value of a field or, for `a.b`, of one within it; (None, None) where there is none."""
    if key in row:
        return row[key], (key,)
    value: Any = row
    for part in _path(key):
        if not isinstance(value, dict) or part not in value:
            return None, None
        value = value[part]
    return value, _path(key)


def _first(row: dict[str, Any], names: tuple[str, ...], without: str | None = None) -> str | None:
    spelled: dict[str, str] = {}
    for key in row:
        spelled.setdefault(key.lower(), key)
    for name in names:
        key = name if name in row else spelled.get(name, "")
        if key in row and key != without and not isinstance(row[key], dict | list):
            return key
    return None


def _as_id(value: Any, key: str, is_there: bool) -> str:
    if not is_there:
        raise _Unfit(f"no field {key!r}, which has the ids of this file")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _Unfit(f"the id, {key!r}, is {_kind(value)}, neither a string nor a number")
    if value == "":
        raise _Unfit(f"the id, {key!r}, is empty")
    return str(value)


def _kind(value: Any) -> str:
    for kind, name in (
        (bool, "true or false"), (int | float, "a number"), (str, "a string"), (list, "a list"),
        (dict, "an object"),
    ):  # fmt: skip
        if isinstance(value, kind):
            return name
    return "null" if value is None else f"a {type(value).__name__}"


def _without(row: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A copy that lacks one value; objects on the way to it are copied, too."""
    head, *rest = path
    if not rest:
        return {key: value for key, value in row.items() if key != head}
    return {**row, head: _without(row[head], tuple(rest))} if head in row else dict(row)


def _put(chosen: dict[str, Any], path: Path, value: Any) -> None:
    for part in path[:-1]:
        chosen = chosen.setdefault(part, {})
        if not isinstance(chosen, dict):
            return  # the object that holds it was chosen as a whole
    chosen[path[-1]] = value


def _lifted(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the members of its `metadata` as its own, as long as no name is there twice.

    Dolma's documents have an object there; Parquet files of them, the same as a string of JSON.
    """
    inner = row.get("metadata")
    if isinstance(inner, str) and inner.startswith("{"):
        try:
            inner = msgspec.json.decode(inner)
        except (msgspec.DecodeError, RecursionError):
            return row
    if not isinstance(inner, dict) or any(key in row and key != "metadata" for key in inner):
        return row
    outer = {key: value for key, value in row.items() if key != "metadata"}
    return {**outer, **inner}
