"""The stage `mix`: which documents are kept, what is cut out of them, in which shares.

Each stream's files are read with their attributes, filtered, masked and sampled on their own
(phase `choosing`), into pieces of whole gzip members or zstd frames; `joining` then lays the
pieces of a stream one after the other in canonical order and cuts the shards between them. So
neither the number of workers nor their timing can move a byte.

The rules, in their order, with the name under which each counts what it removed: `keep`, each
policy's id, `rate`, `min_text_length`.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import attributes, config, files, ledger, registry
from dolma_kit.attributes import Columns, Format, Kind, Spans
from dolma_kit.config import Mix, Stream
from dolma_kit.documents import Batch, DocumentReader, Shard, allot, find
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Engine, Phase, Plan, Unit, engine_for, execute
from dolma_kit.execute.progress import advance
from dolma_kit.ledger import Result
from dolma_kit.replacing import Replacement, replace
from dolma_kit.summary import Summary, summarize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.filtering import Filter

PIECE_BYTES = 4 << 20
#: spans, what replaces them (`{}`: what was there), scores from and below which it applies
SpanRule = tuple[Spans, str, float | None, float | None]


@dataclass
class Decision:
    """What a policy says of a batch: `drop` (n_docs,) bool, and spans to replace in the others."""

    drop: NDArray[np.bool_]
    replacements: list[SpanRule] = field(default_factory=list)

    @classmethod
    def keep_all(cls, n_docs: int) -> Decision:
        import numpy as np

        return cls(np.zeros(n_docs, np.bool_))


@dataclass(frozen=True)
class ChooseTask:
    """One file of one stream. `kinds` are the columns to read of each attribute file."""

    stream: Stream
    seed: int
    shard: Shard
    attributes: tuple[tuple[str, Format, dict[str, Kind]], ...]
    piece: str
    limit: int | None


@dataclass(frozen=True)
class JoinTask:
    """A stream's pieces, in canonical order, and the shards to make of them."""

    pieces: tuple[str, ...]
    stem: str
    suffix: str
    max_bytes: int


def mix(settings: Mix | None = None, *, engine: Engine | None = None, **keys: Any) -> Summary:
    """Mix streams of documents; `keys` are those of `config.Mix`, or give the struct itself."""
    settings = settings or config.build(Mix, keys)
    made = plan(settings)
    with engine_for(settings, engine) as running:
        outcome = execute(made, settings, running)
    joined = dict(zip((s.name for s in settings.streams), outcome.results["joining"], strict=True))
    made_in = sorted({os.path.dirname(path) for r in joined.values() for path in r.outputs})
    return summarize(
        "mix",
        outcome,
        reading="joining",
        writing="joining",
        outputs=made_in or made.folders,
        partial=settings.limit is not None,
        counts={
            "kept": outcome.total("joining", "kept"),
            "written": outcome.total("joining", "written"),
            "streams": {
                name: {"documents": r.documents, "bytes_out": r.bytes_out, **r.counts}
                for name, r in joined.items()
            },
        },
    )


def plan(settings: Mix) -> Plan:
    """A unit a file and stream, then one a stream; the ledger is that of the output's `path`."""
    if not settings.streams:
        raise ConfigError("no streams: a mix names at least one; see `dolma-kit list configs`")
    _check_outputs(settings.streams)
    choosing, joining, deciding, temporary = [], [], [], set()
    for stream in settings.streams:
        shards = find(stream.documents)
        columns = stream_columns(stream, shards)
        wanted = _wanted(stream, columns)
        folder = output_folder(stream)
        place = ledger.temporary(folder, settings.tmp_dir)
        temporary.add(place)
        pieces: list[str] = []
        inputs: list[str] = []
        for i, (shard, limit) in enumerate(allot(shards, settings.limit)):
            located = [attributes.locate(shard, name) for name in stream.attributes]
            own_inputs = (shard.path, *(path for path, _ in located))
            piece = os.path.join(place, stream.name, f"{i:06d}.piece")
            task = ChooseTask(
                stream=stream,
                seed=settings.seed,
                shard=shard,
                attributes=tuple(
                    (path, format, {n: k for n, k in columns[name].items() if n in wanted})
                    for name, (path, format) in zip(stream.attributes, located, strict=True)
                ),
                piece=piece,
                limit=limit,
            )
            n_bytes = files.size(shard.path)
            choosing.append(
                Unit(f"choosing {stream.name} {shard.src}", task, own_inputs, folder, n_bytes)
            )
            pieces.append(piece)
            inputs += own_inputs
        extension = ".jsonl." + stream.compression.output
        joining.append(
            Unit(
                f"joining {stream.name}",
                JoinTask(
                    tuple(pieces),
                    os.path.join(documents_folder(stream), stream.name),
                    extension,
                    stream.output.max_size_in_bytes,
                ),
                tuple(inputs),
                folder,
            )
        )
        deciding.append({"name": stream.name, "inputs": [shard.src for shard in shards]})
    return Plan(
        stage="mix",
        config=_deciding(settings, deciding),
        phases=[Phase("choosing", choose, choosing), Phase("joining", join, joining)],
        temporary=tuple(sorted(temporary)),
    )


