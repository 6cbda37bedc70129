"""Parquet and Arrow IPC (files and streams) as sources, a row a record, and data sets of them.

Rows are decoded few at a time, but a value no further than the library does: of a Parquet file one
value and of an Arrow file one record batch are in memory at once, however large.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from dolma_kit import files
from dolma_kit.errors import BrokenFile, ConfigError
from dolma_kit.extraction import dates
from dolma_kit.extraction.outcomes import byte_order, faulty, name_of
from dolma_kit.extraction.records import RAW_BYTES, Record, SourceFile
from dolma_kit.extraction.rows import Rows, columns_of, missing_text

if TYPE_CHECKING:
    import pyarrow as pa

    from dolma_kit.config import Extract

PARQUET_NAMES = re.compile(r"\.(parquet|pq)$", re.IGNORECASE)
ARROW_NAMES = re.compile(r"\.(arrow|arrows|feather|ipc)$", re.IGNORECASE)
BATCH_ROWS = 256
BATCH_BYTES = 8 << 20
BUFFER_BYTES = 1 << 20
_FILE_MAGIC = b"ARROW1\0\0"
_STREAM_MAGIC = b"\xff\xff\xff\xff"
_SAVED = ("dataset_dict.json", "state.json", "dataset_info.json")  # what a saved data set has
_SPLIT = re.compile(r"-\d{5}-of-\d{5}$")

T = TypeVar("T")


def is_parquet(path: str, head: bytes) -> bool:
    """By the first bytes of a file alone."""
    return head.startswith(b"PAR1")


def is_arrow(path: str, head: bytes) -> bool:
    """By the first bytes of a file, and its name where it is a stream, which may begin as others
    do."""
    if head.startswith((_FILE_MAGIC, b"FEA1")):
        return True
    return bool(ARROW_NAMES.search(path)) and head.startswith(_STREAM_MAGIC)


def is_dataset(path: str) -> bool:
    """Whether a folder is a data set as Hugging Face's library saves it (`save_to_disk`) or as its
    hub has it: `data/*.parquet`, or Parquet files named `<split>-00000-of-00001`."""
    if any(files.exists(f"{path}/{name}") for name in _SAVED):
        return True
    found = files.expand(f"{path}/data/*.parquet") if files.is_folder(f"{path}/data") else []
    stems = [os.path.splitext(one)[0] for one in files.expand(f"{path}/**/*.parquet")]
    return bool(found) or any(_SPLIT.search(stem) for stem in stems)


def members_of(path: str) -> list[SourceFile]:
    """The Arrow and Parquet files of a data set's folder, in canonical order, a SourceFile each.

    `tree` is the folder's name and the path in it. Caches of the library (`cache-*.arrow`) are
    none. ConfigError for one that was saved with indices: its rows are not those of its files.
    """
    root = path.rstrip("/")
    found = []
    for name in sorted(_below(root), key=byte_order):
        base = os.path.basename(name)
        if base == "state.json":
            _require_rows(f"{root}/{name}")
        if base.startswith((".", "cache-", "indices-")):
            continue
        kind = "parquet" if PARQUET_NAMES.search(name) else "arrow"
        if kind == "arrow" and not ARROW_NAMES.search(name):
            continue
        tree = f"{name_of(root)}/{os.path.splitext(name)[0]}"
        found.append(SourceFile(kind, f"{root}/{name}", tree))
    return found


def _below(root: str) -> Iterator[str]:
    if files.is_remote(root):
        for path in files.expand(f"{root}/**"):
            yield path[len(root) + 1 :]
        return
    for folder, _, names in os.walk(root):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def _require_rows(path: str) -> None:
    with files.open_raw(path) as stream:
        data = stream.read(1 << 20)
    try:
        state = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return  # no state of a data set
    if isinstance(state, dict) and (
        state.get("_indices_files") or state.get("_indices_data_files")
    ):
        raise ConfigError(
            f"{path}: the data set was saved with indices, which choose among the rows of its "
            "files: save it again after flatten_indices()"
        )


def read(file: SourceFile, settings: Extract) -> Iterator[Record]:
    """The rows of a file, which is known by its first bytes.

    What is broken is a fault after the rows before it; of Parquet, the row groups after a broken
    one are read all the same.
    """
    with files.open_raw(file.path) as stream:
        head = stream.read(8)
    if head.startswith(b"PAR1"):
        return _parquet(file, settings)
    if head.startswith(b"FEA1"):
        return iter([_fault(file, 1, "Feather of version 1: write it again with pyarrow")])
    if PARQUET_NAMES.search(file.path):
        return iter([_fault(file, 1, "no Parquet file: it does not begin with PAR1", head)])
    return _ipc(file, settings)


def _parquet(file: SourceFile, settings: Extract) -> Iterator[Record]:
    import pyarrow.parquet as pq

    is_remote = files.is_remote(file.path)
    source = files.open_raw(file.path) if is_remote else file.path
    options = {
        "pre_buffer": False,
        "buffer_size": BUFFER_BYTES,
        "page_checksum_verification": True,  # of files that have them: else damage is just a text
    }
    try:
        table = _tried(file.path, lambda: pq.ParquetFile(source, **options))
        names = _tried(file.path, lambda: table.schema_arrow.names)
    except BrokenFile as error:
        yield _fault(file, 1, f"broken or truncated Parquet: {error.reason}")
        return
    with table:
        if (fault := _wrong(names, settings)) is not None:
            yield _fault(file, 1, fault)
            return
        columns, rows = columns_of(names, settings), Rows(file, settings)
        first = 1
        for i in range(table.metadata.num_row_groups):
            group = table.metadata.row_group(i)
            each = max(1, group.total_byte_size // max(1, group.num_rows))
            batches = table.iter_batches(
                batch_size=max(1, min(BATCH_ROWS, BATCH_BYTES // each)),
                row_groups=[i],
                columns=columns,
                use_threads=False,
            )
            number = first
            try:
                while (batch := _tried(file.path, lambda: next(batches, None))) is not None:  # noqa: B023
                    yield from _records(rows, batch, number, file)
                    number += batch.num_rows
            except BrokenFile as error:
                last = first + group.num_rows - 1
                yield _fault(
                    file, number, f"rows {number}-{last}, in row group {i}: {error.reason}"
                )
            first += group.num_rows


def _ipc(file: SourceFile, settings: Extract) -> Iterator[Record]:
    """A file is read as the stream that it holds after its first 8 bytes, so that one without its
    end gives what it has."""
    import pyarrow as pa

    is_remote = files.is_remote(file.path)
    source = pa.PythonFile(files.open_raw(file.path)) if is_remote else pa.memory_map(file.path)
    with source:
        if source.size() == 0:
            yield _fault(file, 1, "the file is empty")
            return
        if source.read(len(_FILE_MAGIC)) != _FILE_MAGIC:
            source.seek(0)
        number = 1
        try:
            stream = _tried(file.path, lambda: pa.ipc.open_stream(source))
            names = _tried(file.path, lambda: stream.schema.names)
            if (fault := _wrong(names, settings)) is not None:
                yield _fault(file, 1, fault)
                return
            columns, rows = columns_of(names, settings), Rows(file, settings)
            while (batch := _tried(file.path, lambda: _next(stream))) is not None:
                if columns is not None:
                    batch = batch.select(columns)
                _tried(file.path, batch.validate)
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    part = batch.slice(start, BATCH_ROWS)
                    yield from _records(rows, part, number + start, file)
                number += batch.num_rows
            if not _is_ended(source):
                raise BrokenFile(file.path, "it ends without a mark of the end")
        except BrokenFile as error:
            reason = f"broken or truncated Arrow file after row {number - 1}: {error.reason}"
            yield _fault(file, number, reason)


def _next(stream: Any) -> Any:
    try:
        return stream.read_next_batch()
    except StopIteration:
        return None


def _is_ended(source: Any) -> bool:
    """Whether a stream that gave no further batch was at its mark of the end: eight bytes, of
    which the last four are a length of 0; in the format before 0.15, these alone."""
    at = source.tell()
    source.seek(max(0, at - 8))
    end = source.read(min(8, at))
    return bool(end[-4:] == b"\0\0\0\0")


def _tried(path: str, step: Callable[[], T]) -> T:
    """What a step of the library gives; what it finds broken is a BrokenFile."""
    import pyarrow as pa

    try:
        return step()
    except OSError as error:
        if error.errno is not None:
            raise  # the disk or the network, not the data
        raise BrokenFile(path, str(error)) from None
    except (pa.ArrowException, ValueError) as error:
        raise BrokenFile(path, str(error)) from None


def _wrong(names: list[str], settings: Extract) -> str | None:
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        return f"two columns are named {twice!r}: rename one of them"
    return missing_text(names, settings)


def _fault(file: SourceFile, number: int, fault: str, raw: bytes = b"") -> Record:
    return faulty(number, f"{file.tree}:{number}", fault, raw)


def _records(rows: Rows, batch: pa.RecordBatch, first: int, file: SourceFile) -> Iterator[Record]:
    """Of each row of a batch, whose first has that number."""
    import pyarrow as pa

    batch = _plainly_typed(batch)
    try:
        batch.validate(full=True)  # of offsets and UTF-8, which a damaged file may have wrong
        found: list[Any] = batch.to_pylist()
    except (pa.ArrowException, ValueError, OverflowError):
        found = [_one(batch.slice(i, 1)) for i in range(batch.num_rows)]
    for number, row in enumerate(found, start=first):
        if isinstance(row, str):
            yield _fault(file, number, row)
            continue
        plain = {key: as_json(value) for key, value in row.items()}
        yield rows.record(number, plain, lambda: msgspec.json.encode(plain)[:RAW_BYTES])  # noqa: B023


def _one(row: pa.RecordBatch) -> dict[str, Any] | str:
    """A row; or, as a string, why it cannot be read."""
    import pyarrow as pa

    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            column.validate(full=True)
            column.to_pylist()
        except (pa.ArrowException, ValueError, OverflowError) as error:
            return f"column {name!r}: {error}"
    values: dict[str, Any] = row.to_pylist()[0]
    return values


def _plainly_typed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Moments in UTC to the microsecond, for which Python has a type; no extension types."""
    import pyarrow as pa

    columns = []
    for column in batch.columns:
        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        wanted = _plain_type(column.type)
        if not wanted.equals(column.type):
            # What cannot be cast is told of the rows that have it.
            with contextlib.suppress(pa.ArrowException):
                column = column.cast(wanted, safe=False)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.timestamp("us" if kind.unit == "ns" else kind.unit, tz=kind.tz and "UTC")
    if pa.types.is_time64(kind):
        return pa.time64("us")
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in kind])
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_plain_type(kind.value_type)))
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain_type(kind.value_type)))
    return kind


def as_json(value: Any) -> Any:
    """A value as JSON has it: moments in ISO 8601, decimals as text; null for bytes that are no
    UTF-8 (images, sound) and for numbers that are none.

    >>> as_json({1: [float("nan"), b"a", b"\\xff", datetime.date(2024, 4, 25)]})
    {'1': [None, 'a', None, '2024-04-25']}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return None
    if isinstance(value, dict):
        return {str(key): as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [as_json(one) for one in value]
    if isinstance(value, datetime.datetime | datetime.date):
        return dates.iso(value) or str(value)
    return str(value)
