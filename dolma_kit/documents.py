"""Documents: how they are found, how they are read, and the Arrow batch in which they travel.

On disk they are Dolma's: `<dir>/documents/**/X.jsonl.gz` (also .zst, plain, .parquet), one JSON
object a line with `id` and `text`, both strings. Lines end at `\\n` only, never at U+2028 or a
lone carriage return. The canonical order of documents is: the arguments as given, then paths by
their UTF-8 bytes, then rows.
"""

from __future__ import annotations

import functools
import glob
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from dolma_kit import files
from dolma_kit.errors import ConfigError, DataError, MissingInput

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

T = TypeVar("T")

FORMATS = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst", ".jsonl.zstd",
           ".json.zstd", ".parquet")  # fmt: skip
BATCH_BYTES = files.READ_BYTES


@dataclass(frozen=True)
class Shard:
    """One file of documents and its place in the command.

    `attributes` is the folder that holds its experiments (`<dir>/attributes` for a file below
    `<dir>/documents`, else the one that was given, else None), `tree` the path below `documents/`
    without its format's suffix, `src` the path by which outputs name the file: relative to the
    deepest folder that holds all `documents/` folders of the command.
    """

    path: str
    attributes: str | None
    tree: str
    src: str

    def attribute_stem(self, experiment: str) -> str:
        """`<dir>/attributes/<experiment>/<tree>/X`, to which a format's suffix is added."""
        if self.attributes is None:
            raise ConfigError(
                f"{self.path} lies outside a documents/ folder: say with --attributes DIR where "
                "its attributes are"
            )
        return f"{self.attributes}/{experiment}/{self.tree}"


@dataclass(frozen=True)
class Fields:
    """The names under which a corpus keeps its text and its ids."""

    text: str = "text"
    id: str = "id"

    def __post_init__(self) -> None:
        if len({self.text, self.id, "source", "metadata"}) < 4:
            raise ConfigError(
                f"text_key {self.text!r} and id_key {self.id!r} must differ from each other and "
                "from 'source' and 'metadata'"
            )


class Batch:
    """Some consecutive documents of one file.

    Columns of `table`: `id` string, `text` large_string, `source` string (null where a document
    has none), `metadata` large_binary (the raw JSON, null where absent). `lines` (n_docs,) int64
    are their line numbers from 1; `raw` their whole JSON, one binary a document, if it was asked
    for. `first_row` counts readable documents of the file from 0.
    """

    def __init__(
        self,
        table: pa.RecordBatch,
        *,
        path: str,
        first_row: int,
        lines: NDArray[np.int64],
        raw: pa.LargeBinaryArray | None = None,
    ) -> None:
        self.table = table
        self.path = path
        self.first_row = first_row
        self.lines = lines
        self.raw = raw
        self._memory: dict[str, Any] = {}

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @functools.cached_property
    def ids(self) -> list[str]:
        return list(self.table.column("id").to_pylist())

    @functools.cached_property
    def texts(self) -> list[str]:
        return list(self.table.column("text").to_pylist())

    @functools.cached_property
    def offsets(self) -> NDArray[np.int64]:
        """(n_docs + 1,) int64: where each text starts in `text_bytes`; no copy."""
        import numpy as np

        text = self.table.column("text")
        n = len(text)
        return np.frombuffer(text.buffers()[1], np.int64, n + 1, text.offset * 8)

    @functools.cached_property
    def text_bytes(self) -> NDArray[np.uint8]:
        """(n_bytes,) uint8: all texts as UTF-8, one after the other; no copy."""
        import numpy as np

        data = self.table.column("text").buffers()[2]
        return (
            np.frombuffer(data, np.uint8)
            if data is not None and data.size
            else np.zeros(0, np.uint8)
        )

    @functools.cached_property
    def n_characters(self) -> NDArray[np.int64]:
        """(n_docs,) int64: the length of each text in code points."""
        import pyarrow.compute as pc

        lengths = pc.utf8_length(self.table.column("text"))
        counts: NDArray[np.int64] = lengths.to_numpy(zero_copy_only=False)
        return counts

    @property
    def n_bytes(self) -> int:
        return int(self.offsets[-1] - self.offsets[0])

    def once(self, name: str, work_out: Callable[[Batch], T]) -> T:
        """What several taggers need of a batch, worked out by the first that asks."""
        if name not in self._memory:
            self._memory[name] = work_out(self)
        value: T = self._memory[name]
        return value

    def head(self, n: int) -> Batch:
        """The first n documents; no copy."""
        raw = None if self.raw is None else self.raw.slice(0, n)
        return Batch(
            self.table.slice(0, n),
            path=self.path,
            first_row=self.first_row,
            lines=self.lines[:n],
            raw=raw,
        )