def _deciding(settings: Mix, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    """The config without places: a mix moved to another folder is the same mix."""
    plain = settings.deciding()
    for stream in plain["streams"]:
        stream.pop("documents")
        stream["output"].pop("path")
        stream["attributes"] = [os.path.basename(a.rstrip("/")) for a in stream["attributes"]]
    return plain | {"inputs": inputs}


def _check_outputs(streams: list[Stream]) -> None:
    seen = set()
    for stream in streams:
        key = (os.path.abspath(documents_folder(stream)), stream.name)
        if key in seen:
            raise ConfigError(f"two streams named {stream.name!r} write to {stream.output.path}")
        seen.add(key)


def output_folder(stream: Stream) -> str:
    """The folder that holds `documents/` and the ledger."""
    path = stream.output.path.rstrip("/") or "/"
    return (os.path.dirname(path) or ".") if os.path.basename(path) == "documents" else path


def documents_folder(stream: Stream) -> str:
    """`<path>/documents`; Dolma's `path` already ends in it."""
    return os.path.join(output_folder(stream), "documents")


def stream_columns(stream: Stream, shards: list[Shard]) -> dict[str, dict[str, Kind]]:
    """Experiment -> its known columns and their kinds, over all files of the stream."""
    found: dict[str, dict[str, Kind]] = {}
    for name in stream.attributes:
        columns: dict[str, Kind] = {}
        for shard in shards:
            attributes.locate(shard, name)  # a shard without its attributes is an error here
            columns.update(attributes.known_columns(shard, name))
        found[name] = columns
    everywhere = [column for columns in found.values() for column in columns]
    if twice := sorted({c for c in everywhere if everywhere.count(c) > 1}):
        raise ConfigError(
            f"stream {stream.name!r}: two of its experiments have a column {twice[0]!r}; "
            "leave one of them out"
        )
    return found


def _wanted(stream: Stream, columns: Mapping[str, Mapping[str, Kind]]) -> set[str]:
    """The columns that the stream's rules read; a rule that names an unknown one is an error."""
    known = {name: kind for group in columns.values() for name, kind in group.items()}
    wanted: set[str] = set()
    for rule in stream.span_replacement:
        if known.get(rule.span) != "spans":
            spans = [name for name, kind in known.items() if kind == "spans"]
            near = difflib.get_close_matches(rule.span, spans, n=1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else f"known spans: {', '.join(spans) or 'none'}"
            )
            raise ConfigError(
                f"stream {stream.name!r}: no spans {rule.span!r} in its attributes; {hint}"
            )
        wanted.add(rule.span)
    for spec in stream.policies:
        wanted.update(registry.mixer(spec).columns(known))
    if stream.keep is not None:
        wanted.update(_filter(stream.keep, tuple(sorted(known.items()))).columns)
    return wanted


@functools.lru_cache(maxsize=16)
def _filter(expression: str, known: tuple[tuple[str, Kind], ...]) -> Filter:
    from dolma_kit.filtering import Filter

    return Filter(expression, dict(known))


def choose(task: ChooseTask) -> Result:
    """Filter, mask and sample one file of a stream into a piece, with its table of members."""
    stream = task.stream
    kinds = {name: kind for _, _, group in task.attributes for name, kind in group.items()}
    known = tuple(sorted(kinds.items()))
    filter_ = _filter(stream.keep, known) if stream.keep is not None else None
    policies = [registry.mixer(spec) for spec in stream.policies]
    documents = DocumentReader(task.shard.path, keep_raw=True, limit=task.limit)
    readers = [attributes.Reader(p, f, k, task.shard.path) for p, f, k in task.attributes]
    tally = Tally()
    with files.write_atomically(task.piece) as stream_out:
        piece = PieceWriter(stream_out, stream.compression.output, stream.output.max_size_in_bytes)
        for batch in documents:
            arrow = {
                name: table.column(name)
                for reader, (_, _, group) in zip(readers, task.attributes, strict=True)
                for table in (reader.read(batch),)
                for name in group
            }
            for line, copies in _chosen(batch, arrow, kinds, filter_, policies, task, tally):
                for _ in range(copies):
                    piece.add(line)
            advance(len(batch), batch.n_bytes)
        piece.close()
    if task.limit is None:
        for reader in readers:
            reader.finish()
    counts = tally.counts | {"bytes_in": documents.n_bytes, "documents": documents.n_documents}
    with files.write_atomically(members_path(task.piece)) as members:
        members.write(msgspec.json.encode({"members": piece.members, "counts": counts}))
    return Result(
        documents=documents.n_documents,
        bytes_in=documents.n_bytes,
        outputs=[task.piece, members_path(task.piece)],
        counts={**tally.counts, "sha256": documents.sha256},
    )


def members_path(piece: str) -> str:
    return f"{piece}.members.json"


class Tally:
    """What the rules did, by name; numbers only, so that tallies of files can be added up."""

    def __init__(self) -> None:
        self.counts: dict[str, Any] = {
            "kept": 0, "written": 0, "removed": {}, "replaced": {}, "clamped": 0,
        }  # fmt: skip

    def remove(self, rule: str, n: int) -> None:
        self._add("removed", rule, n)

    def replace(self, n: int) -> None:
        self._add("replaced", "regions", n)

    def _add(self, group: str, name: str, n: int) -> None:
        if n:
            self.counts[group][name] = self.counts[group].get(name, 0) + n


def _chosen(
    batch: Batch,
    arrow: Mapping[str, Any],
    kinds: Mapping[str, Kind],
    filter_: Filter | None,
    policies: list[registry.Mixer],
    task: ChooseTask,
    tally: Tally,
) -> Iterator[tuple[bytes, int]]:
    """The lines of a batch that are kept, each with how many copies of it are written."""
    import numpy as np

    n = len(batch)
    alive = np.ones(n, np.bool_)
    if filter_ is not None:
        from dolma_kit.filtering import document_table

        table = document_table(batch.table, {name: arrow[name] for name in filter_.columns})
        kept = filter_.evaluate(table)
        tally.remove("keep", int(np.count_nonzero(~kept)))
        alive &= kept
    values: Columns = {
        name: attributes.values_of(arrow[name], kind) for name, kind in kinds.items()
    }
    rules: list[SpanRule] = []
    for rule in task.stream.span_replacement:
        spans = values[rule.span]
        assert isinstance(spans, Spans)
        rules.append((spans, rule.replacement, rule.min_score, rule.max_score))
    for policy in policies:
        decision = policy.decide(batch, {name: values[name] for name in policy.columns(kinds)})
        tally.remove(policy.id, int(np.count_nonzero(alive & decision.drop)))
        alive &= ~decision.drop
        rules += decision.replacements
    copies = sample_copies(batch.ids, task.stream.rate, task.seed)
    tally.remove("rate", int(np.count_nonzero(alive & (copies == 0))))
    alive &= copies > 0
    replacements = _by_document(rules, batch, alive, tally)
    output = task.stream.output
    for i in np.flatnonzero(alive).tolist():
        text = None
        if i in replacements:
            text, n_regions = replace(batch.texts[i], replacements[i])
            tally.replace(n_regions)
        if output.min_text_length:
            whole = batch.texts[i] if text is None else text
            if len(whole.strip().encode()) < output.min_text_length:
                tally.remove("min_text_length", 1)
                continue
        tally.counts["kept"] += 1
        tally.counts["written"] += int(copies[i])
        assert batch.raw is not None
        place = f"{task.shard.src}:{batch.lines[i]}"
        yield _line(batch.raw[i].as_buffer(), text, place, output.discard_fields), int(copies[i])


def sample_copies(ids: list[str], rate: float, seed: int) -> NDArray[np.int64]:
    """(n_docs,) int64: how often each document is written at a rate (2.5: twice or three times).

    Decided by a hash of the id keyed with the seed, so the choice does not depend on order or
    company, and a larger rate's choice contains a smaller one's.
    """
    import numpy as np

    whole = int(rate)
    copies = np.full(len(ids), whole, np.int64)
    if rate > whole:
        key = seed.to_bytes(8, "little", signed=True)
        threshold = int((rate - whole) * 2**64)
        for i, document_id in enumerate(ids):
            drawn = hashlib.blake2b(document_id.encode(), digest_size=8, key=key).digest()
            copies[i] += int.from_bytes(drawn, "little") < threshold
    return copies


def _by_document(
    rules: list[SpanRule], batch: Batch, alive: NDArray[np.bool_], tally: Tally
) -> dict[int, list[Replacement]]:
    """The replacements of each document that is still in, clamped to its text."""
    import numpy as np

    lengths = batch.n_characters
    found: dict[int, list[Replacement]] = {}
    for spans, text, min_score, max_score in rules:
        document = np.repeat(np.arange(len(batch)), np.diff(spans.offsets))
        chosen = alive[document]
        if min_score is not None:
            chosen &= spans.score >= min_score
        if max_score is not None:
            chosen &= spans.score < max_score
        document = document[chosen]
        end = np.minimum(spans.end[chosen], lengths[document])
        tally.counts["clamped"] += int(np.count_nonzero(end != spans.end[chosen]))
        start = np.minimum(spans.start[chosen], end)
        for i, a, b in zip(document.tolist(), start.tolist(), end.tolist(), strict=True):
            found.setdefault(i, []).append(Replacement(a, b, text))
    return found


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _line(raw: Any, text: str | None, place: str, discard: list[str]) -> bytes:
    """The document's JSON with its new text and `metadata.provenance`, all else as it was read."""
    fields: dict[str, Any] = _FIELDS.decode(raw)
    if text is not None:
        fields["text"] = text
    metadata = bytes(fields.get("metadata", b"")) or b"null"
    if metadata == b"null":
        fields["metadata"] = {"provenance": place}
    elif metadata.startswith(b"{"):
        fields["metadata"] = _FIELDS.decode(metadata) | {"provenance": place}
    for name in discard:
        fields.pop(name, None)
    return msgspec.json.encode(fields) + b"\n"


class PieceWriter:
    """Packs lines into whole members of a compressed file and notes each one's size.

    A member holds at most PIECE_BYTES (or a shard's size, if that is less) of lines before
    compression, but always a whole line; `members` are (stored bytes, documents).
    """

    def __init__(self, stream: Any, compression: str, max_bytes: int) -> None:
        self.members: list[tuple[int, int]] = []
        self._stream = stream
        self._compression = compression
        self._max_bytes = min(PIECE_BYTES, max_bytes)
        self._lines: list[bytes] = []
        self._n_bytes = 0

    def add(self, line: bytes) -> None:
        if self._lines and self._n_bytes + len(line) > self._max_bytes:
            self._flush()
        self._lines.append(line)
        self._n_bytes += len(line)

    def _flush(self) -> None:
        member = files.compress(b"".join(self._lines), self._compression)
        self._stream.write(member)
        self.members.append((len(member), len(self._lines)))
        self._lines, self._n_bytes = [], 0

    def close(self) -> None:
        if self._lines:
            self._flush()


def join(task: JoinTask) -> Result:
    """Lay the pieces one after the other and cut shards between members, none above the limit
    unless a single member is."""
    outputs: list[str] = []
    total: dict[str, Any] = {}
    shard: list[tuple[str, int, int]] = []  # (piece, first byte, bytes)
    size = 0

    def flush() -> None:
        nonlocal size
        path = f"{task.stem}-{len(outputs):04d}{task.suffix}"
        with files.write_atomically(path) as stream:
            for piece, first, n_bytes in shard:
                with open(piece, "rb") as source:
                    source.seek(first)
                    stream.write(source.read(n_bytes))
        outputs.append(path)
        shard.clear()
        size = 0

    for piece in task.pieces:
        with open(members_path(piece), "rb") as stream:
            table = msgspec.json.decode(stream.read())
        _add_counts(total, table["counts"])
        position = 0
        for n_bytes, _ in table["members"]:
            if shard and size + n_bytes > task.max_bytes:
                flush()
            shard.append((piece, position, n_bytes))
            size += n_bytes
            position += n_bytes
    if shard:
        flush()
    return Result(
        documents=total.pop("documents", 0),
        bytes_in=total.pop("bytes_in", 0),
        bytes_out=sum(files.size(path) for path in outputs),
        outputs=outputs,
        counts=total,
    )


def _add_counts(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping):
            _add_counts(total.setdefault(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value
