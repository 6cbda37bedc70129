"""WARC and WET: pages of the web, by fastwarc, as documents in Dolma's form.

Of a WARC, `response` and `resource` records with the wanted status and type become documents; of a
WET file (or the `conversion` records of any) the text that somebody else has extracted. As with
`dolma warc`, `id` is the digest of the payload in lower case, `created` the HTTP header Date (else
WARC-Date), and `metadata` has `url` (canonical, without scheme and www), `warc_url`, `warc_date`
and `warc_filename` (of the warcinfo record), `content_type` and `uncompressed_offset`. Beyond that:
`domain`, `status`, `record_id`, `charset`, and what the page says of itself.
"""

from __future__ import annotations

import base64
import datetime
import email.utils
import hashlib
import io
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from dolma_kit.config import Extract
from dolma_kit.errors import DolmaKitError
from dolma_kit.extraction import addresses
from dolma_kit.extraction.records import Document, Record, SourceFile
from dolma_kit.extraction.span_taggers import SpanTaggers
from dolma_kit.extraction.warc_records import RawRecord, records

STATUSES = (200,)
HTML_TYPES = ("text/html", "application/xhtml+xml")
MIME_TYPES = (*HTML_TYPES, "text/plain")
SCHEMES = ("http", "https", "ftp")
#: SHA-1, MD5, SHA-256 or SHA-512, in base32 or hexadecimal
_DIGEST = re.compile(
    r"[a-z2-7]{32}=*|[a-z2-7]{26}=*|[a-z2-7]{52}=*|[a-z2-7]{103}=*|[0-9a-f]{32,128}"
)
AT_ONCE = 32  # pages that taggers see together


class _Warcinfo(NamedTuple):
    """What the warcinfo record says that stands before a record."""

    date: str | None
    id: str | None


class Payload(NamedTuple):
    """A record that is of interest, its HTTP part taken apart. `number` is the record's, from 1."""

    number: int
    record: RawRecord
    url: str
    headers: dict[str, str]
    http: dict[str, str]
    kind: str
    status: int | None
    type: str
    charset: str | None
    body: bytes
    info: _Warcinfo
    notes: tuple[str, ...]


class _Page(NamedTuple):
    """A page between its HTML and its text."""

    payload: Payload
    html: str
    written: str | None  # by the parser; None of what is no HTML
    metadata: dict[str, Any]
    notes: tuple[str, ...]


def read(file: SourceFile, settings: Extract) -> Iterator[Record]:
    """The records of one WARC or WET file."""
    return Reader(file, settings).records()


