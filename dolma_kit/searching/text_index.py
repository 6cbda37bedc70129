"""`search index-text`: an index of the words of documents, for `search text`.

    DIR/text-index.json     `Description`: of which files, in canonical order, and what of each
    DIR/segments/           one index of tantivy: `meta.json`, and the files of its segments
    DIR/.dolma-kit/         the ledger, and `text-index-seen.json`, sizes and times of files

A unit of work is a file of documents. Its documents go to segments of its own, one for every
`segment_bytes` of words; `meta.json` then names the segments of all files, so that it is one index
with the statistics of all documents (what BM25 needs), and a file that comes later is put beside
the others. Segments are called by where their file lies, seen from DIR, not by tantivy's random
ids, and each is made by one thread, so that the same documents give the same bytes.

A document has the fields `id`, `source`, `language` (each one term, stored), `text` (words with
their positions, not stored), `date` (YYYYMM; YYYY00 where the month is not told), `line`, and with
`store_text` the text itself as `original`.

A word is one by UAX #29 that has a letter or a digit, in NFC and lower case, ’ as ', and of one
longer than 255 bytes as much; U+202F parts words. So ideographs, kana other than Katakana, Thai,
Lao, Khmer and Burmese have a word a character (with its marks), and what is asked for in these
scripts is found as a phrase of characters. tantivy gets the words with spaces between and cuts
there; what it has for tokenizers itself keeps runs of ideographs as one word each. Words in other
forms (stems, without accents) are others.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from dolma_kit import config, files, ledger, quarantine, registry
from dolma_kit.decoding import Source
from dolma_kit.documents import Batch, Fields, allot
from dolma_kit.errors import ConfigError, DolmaKitError
from dolma_kit.execute import Engine, Outcome, Phase, Plan, Unit, engine_for, execute
from dolma_kit.execute.reading import Consumer, Read, Reading, Sink
from dolma_kit.layout import Shard, find
from dolma_kit.ledger import Result
from dolma_kit.searching.settings import IndexText
from dolma_kit.searching.text_files import (
    DESCRIPTION,
    META,
    SEGMENTS,
    TOKENIZER,
    Description,
    FileDescription,
    SegmentDescription,
    note_seen,
    schema,
    segment_paths,
    tantivy_version,
)
from dolma_kit.searching.text_words import words_of_batch
from dolma_kit.statistics import date_forms
from dolma_kit.statistics.attribute_columns import Choice
from dolma_kit.statistics.settings import DATE_KEYS
from dolma_kit.summary import Summary, summarize, summarize_part

PHASE = "indexing"
TAGGER = "language_v1"
HEAP_BYTES = 2_000_000_000  # at most, never reserved: a segment is not cut before its end


@dataclass(frozen=True)
class IndexTask:
    """One file of documents; its segments are `out/segments/{stem}{number}.*`."""

    shard: Shard
    out: str
    stem: str
    columns: Choice
    tags: bool
    date_keys: tuple[str, ...]
    store_text: bool
    segment_bytes: int


def build(
    settings: IndexText | None = None, *, engine: Engine | None = None, **keys: Any
) -> Summary:
    """Index, as far as that is not done; `keys` are those of `IndexText`, or give the struct."""
    settings = settings or config.build(IndexText, keys)
    made = plan(settings)
    with engine_for(settings, engine) as running:
        outcome = execute(made, settings, running)
    partial = settings.limit is not None
    if outcome.part:
        return summarize_part("search index-text", outcome, PHASE, partial=partial)
    about = _describe(settings, outcome, made)
    counts = {
        "words": about.words,
        "segments": sum(len(one.segments) for one in about.files),
        "with_language": about.with_language,
        "with_date": about.with_date,
    }
    return summarize(
        "search index-text", outcome, reading=PHASE, writing=PHASE, outputs=[settings.out],
        partial=partial, counts=counts,
    )  # fmt: skip


def plan(settings: IndexText) -> Plan:
    """A unit a file of documents."""
    from dolma_kit.statistics import languages
    from dolma_kit.statistics.statistic import fields_of

    if not settings.out:
        raise ConfigError("no --out: name the folder for the index")
    shards = find(settings.documents, attributes=settings.attributes)
    fields = Fields(settings.text_key, settings.id_key)
    columns = Choice()
    if settings.languages == "attributes":
        columns = languages.choice(shards, settings.experiments)
    date_keys = tuple(settings.date_key) or DATE_KEYS
    more = tuple(n for n in fields_of(date_keys) if n not in (fields.text, fields.id))
    out = settings.out.rstrip("/") or "/"
    units = []
    for shard, limit in allot(shards, settings.limit, fields, set_aside=settings.set_aside):
        stem = hashlib.sha256(_seen_from(shard.path, out).encode()).hexdigest()[:24]
        task = IndexTask(
            shard, out, stem, columns, settings.languages == "tag", date_keys,
            settings.store_text, settings.segment_bytes,
        )  # fmt: skip
        consumer = Consumer(
            Wording, SegmentSink, task, quarantine.below_output("search index-text", out, shard),
            empty_if_broken=True,
        )  # fmt: skip
        source = Source(
            shard.path, fields, more=more, limit=limit, set_aside=settings.set_aside
        )  # fmt: skip
        units.append(
            Unit(
                name=f"{os.path.basename(shard.tree)}-{stem[:12]}",
                # What takes longest is done by the sink: shared files would wait for one another.
                task=Reading(source, (consumer,), needs_rows=bool(columns), shareable=False),
                inputs=(shard.path, *columns.paths(shard)),
                folder=out,
                n_bytes=files.size(shard.path),
                claims=(os.path.join(glob.escape(out), SEGMENTS, f"{stem}*"),),
            )
        )
    deciding = {
        "tantivy": tantivy_version(), "tokenizer": TOKENIZER, "text_key": fields.text,
        "id_key": fields.id, "limit": settings.limit, "date_keys": date_keys,
        "languages": _languages_by(settings, columns), "store_text": settings.store_text,
        "segment_bytes": settings.segment_bytes,
    }  # fmt: skip
    tagger = registry.tagger(TAGGER).kernels() if settings.languages == "tag" else ()
    return Plan(
        stage="search index-text",
        config=deciding,
        phases=[Phase(PHASE, None, units)],
        kernels=("uax29", "lowercase", *tagger),
        temporary=(ledger.temporary(out),),
    )


def _languages_by(settings: IndexText, columns: Choice) -> str | None:
    if settings.languages == "tag":
        return TAGGER
    return f"attributes {columns.prefixes[0]}" if columns else None


def _seen_from(path: str, folder: str) -> str:
    return path if files.is_remote(path) else os.path.relpath(path, folder)


class Worded(NamedTuple):
    """What is indexed of a batch: of each document its id, source, language, date, line and words;
    `originals` are the texts, if they are kept."""

    ids: list[str]
    sources: list[str | None]
    languages: list[str | None]
    dates: list[int | None]
    lines: list[int]
    words: list[str]
    originals: list[str] | None


class Wording:
    """The worker: what is indexed of a batch."""

    def __init__(self, task: IndexTask) -> None:
        self._task = task
        self._columns = task.columns.open(task.shard)
        self._tagger = registry.tagger(TAGGER) if task.tags else None

    def __call__(self, batch: Batch) -> Worded:
        from dolma_kit.statistics.statistic import first_at

        task = self._task
        languages: list[str | None] = [None] * len(batch)
        if self._tagger is not None:
            languages = greatest(dict(self._tagger.tag(batch)), len(batch))
        elif task.columns:
            found = self._columns(batch)
            scores = {c.key: found[c.name] for c in task.columns.columns if c.name in found}
            languages = greatest(scores, len(batch))
        words = words_of_batch(batch)
        return Worded(
            ids=batch.ids,
            sources=batch.table.column("source").to_pylist(),
            languages=languages,
            dates=[_month(value) for value in first_at(batch, task.date_keys)[0]],
            lines=batch.lines.tolist(),
            words=[words.text(i) for i in range(len(batch))],
            originals=batch.texts if task.store_text else None,
        )


def greatest(scores: Mapping[str, Any], n: int) -> list[str | None]:
    """The label of each document's greatest score, of equal ones the first by name; None where
    none has a score."""
    import numpy as np

    if not scores:
        return [None] * n
    labels = sorted(scores)
    together = np.stack([np.nan_to_num(scores[label], nan=-1.0) for label in labels])
    best = together.argmax(axis=0)
    known = together[best, np.arange(n)] >= 0
    return [labels[i] if k else None for i, k in zip(best.tolist(), known.tolist(), strict=True)]


def _month(value: Any) -> int | None:
    date = None if value is msgspec.UNSET else date_forms.read(value)
    return None if date is None else date.year * 100 + date.month


class SegmentSink(Sink):
    """The sink: segments of what comes, one after the other, until all is there in a place of
    their own."""

    def __init__(self, task: IndexTask) -> None:
        self._task = task
        self._place = os.path.join(ledger.temporary(task.out), task.stem)
        self._schema = schema(task.store_text)
        self._writer: Any = None
        self._held = 0  # bytes of words in the segment that is open
        self._segments: list[SegmentDescription] = []
        self._outputs: list[str] = []
        self._finished: list[int] = []  # documents of each segment
        self._counts = {"words": 0, "with_language": 0, "with_date": 0}
        self._documents = 0

    def open(self, stack: contextlib.ExitStack) -> None:
        shutil.rmtree(self._place, ignore_errors=True)  # of a run that was killed
        stack.callback(shutil.rmtree, self._place, ignore_errors=True)
        stack.callback(self._leave)

    def take(self, answer: Worded) -> None:
        import tantivy

        for i, words in enumerate(answer.words):
            document = tantivy.Document()
            document.add_text("id", answer.ids[i])
            document.add_text("text", words)
            document.add_unsigned("line", answer.lines[i])
            if (source := answer.sources[i]) is not None:
                document.add_text("source", source)
            if (language := answer.languages[i]) is not None:
                document.add_text("language", language)
                self._counts["with_language"] += 1
            if (date := answer.dates[i]) is not None:
                document.add_unsigned("date", date)
                self._counts["with_date"] += 1
            if answer.originals is not None:
                document.add_bytes("original", answer.originals[i].encode())
            self._counts["words"] += words.count(" ")
            self._add(document, len(words))

    def _add(self, document: Any, n_bytes: int) -> None:
        import tantivy

        if self._writer is None:
            place = self._place_of(len(self._finished))
            os.makedirs(place)
            index = tantivy.Index(self._schema, path=place)
            self._writer = index.writer(heap_size=HEAP_BYTES, num_threads=1)
        self._writer.add_document(document)
        self._documents += 1
        self._held += n_bytes
        if self._held >= self._task.segment_bytes:
            self._close_segment()

    def _place_of(self, number: int) -> str:
        return os.path.join(self._place, str(number))

    def _close_segment(self) -> None:
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        try:
            writer.commit()
            writer.wait_merging_threads()
        except ValueError as error:  # all that tantivy raises: no room, mostly
            raise DolmaKitError(f"{self._place}: cannot be written: {error}") from None
        self._finished.append(self._documents)
        self._documents = self._held = 0

    def _leave(self) -> None:
        """Stop the thread of a writer that an error has left open."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.rollback()
            writer.wait_merging_threads()

    def end(self, read: Read) -> None:
        task = self._task
        if read.sha256 is not None:
            task.columns.require_whole(task.shard, read.documents)
        self._close_segment()
        os.makedirs(os.path.join(task.out, SEGMENTS), exist_ok=True)
        for number, n_documents in enumerate(self._finished):
            self._segments.append(self._named(number, n_documents))

    def _named(self, number: int, n_documents: int) -> SegmentDescription:
        """Give a segment's files their names."""
        place = self._place_of(number)
        with open(os.path.join(place, META), "rb") as stream:
            (segment,) = msgspec.json.decode(stream.read())["segments"]
        assert segment["max_doc"] == n_documents
        old = segment["segment_id"].replace("-", "")
        new = f"{self._task.stem}{number:08x}"
        sizes, digests = {}, {}
        for name in sorted(os.listdir(place)):
            if not name.startswith(old):
                continue
            suffix = name.removeprefix(f"{old}.")
            path = os.path.join(place, name)
            sizes[suffix], digests[suffix] = files.size(path), files.sha256(path)
            target = os.path.join(self._task.out, SEGMENTS, f"{new}.{suffix}")
            os.replace(path, target)  # tantivy has synced it
            self._outputs.append(target)
        return SegmentDescription(id=new, documents=n_documents, sizes=sizes, sha256=digests)

    def result(self, read: Read) -> Result:
        return Result(
            outputs=self._outputs,
            bytes_out=sum(sum(segment.sizes.values()) for segment in self._segments),
            counts={**self._counts, "segments": msgspec.to_builtins(self._segments)},
        )