def find(documents: Sequence[str], *, attributes: str | None = None) -> list[Shard]:
    """The files that DOCS arguments name, in canonical order, each once.

    An argument is a file, a folder (the `documents/**` in it, or all of it if it lies within a
    `documents` folder) or a glob. Raises ConfigError where one matches nothing.
    """
    paths: dict[str, None] = {}
    if not documents:
        raise ConfigError("no documents: give files, folders (their documents/**) or globs")
    for argument in documents:
        matched = [path for path in _matches(argument) if format_of(path)]
        if not matched:
            raise MissingInput(
                f"no documents match {argument!r}: give a file, a folder that holds documents/, or "
                f"a glob; files end in {', '.join(FORMATS)}"
            )
        paths.update(dict.fromkeys(matched))
    return _place(_spelled_alike(paths), attributes)


def _spelled_alike(paths: Iterable[str]) -> list[str]:
    """Each path once: where absolute and relative ones are mixed, all are made absolute."""
    local = [path for path in paths if not files.is_remote(path)]
    if len({os.path.isabs(path) for path in local}) < 2:
        return list(paths)
    alike = (path if files.is_remote(path) else os.path.abspath(path) for path in paths)
    return list(dict.fromkeys(alike))


def _matches(argument: str) -> list[str]:
    if not files.is_folder(argument):
        return files.expand(argument)
    folder, above = glob.escape(argument.rstrip("/")), argument.rstrip("/").split("/")
    if above[-1] != "documents":
        found = files.expand(f"{folder}/**/documents/**")
        if found or "documents" not in above:
            return [path for path in found if not _is_attribute_file(path)]
    return [path for path in files.expand(f"{folder}/**") if not _is_attribute_file(path)]


def _is_attribute_file(path: str) -> bool:
    """Whether a path lies in an `attributes/` that has a `documents/` beside it.

    Such a path can also lie below a `documents/`: that of an experiment of this name, or one that
    holds a whole corpus.
    """
    parts = path.split("/")
    return any(
        part == "attributes" and files.is_folder("/".join([*parts[:i], "documents"]))
        for i, part in enumerate(parts)
    )


def format_of(path: str) -> str | None:
    """The suffix of FORMATS that a path ends in, None for others; hidden files are none of ours."""
    name = os.path.basename(path).lower()
    if name.startswith("."):
        return None
    return max((suffix for suffix in FORMATS if name.endswith(suffix)), key=len, default=None)


def _place(paths: Sequence[str], attributes: str | None) -> list[Shard]:
    split = [_split_at_documents(path) for path in paths]
    bases = [base for base, _ in split if base is not None]
    loose = [
        os.path.dirname(path) for path, (base, _) in zip(paths, split, strict=True) if base is None
    ]
    root = _deepest_common(bases + loose)
    shards = []
    for path, (base, tree) in zip(paths, split, strict=True):
        src = _below(path, root)
        if base is None:
            tree = src
        suffix = format_of(tree)
        if suffix:
            tree = tree[: -len(suffix)]
        shards.append(Shard(path, f"{base}/attributes" if base else attributes, tree, src))
    seen: dict[tuple[str | None, str], str] = {}
    for shard in shards:
        other = seen.setdefault((shard.attributes, shard.tree), shard.path)
        if other != shard.path:
            raise ConfigError(
                f"{other} and {shard.path} would share one attribute file: rename one of them"
            )
    return shards


def _below(path: str, root: str | None) -> str:
    if root is None:
        return path
    return path[len(root) + 1 :] if files.is_remote(path) else os.path.relpath(path, root)


def _split_at_documents(path: str) -> tuple[str | None, str]:
    """(`<dir>`, `<tree>/X`) of `<dir>/documents/<tree>/X`; the last `documents` counts."""
    parts = path.split("/")
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "documents":
            return "/".join(parts[:i]) or ("/" if path.startswith("/") else "."), "/".join(
                parts[i + 1 :]
            )
    return None, os.path.basename(path)


def _deepest_common(folders: Sequence[str]) -> str | None:
    if not folders:
        return None
    if any(files.is_remote(folder) for folder in folders):
        split = [folder.split("/") for folder in folders]
        levels = itertools.takewhile(lambda level: len(set(level)) == 1, zip(*split, strict=False))
        common = [level[0] for level in levels]
        return "/".join(common) if len(common) > 2 else None
    return os.path.commonpath([os.path.abspath(folder) for folder in folders])