class Reader:
    """Reads one file. A payload that stood there before is a duplicate, and told where it was."""

    def __init__(self, file: SourceFile, settings: Extract) -> None:
        self._file = file
        self._settings = settings
        self._statuses = set(settings.statuses or STATUSES)
        self._types = set(settings.mime_types or MIME_TYPES)
        self._before = SpanTaggers(settings.pre_taggers, settings.plugin)
        self._seen: dict[str, tuple[int, bytes]] = {}  # id -> number of its record, payload's SHA-1

    def records(self) -> Iterator[Record]:
        waiting: list[Record | _Page] = []
        n_pages = 0
        for found in self._found():
            waiting.append(found)
            n_pages += isinstance(found, _Page)
            if n_pages == AT_ONCE:
                yield from self._finished(waiting)
                waiting, n_pages = [], 0
        yield from self._finished(waiting)

    def _found(self) -> Iterator[Record | _Page]:
        info = _Warcinfo(None, None)
        for number, raw in enumerate(records(self._file.path, self._settings.max_record_bytes), 1):
            if raw.fault is not None:
                url = _header(raw.header, b"warc-target-uri") or ""
                name = addresses.bare(url) or f"byte {raw.offset:,}"
                yield Record(number, name, fault=raw.fault, raw=raw.block or raw.header)
                continue
            parsed = self._parsed(number, raw, info)
            if isinstance(parsed, _Warcinfo):
                info = parsed
                yield Record(number, "warcinfo", reason="record type", detail="warcinfo")
            elif isinstance(parsed, Record):
                yield parsed
            else:
                yield self._page(parsed)

    def _parsed(
        self, number: int, raw: RawRecord, info: _Warcinfo
    ) -> Payload | Record | _Warcinfo:  # fmt: skip
        kind = (_header(raw.header, b"warc-type") or "unknown").lower()
        url = addresses.bare(_header(raw.header, b"warc-target-uri") or "")
        name = url or f"byte {raw.offset:,}"
        if kind == "warcinfo":
            date = _header(raw.header, b"warc-date")
            return _Warcinfo(date, _header(raw.header, b"warc-record-id"))
        if kind not in ("response", "resource", "conversion"):
            return Record(number, name, reason="record type", detail=kind)
        try:
            return self._payload(number, raw, info, url, kind)
        except (OSError, ValueError) as error:
            return Record(number, name, fault=f"not HTTP: {error}", raw=raw.block)

    def _payload(
        self, number: int, raw: RawRecord, info: _Warcinfo, url: str, kind: str
    ) -> Payload | Record:
        most = self._settings.max_record_bytes
        notes = ["wrong WARC Content-Length"] if raw.is_mended else []
        record, body = _with_body(raw, "all", most)
        if record is None:  # the headers say of a body how it was sent, not how it is kept
            record, body = _with_body(raw, "none", most)
            notes.append("not in the encoding that its header tells")
        if record is None:
            raise ValueError("the record cannot be taken apart")
        if len(body) > most:
            fault = f"a body of more than max_record_bytes ({most:,}), decompressed"
            return Record(number, url, fault=fault, raw=body)
        headers = {key.lower(): value for key, value in record.headers.asdict().items()}
        if "warc-truncated" in headers:
            notes.append("truncated by the crawler")
        if "warc-segment-number" in headers:
            notes.append("a segment of a record")
        http: dict[str, str] = {}
        status: int | None = None
        type_ = headers.get("content-type", "")
        if kind == "response" and record.is_http_parsed and record.http_headers is not None:
            http = {key.lower(): value for key, value in record.http_headers.asdict().items()}
            status, type_ = record.http_headers.status_code, http.get("content-type", "")
            told = http.get("content-length", "").strip()
            coded = "content-encoding" in http or "transfer-encoding" in http
            if told.isdigit() and int(told) != len(body) and not coded:
                notes.append("wrong HTTP Content-Length")
        mime, _, rest = type_.partition(";")
        return Payload(
            number, raw, url, headers, http, kind, status, mime.strip().lower(), _charset(rest),
            body, info, tuple(notes),
        )  # fmt: skip

    def _page(self, one: Payload) -> Record | _Page:
        """A page with its facts, or why it is none."""
        from dolma_kit.extraction import charsets, elements, page_facts

        if (left_out := self._unwanted(one, one.kind)) is not None:
            return Record(one.number, one.url, reason=left_out[0], detail=left_out[1])
        id_, odd = self._id(one)
        digest = hashlib.sha1(one.body).digest()
        first, other = self._seen.setdefault(id_, (one.number, digest))
        if first != one.number:
            place = f"of record {first:,}: {id_}"
            if digest != other:
                fault = f"the id {place}, whose payload is another"
                return Record(one.number, one.url, fault=fault, raw=one.body)
            return Record(one.number, one.url, reason="duplicate", detail=place)
        decoded = charsets.decode(one.body, one.charset)
        notes = (*one.notes, *odd, *(["replaced characters"] if decoded.n_replaced else []))
        metadata = _metadata(one, id_, decoded.charset)
        written = None
        if one.type in HTML_TYPES:
            try:
                written = elements.written(decoded.text)
            except DolmaKitError as error:
                return Record(one.number, one.url, fault=str(error), raw=one.body)
            facts = page_facts.facts_of_page(written, one.http.items())
            metadata |= page_facts.metadata_of(facts)
        return _Page(one, decoded.text, written, metadata, notes)

    def _unwanted(self, one: Payload, kind: str) -> tuple[str, str] | None:
        """Why a record is left out before it is looked at: reason and detail."""
        from dolma_kit.extraction import charsets

        if not one.url:
            return "no URL", ""
        scheme = one.url.partition(":")[0].lower()
        if scheme not in SCHEMES:  # what crawlers write of themselves
            return "scheme", scheme
        if kind == "response" and one.status not in self._statuses:
            return "status", "none" if one.status is None else str(one.status)
        if one.type not in self._types:
            return "type", one.type or "none"
        if not one.body.strip():
            return "empty body", ""
        least, most = self._settings.min_body_bytes, self._settings.max_body_bytes
        n = len(one.body)
        if (least is not None and n < least) or (most is not None and n > most):
            return "size", f"{n:,} bytes"
        if charsets.is_binary(one.body):
            return "binary", f"under {one.type}"
        return None

    def _id(self, one: Payload) -> tuple[str, tuple[str, ...]]:
        """The id, and a note where the header that has it is missing or no digest."""
        own = _digest_of(one.body).rpartition(":")[2].lower()
        if self._settings.record_ids == "record":
            told = one.headers.get("warc-record-id", "").strip("<> ").rpartition(":")[2].lower()
            return (told, ()) if told else (own, ("no WARC-Record-ID",))
        told = one.headers.get("warc-payload-digest", "").rpartition(":")[2].strip().lower()
        if _DIGEST.fullmatch(told):
            return told, ()
        return own, ("WARC-Payload-Digest is none",) if told else ()

    def _finished(self, waiting: list[Record | _Page]) -> Iterator[Record]:
        """Pages as documents, in their order among the others."""
        found = [one for one in waiting if isinstance(one, _Page)]
        # As in Dolma, there is no text yet: what looks at pages reads metadata.html.
        pages = [{**page.metadata, "html": page.html} for page in found] if self._before else []
        ids = [(page.metadata["id"], "") for page in found]
        attributes = iter(self._before.tag(ids, pages))
        for one in waiting:
            yield one if isinstance(one, Record) else self._document(one, next(attributes))

    def _document(self, page: _Page, attributes: dict[str, Any]) -> Record:
        from dolma_kit.extraction import pages

        one, settings = page.payload, self._settings
        if settings.skip_no_pre_taggers and self._before and not attributes:
            return Record(one.number, one.url, reason="no pre-tagger finds anything")
        try:
            if page.written is None:
                text = page.html.strip()
            elif settings.extractor == "resiliparse":
                text = pages.text_of_page(page.written).strip()
            else:
                text = pages.extract_text(page.html, settings.extractor).strip()
        except DolmaKitError as error:
            return Record(one.number, one.url, fault=str(error), raw=one.body)
        metadata = page.metadata
        if settings.store_html:
            metadata["html"] = page.html
        created = _date(one.http.get("date")) or _date(one.headers.get("warc-date"))
        id_ = metadata.pop("id")
        document = Document(id_, text, created, metadata, attributes=attributes or None)
        return Record(one.number, one.url, document, notes=page.notes)


