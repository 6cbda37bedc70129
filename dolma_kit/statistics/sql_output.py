"""Answers of SQL as tables for eyes, CSV, JSON Lines and Parquet, written as the rows come."""

from __future__ import annotations

import contextlib
import decimal
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

import msgspec

from dolma_kit import files, parquet
from dolma_kit.errors import ConfigError, MissingInput
from dolma_kit.layout import find
from dolma_kit.statistics.sql import IN_PARQUET, PLAIN, Answer, Sql, query

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_BYTES = 64 << 20
CELL_WIDTH = 60


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What was written to a file."""

    command: str = "sql"
    rows: int
    bytes_out: int
    outputs: list[str]


def write(
    settings: Sql, echo: Callable[[str], None], warn: Callable[[str], None] = lambda note: None
) -> None:
    """Answer a query by `echo`, with the rows or with the summary of a file; notes by `warn`."""
    _check_output(settings)
    native = IN_PARQUET if settings.format == "parquet" else PLAIN
    with query(settings, native) as answer:
        if settings.out is None:
            for text in _texts(settings, answer):
                echo(text)
        else:
            with files.write_atomically(settings.out) as stream:
                if settings.format == "parquet":
                    _write_parquet(answer, stream)
                else:
                    compression = files.compression_of(settings.out)
                    for text in _texts(settings, answer):
                        stream.write(files.compress(text.encode(), compression))
                n_bytes = stream.tell()
            said = Written(rows=answer.n_rows, bytes_out=n_bytes, outputs=[settings.out])
            echo(msgspec.json.encode(said).decode() + "\n")
        for note in answer.notes:
            warn(note)


def _check_output(settings: Sql) -> None:
    if settings.json and (settings.out is not None or settings.format != "table"):
        raise ConfigError("--json prints one line to stdout: leave out --out and --format")
    if settings.out is None:
        if settings.format == "parquet":
            raise ConfigError("--format parquet has to go to a file: say which with --out FILE")
        return
    if settings.format == "table":
        raise ConfigError(f"--out {settings.out}: say with --format whether csv, json or parquet")
    if os.path.exists(settings.out):
        with contextlib.suppress(MissingInput):
            for shard in find(settings.documents or ["."], attributes=settings.attributes):
                if os.path.exists(shard.path) and os.path.samefile(shard.path, settings.out):
                    raise ConfigError(f"--out {settings.out} is a file of the corpus: name another")


def _write_parquet(answer: Answer, stream: IO[bytes]) -> None:
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    schema = answer.schema
    try:
        with parquet.writing(stream, schema, compression="zstd") as writer:
            for batch in answer.batches:
                held.append(batch)
                if sum(one.nbytes for one in held) >= ROW_GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(held, schema))
                    held = []
            if held:
                writer.write_table(pa.Table.from_batches(held, schema))
    except pa.ArrowNotImplementedError as error:
        raise ConfigError(f"Parquet cannot hold this: {error}; cast it to VARCHAR") from None


def _texts(settings: Sql, answer: Answer) -> Iterator[str]:
    if settings.json:
        yield _one_line(answer)
    elif settings.format == "csv":
        yield _csv_line(answer.columns)
        for rows in answer.rows():
            yield "".join([_csv_line([_text(value) for value in row]) for row in rows])
    elif settings.format == "json":
        for rows in answer.rows():
            named = [dict(zip(answer.columns, row, strict=True)) for row in rows]
            yield _ENCODER.encode_lines(named).decode()
    else:
        yield _table(answer, settings.max_rows)


#: NaN and infinities become null
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def _one_line(answer: Answer) -> str:
    rows = [_ENCODER.encode(row) for batch in answer.rows() for row in batch]
    head = msgspec.json.encode({"columns": answer.columns, "types": answer.types}).decode()
    return f'{head[:-1]},"rows":[{b",".join(rows).decode()}]}}\n'


def _text(value: Any) -> str | None:
    """A value as DuckDB's own shell would print it, lists and structs as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | list | dict | msgspec.Raw):
        return _ENCODER.encode(value).decode()
    return format(value, "f") if isinstance(value, decimal.Decimal) else str(value)


def _csv_line(values: Sequence[str | None]) -> str:
    """RFC 4180; null is nothing, an empty text is quoted (as null is too in a line of its own)."""
    if list(values) == [None]:
        return '""\r\n'
    fields = []
    for value in values:
        if value is not None and (not value or re.search('[",\r\n]', value)):
            value = '"' + value.replace('"', '""') + '"'
        fields.append(value or "")
    return ",".join(fields) + "\r\n"


def _table(answer: Answer, max_rows: int) -> str:
    """The first rows for eyes, and how many there are; a plan as DuckDB draws it."""
    from rich.cells import cell_len

    shown: list[list[str]] = []
    plans: list[str] = []
    for rows in answer.rows():
        if answer.columns == ["explain_key", "explain_value"]:
            plans += [row[1].rstrip("\n") + "\n" for row in rows]
            continue
        for row in rows[: max_rows - len(shown)]:
            shown.append([_cell(_text(value)) for value in row])
    if plans:
        return "".join(plans)
    right = [bool(NUMBERS.match(kind)) for kind in answer.types]
    heads = [_cell(name) for name in answer.columns]
    widths = [max(map(cell_len, column)) for column in zip(heads, *shown, strict=True)]
    lines = [_aligned(heads, widths, right), _aligned(["-" * n for n in widths], widths, right)]
    lines += [_aligned(row, widths, right) for row in shown]
    more = "" if len(shown) == answer.n_rows else f", the first {len(shown):,} shown (--max-rows)"
    lines.append(f"{answer.n_rows:,} row{'' if answer.n_rows == 1 else 's'}{more}")
    return "\n".join(lines) + "\n"


NUMBERS = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\))$")


def _cell(text: str | None) -> str:
    """On one line, without what would move a terminal's cursor, and not too wide."""
    from rich.cells import cell_len, set_cell_size

    if text is None:
        return "null"
    start = text[: CELL_WIDTH + 1]
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in start)
    if len(text) <= CELL_WIDTH and cell_len(plain) <= CELL_WIDTH:
        return plain
    return set_cell_size(plain, CELL_WIDTH - 3).rstrip() + "..."


def _aligned(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    from rich.cells import cell_len

    padded = []
    for cell, width, to_the_right in zip(cells, widths, right, strict=True):
        space = " " * (width - cell_len(cell))
        padded.append(space + cell if to_the_right else cell + space)
    return "  ".join(padded).rstrip()