def _describe(settings: IndexText, outcome: Outcome, made: Plan) -> Description:
    """Write meta.json and text-index.json, and note the files as they are."""
    described, seen = [], {}
    for unit, result in zip(made.phases[0].units, outcome.results[PHASE], strict=True):
        shard: Shard = unit.task.consumers[0].task.shard
        where = _seen_from(shard.path, unit.folder)
        segments = msgspec.convert(result.counts["segments"], list[SegmentDescription])
        described.append(
            FileDescription(
                src=shard.src,
                path=where,
                bytes=files.size(shard.path),
                sha256=result.counts["sha256"],
                documents=result.documents,
                segments=segments,
            )
        )
        seen[where] = files.fingerprint(shard.path)
        for path in segment_paths(segments):
            seen[path] = files.fingerprint(os.path.join(unit.folder, path))
    out = settings.out.rstrip("/") or "/"
    meta = _meta(settings, [segment for one in described for segment in one.segments])
    with files.write_atomically(os.path.join(out, SEGMENTS, META)) as stream:
        stream.write(meta)
    about = Description(
        tantivy=tantivy_version(),
        tokenizer=TOKENIZER,
        text_key=settings.text_key,
        id_key=settings.id_key,
        store_text=settings.store_text,
        date_keys=list(made.config["date_keys"]),
        languages=made.config["languages"],
        documents=outcome.total(PHASE, "documents"),
        words=outcome.total(PHASE, "words"),
        with_language=outcome.total(PHASE, "with_language"),
        with_date=outcome.total(PHASE, "with_date"),
        files=described,
        meta_sha256=hashlib.sha256(meta).hexdigest(),
    )
    with files.write_atomically(os.path.join(out, DESCRIPTION)) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n")
    note_seen(out, seen)
    return about


def _meta(settings: IndexText, segments: Sequence[SegmentDescription]) -> bytes:
    """tantivy's meta.json of an index that has these segments, in this order."""
    import tantivy

    with tempfile.TemporaryDirectory(prefix="dolma-kit-") as place:
        tantivy.Index(schema(settings.store_text), path=place)
        with open(os.path.join(place, META), "rb") as stream:
            meta = msgspec.json.decode(stream.read())
    meta["segments"] = [
        {"segment_id": segment.id, "max_doc": segment.documents, "deletes": None}
        for segment in segments
    ]
    return msgspec.json.format(msgspec.json.encode(meta), indent=2) + b"\n"