class DocumentReader:
    """Iterates over a file's documents in batches of about BATCH_BYTES of JSON.

    `keep_raw` also keeps each document's whole JSON. `limit` stops after that many documents.
    After the last batch, `sha256` is that of the stored file (None if `limit` cut it short) and
    `n_documents`, `n_bytes` (of uncompressed input) say what was read. Raises DataError with file
    and line for what cannot be read: a broken container, invalid UTF-8, broken JSON, an `id` or
    `text` that is missing or not a string.
    """

    def __init__(
        self,
        path: str,
        *,
        fields: Fields = Fields(),
        keep_raw: bool = False,
        limit: int | None = None,
    ) -> None:
        self.path = path
        self.sha256: str | None = None
        self.n_documents = 0
        self.n_bytes = 0
        self._fields = fields
        self._keep_raw = keep_raw
        self._limit = limit

    def __iter__(self) -> Iterator[Batch]:
        if self._limit == 0:
            return
        suffix = format_of(self.path)
        for batch in self._parquet() if suffix == ".parquet" else self._json_lines():
            if self._limit is not None and self.n_documents + len(batch) >= self._limit:
                batch = batch.head(self._limit - self.n_documents)
                self.n_documents += len(batch)
                yield batch
                return
            self.n_documents += len(batch)
            yield batch

    def _json_lines(self) -> Iterator[Batch]:
        decoder = _decoder(self._fields)
        reader = files.Reader(self.path)
        next_line, next_row = 1, 0
        try:
            for chunk in whole_lines(reader):
                self.n_bytes += len(chunk)
                batch = self._decode(chunk, decoder, next_line, next_row)
                next_line += chunk.count(b"\n")
                next_row += len(batch)
                if len(batch):
                    yield batch
            self.sha256 = reader.sha256
        finally:
            reader.close()

    def _decode(
        self, chunk: bytes, decoder: msgspec.json.Decoder[Any], first_line: int, first_row: int
    ) -> Batch:
        import numpy as np
        import pyarrow as pa

        data = np.frombuffer(chunk, np.uint8)
        line_ends = np.flatnonzero(data == ord("\n")) + 1
        if not len(line_ends) or line_ends[-1] != len(chunk):  # the file's last line
            line_ends = np.append(line_ends, len(chunk))
        starts = np.concatenate(([0], line_ends[:-1]))
        try:
            _check_utf8(chunk)
            rows = decoder.decode_lines(chunk)
        except (msgspec.MsgspecError, UnicodeDecodeError, pa.ArrowInvalid):
            rows = []  # line by line, to tell which one it is
        keep = np.arange(len(starts))
        if not _one_object_a_line(data, starts, line_ends, len(rows)):
            rows, keep = self._decode_each(chunk, starts, line_ends, decoder, first_line)
        raw = None
        if self._keep_raw:
            bounds = zip(starts[keep].tolist(), line_ends[keep].tolist(), strict=True)
            raw = pa.array([chunk[a:b] for a, b in bounds], pa.large_binary())
        return Batch(
            _table(rows),
            path=self.path,
            first_row=first_row,
            lines=(first_line + keep).astype(np.int64),
            raw=raw,
        )

    def _decode_each(
        self,
        chunk: bytes,
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        decoder: msgspec.json.Decoder[Any],
        first_line: int,
    ) -> tuple[list[Any], NDArray[np.int64]]:
        """The documents of a chunk and the lines that hold them; raises for the first bad line."""
        import numpy as np

        rows, keep = [], []
        for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            line = chunk[start:end]
            if not line.strip():
                continue
            try:
                line.decode("utf-8")
                rows.append(decoder.decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise DataError(self.path, first_line + i, str(error)) from None
            keep.append(i)
        return rows, np.array(keep, np.int64)

    def _parquet(self) -> Iterator[Batch]:
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        fields = self._fields
        try:
            stream: Any = self.path
            if files.is_remote(self.path):
                import fsspec

                stream = fsspec.open(self.path, "rb").open()
            file = pq.ParquetFile(stream)
        except (pa.ArrowInvalid, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DataError(self.path, None, f"not a readable Parquet file: {error}") from None
        for name in (fields.id, fields.text):
            if name not in file.schema_arrow.names:
                raise DataError(self.path, None, f"has no column {name!r}")
        row = 0
        for record in parquet_batches(file, self.path, batch_size=4096):
            columns = {name: record.column(name) for name in record.schema.names}
            for name in (fields.id, fields.text):
                column = columns[name]
                if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
                    raise DataError(
                        self.path, None, f"column {name!r} is {column.type}, not string"
                    )
                try:
                    column.validate(full=True)
                except pa.ArrowInvalid as error:
                    raise DataError(self.path, None, f"column {name!r}: {error}") from None
                if column.null_count:
                    at = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
                    raise DataError(self.path, row + at + 1, f"`{name}` is null")
            n = record.num_rows
            source = columns.get("source")
            metadata = _as_json(columns["metadata"]) if "metadata" in columns else None
            table = pa.record_batch(
                [
                    columns[fields.id].cast(pa.string()),
                    columns[fields.text].cast(pa.large_string()),
                    pa.nulls(n, pa.string()) if source is None else source.cast(pa.string()),
                    pa.nulls(n, pa.large_binary()) if metadata is None else metadata,
                ],
                names=["id", "text", "source", "metadata"],
            )
            raw = _rows_as_json(record, metadata) if self._keep_raw else None
            lines = np.arange(row + 1, row + n + 1, dtype=np.int64)
            batch = Batch(table, path=self.path, first_row=row, lines=lines, raw=raw)
            self.n_bytes += batch.n_bytes
            row += n
            yield batch
        self.sha256 = files.sha256(self.path)


def allot(
    shards: Sequence[Shard], limit: int | None, fields: Fields = Fields()
) -> list[tuple[Shard, int | None]]:
    """The shards that hold the first `limit` documents, each with how many of its own count.

    Reads as many files as that takes; without a limit, nothing.
    """
    if limit is None:
        return [(shard, None) for shard in shards]
    allotted: list[tuple[Shard, int | None]] = []
    left = limit
    for shard in shards:
        if left == 0:
            break
        n_documents = sum(len(b) for b in DocumentReader(shard.path, fields=fields, limit=left))
        allotted.append((shard, n_documents))
        left -= n_documents
    return allotted


@functools.cache
def _decoder(fields: Fields) -> msgspec.json.Decoder[Any]:
    """Decodes a line to an object with id, text, source and metadata (raw), and skips the rest."""
    document = msgspec.defstruct(
        "Document",
        [
            ("id", str),
            ("text", str),
            ("source", str | None, None),
            ("metadata", msgspec.Raw, msgspec.Raw()),
        ],
        rename={"id": fields.id, "text": fields.text},
        gc=False,
    )
    return msgspec.json.Decoder(document)


def _table(rows: list[Any]) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.record_batch(
        [
            pa.array([row.id for row in rows], pa.string()),
            pa.array([row.text for row in rows], pa.large_string()),
            pa.array([row.source for row in rows], pa.string()),
            pa.array([bytes(row.metadata) or None for row in rows], pa.large_binary()),
        ],
        names=["id", "text", "source", "metadata"],
    )


def parquet_batches(file: Any, path: str, **options: Any) -> Iterator[pa.RecordBatch]:
    """`file.iter_batches(**options)`, but a page that cannot be read is a DataError."""
    import pyarrow as pa

    try:
        yield from file.iter_batches(**options)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk or the network, not the data
        raise DataError(path, None, f"broken Parquet file: {error}") from None


def whole_lines(reader: files.Reader) -> Iterator[bytes]:
    """The decompressed stream in pieces that end at a line's end (the last may lack its `\\n`)."""
    pending: list[bytes] = []  # joined once a line's end comes, so a 50 MB line costs one copy
    while block := reader.read():
        cut = block.rfind(b"\n") + 1
        if not cut:
            pending.append(block)
            continue
        yield b"".join([*pending, block[:cut]])
        pending = [block[cut:]] if cut < len(block) else []
    if pending:
        yield b"".join(pending)


def _one_object_a_line(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], n_objects: int
) -> bool:
    """Whether decoded objects and lines are one to one, which the decoder does not check.

    It would take an object over two lines, or two on one. But if each line starts with `{` and
    ends with `}`, no line's end lies within an object (what follows a `}` there is no `{`), so
    equal numbers mean one object a line.
    """
    if n_objects != len(starts):
        return False
    last = ends - 1 - (data[ends - 1] == ord("\n"))
    return bool((data[starts] == ord("{")).all() and (data[last] == ord("}")).all())


def _check_utf8(chunk: bytes) -> None:
    """Raises ArrowInvalid for invalid UTF-8 anywhere, also in fields that are not decoded."""
    import numpy as np
    import pyarrow as pa

    offsets = pa.py_buffer(np.array([0, len(chunk)], np.int64))
    pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(chunk)).validate(full=True)


def _as_json(column: pa.Array) -> pa.LargeBinaryArray:
    """Metadata of a Parquet file as raw JSON: a string column is taken to be JSON already."""
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.large_binary())
    values = [None if v is None else msgspec.json.encode(v) for v in column.to_pylist()]
    return pa.array(values, pa.large_binary())


def _rows_as_json(record: pa.RecordBatch, metadata: pa.Array | None) -> pa.LargeBinaryArray:
    """Each row of a Parquet file as the JSON line that would hold the same document."""
    import pyarrow as pa

    plain = record.drop_columns(["metadata"]) if metadata is not None else record
    rows = plain.to_pylist()
    if metadata is not None:
        for row, value in zip(rows, metadata.to_pylist(), strict=True):
            if value is not None:
                row["metadata"] = msgspec.Raw(value)
    return pa.array(
        [msgspec.json.encode({k: v for k, v in row.items() if v is not None}) for row in rows],
        pa.large_binary(),
    )