def _header(header: bytes, name: bytes) -> str | None:
    """A WARC header's value, before the record is taken apart."""
    for line in header.split(b"\n")[1:]:
        key, colon, value = line.partition(b":")
        if colon and key.strip().lower() == name:
            return value.strip().decode("utf-8", "replace")
    return None


def _with_body(raw: RawRecord, decoding: Literal["all", "none"], most: int) -> tuple[Any, bytes]:
    """The record by fastwarc and its body, of which at most one byte more than may be is read; None
    where the body is not encoded as it says."""
    from fastwarc.warc import ArchiveIterator

    header = raw.header
    if raw.block.startswith(b"HTTP/") and b"application/http" not in header.lower():
        end = header.index(b"\n") + 1
        header = header[:end] + b"Content-Type: application/http\r\n" + header[end:]
    if raw.is_mended:
        header = _with_length(header, len(raw.block))
    stream = io.BytesIO(header + raw.block)
    try:
        found = ArchiveIterator(
            stream, parse_http=True, auto_decode=decoding, stream_detect=False, fsspec_args=False
        )
        record = next(iter(found))
        return record, record.reader.read(most + 1)
    except (OSError, StopIteration):
        return None, b""


def _with_length(header: bytes, length: int) -> bytes:
    lines = [
        b"Content-Length: %d\r" % length if line.lower().startswith(b"content-length") else line
        for line in header.split(b"\n")
    ]
    return b"\n".join(lines)


def _charset(parameters: str) -> str | None:
    """Of a Content-Type's parameters."""
    for one in parameters.split(";"):
        key, _, value = one.partition("=")
        if key.strip().lower() == "charset":
            return value.strip().strip("\"'") or None
    return None


def _metadata(one: Payload, id_: str, charset: str) -> dict[str, Any]:
    return {
        "id": id_,
        "warc_url": one.headers.get("warc-target-uri", one.url),
        "url": addresses.normalized(one.url) or one.url,
        "warc_date": _date(one.info.date),
        "warc_filename": one.info.id or "",
        "content_type": one.type,
        "uncompressed_offset": one.record.offset,
        "domain": addresses.domain_of(one.url),
        "status": one.status,
        "payload_digest": one.headers.get("warc-payload-digest") or _digest_of(one.body),
        "record_id": one.headers.get("warc-record-id", "").strip("<>"),
        "charset": charset,
    }


def _digest_of(body: bytes) -> str:
    """As WARC-Payload-Digest tells it."""
    return f"sha1:{base64.b32encode(hashlib.sha1(body).digest()).decode()}"


def _date(text: str | None) -> str | None:
    """A date of HTTP or WARC in Dolma's form, 2024-04-25T16:24:44.000Z; None for what is none."""
    if not text:
        return None
    try:
        if text[:4].isdigit():
            when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        else:
            when = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if when.tzinfo is not None:
        when = when.astimezone(datetime.UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "Z"
