"""Shards of documents in Parquet: made of pieces of plain lines, one row group after the other.

Columns are `id` and `text` (as the corpus calls them), `source`, `added`, `created` and `metadata`,
which is JSON as text; what a line holds besides is in `extra`, a JSON object as text, which
`decoding` lays out again where it makes JSON of a row. Compressed with zstd.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import files, parquet

if TYPE_CHECKING:
    import pyarrow as pa

    from dolma_kit.decoding import Fields

ROW_GROUP_BYTES = 16 << 20
FOOTER_BYTES = 2000  # more than what a file's end says of a row group
EXTRA = "extra"
MARK = b"dolma_kit_documents"
_STRINGS = ("source", "added", "created")
_LINE = msgspec.json.Decoder(dict[str, msgspec.Raw])


def schema(fields: Fields) -> pa.Schema:
    import pyarrow as pa

    columns = [(fields.id, pa.string()), (fields.text, pa.large_string())]
    columns += [(name, pa.string()) for name in (*_STRINGS, "metadata", EXTRA)]
    return pa.schema(columns, metadata={MARK: b"1"})


def write(
    blocks: Iterator[bytes], stem: str, suffix: str, max_bytes: int | None, fields: Fields,
    outputs: list[str],
) -> int:  # fmt: skip
    """Blocks of whole lines as shards `<stem>-0000<suffix>`, or `<stem><suffix>` where there is no
    limit; their paths are added to `outputs`. How many lines there were.

    A shard ends before the row group that might make it too large, taken as it is before
    compression.
    """
    n_documents = 0
    with contextlib.ExitStack() as stack:
        writer: Any = None
        sink: Any = None
        n_groups = 0
        open_shard = contextlib.ExitStack()
        stack.push(lambda *error: open_shard.__exit__(*error))
        for lines in _row_groups(blocks, max_bytes):
            table = table_of(lines, fields)
            if writer is not None and max_bytes is not None:
                n_groups += 1
                footer = FOOTER_BYTES * (n_groups + 1)
                if sink.tell() + table.nbytes + footer > max_bytes:
                    open_shard.close()
                    writer = None
            if writer is None:
                n_groups = 1
                number = "" if max_bytes is None else f"-{len(outputs):04d}"
                path = f"{stem}{number}{suffix}"
                sink = open_shard.enter_context(files.write_atomically(path))
                writer = open_shard.enter_context(_writer(sink, fields))
                outputs.append(path)
            writer.write_table(table)
            n_documents += len(table)
        open_shard.close()
    return n_documents


def _writer(sink: Any, fields: Fields) -> Any:
    # Dictionaries of texts that hardly repeat cost more than they save.
    return parquet.writing(sink, schema(fields), compression="zstd", use_dictionary=["source"])


def _row_groups(blocks: Iterator[bytes], max_bytes: int | None) -> Iterator[list[bytes]]:
    # Small enough that a shard that has no room for one more is nearly full.
    most = ROW_GROUP_BYTES if max_bytes is None else min(ROW_GROUP_BYTES, max(max_bytes // 8, 1))
    held: list[bytes] = []
    n_bytes = 0
    for block in blocks:
        for line in block.split(b"\n")[:-1]:  # not splitlines: it may hold a \r
            if held and n_bytes + len(line) > most:
                yield held
                held, n_bytes = [], 0
            held.append(line)
            n_bytes += len(line)
    if held:
        yield held


def table_of(lines: Sequence[bytes], fields: Fields) -> pa.Table:
    """Lines as rows of `schema`."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {name: [] for name in schema(fields).names}
    strings = (fields.id, fields.text, *_STRINGS)
    for line in lines:
        values = _LINE.decode(line)
        for name in strings:
            raw = bytes(values.get(name, b""))
            is_string = raw.startswith(b'"')
            columns[name].append(msgspec.json.decode(raw) if is_string else None)
            if is_string:
                del values[name]
        metadata = values.pop("metadata", None)
        columns["metadata"].append(None if metadata is None else bytes(metadata).decode())
        columns[EXTRA].append(msgspec.json.encode(values).decode() if values else None)
    return pa.table(columns, schema=schema(fields))
