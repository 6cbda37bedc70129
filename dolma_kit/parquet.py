"""Parquet files that may be broken: what cannot be read is a BrokenFile that names the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from dolma_kit import files
from dolma_kit.errors import BrokenFile

if TYPE_CHECKING:
    import pyarrow as pa


def open_file(path: str) -> Any:
    """A pyarrow ParquetFile, local or remote."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(files.open_raw(path) if files.is_remote(path) else path)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk or the network, not the data
        raise BrokenFile(path, f"not a readable Parquet file: {error}") from None


@contextlib.contextmanager
def writing(stream: IO[bytes], schema: pa.Schema, **options: Any) -> Iterator[Any]:
    """A pyarrow ParquetWriter that is closed at the end of the block, and given up on an error.

    pyarrow's own would then try to write the file's end, and when that fails (a full disk), again
    when it is collected, and say so on stderr.
    """
    import pyarrow.parquet as pq

    writer = pq.ParquetWriter(stream, schema, **options)
    try:
        yield writer
        writer.close()
    except BaseException:
        give_up(writer)
        raise


def give_up(writer: Any) -> None:
    """Leave a ParquetWriter as it is: its file is about to go."""
    writer.is_open = False


def batches(file: Any, path: str, **options: Any) -> Iterator[pa.RecordBatch]:
    """`file.iter_batches(**options)`, but a page that cannot be read is a BrokenFile."""
    import pyarrow as pa

    try:
        yield from file.iter_batches(**options)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk or the network, not the data
        raise BrokenFile(path, f"broken Parquet file: {error}") from None
