"""Bytes in and out, wherever they lie: local paths, and any URL that smart_open and fsspec know.

Reading streams and decompresses by the file's suffix; writing is atomic: a temporary name in the
same folder, synced, then renamed, so that a final name never stands for half a file.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import glob
import hashlib
import io
import itertools
import os
import re
from collections.abc import Iterator
from typing import IO, Any, cast

from dolma_kit.errors import BrokenFile, ConfigError

READ_BYTES = 4 << 20
GZIP_LEVEL = 1  # of libdeflate: a tenth of the time of zlib's 6 for some 12 % more bytes
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what writing raises without a name
COMPRESSIONS = {".gz": "gz", ".zst": "zst", ".zstd": "zst"}


def is_remote(path: str) -> bool:
    return "://" in path


def compression_of(path: str) -> str | None:
    """`gz`, `zst` or None, by the suffix alone."""
    return COMPRESSIONS.get(os.path.splitext(path)[1].lower())


def expand(pattern: str) -> list[str]:
    """The files that a path or glob (`**` crosses folders) names, sorted by their UTF-8 bytes."""
    if is_remote(pattern):
        import fsspec  # only remote paths pay for it

        file_system, path = fsspec.core.url_to_fs(pattern)
        found = [path] if file_system.isfile(path) else file_system.glob(path)
        paths = [file_system.unstrip_protocol(p) for p in found if file_system.isfile(p)]
    elif os.path.isfile(pattern):  # a name may hold glob characters of its own
        paths = [pattern]
    else:
        paths = [p for p in glob.iglob(pattern, recursive=True) if os.path.isfile(p)]
    return sorted({p if is_remote(p) else os.path.normpath(p) for p in paths}, key=os.fsencode)


def is_folder(path: str) -> bool:
    if not is_remote(path):
        return os.path.isdir(path)
    import fsspec

    file_system, inner = fsspec.core.url_to_fs(path)
    return bool(file_system.isdir(inner))


def exists(path: str) -> bool:
    if not is_remote(path):
        return os.path.exists(path)
    import fsspec

    file_system, inner = fsspec.core.url_to_fs(path)
    return bool(file_system.exists(inner))


def fingerprint(path: str) -> dict[str, int | str]:
    """What tells cheaply that a file has changed: size and mtime, or the store's ETag."""
    if not is_remote(path):
        status = os.stat(path)
        return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    import fsspec

    file_system, inner = fsspec.core.url_to_fs(path)
    info = file_system.info(inner)
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or info.get("mtime") or ""
    return {"bytes": int(info["size"]), "etag": str(tag)}


def size(path: str) -> int:
    return int(fingerprint(path)["bytes"])


def sha256(path: str) -> str:
    """Of the file's bytes as they are stored (compressed, if it is)."""
    digest = hashlib.sha256()
    with open_raw(path) as stream:
        while block := stream.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def open_raw(path: str) -> IO[bytes]:
    """The stored bytes, without decompression."""
    if not is_remote(path):
        return open(path, "rb")
    import smart_open

    return cast(IO[bytes], smart_open.open(path, "rb", compression="disable"))


class Reader:
    """A stream of a file's decompressed bytes that hashes the stored ones as they pass.

    `read` gives up to READ_BYTES, b"" at the end; a broken container is a BrokenFile. `sha256` is
    that of the stored bytes once the end was reached, else None.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.sha256: str | None = None
        self._digest = hashlib.sha256()
        self._raw = open_raw(path)
        self._broken: tuple[type[Exception], ...] = (EOFError, OSError)  # what no whole file raises
        compression = compression_of(path)
        if compression == "gz":
            from isal import igzip, igzip_lib

            gzip_file = igzip.IGzipFile(fileobj=_Tee(self))  # type: ignore[no-untyped-call]
            self._stream: Any = gzip_file
            self._broken = (*self._broken, igzip_lib.IsalError)  # type: ignore[assignment]
        elif compression == "zst":
            import pyarrow

            tee = pyarrow.PythonFile(_Tee(self), mode="r")
            self._stream = pyarrow.CompressedInputStream(tee, "zstd")
        else:
            self._stream = _Tee(self)

    def read(self) -> bytes:
        try:
            block: bytes = self._stream.read(READ_BYTES)
        except self._broken as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk or the network, not the data
            compression = compression_of(self.path) or "file"
            raise BrokenFile(self.path, f"broken or truncated {compression}: {error}") from None
        if not block:
            self.sha256 = self._digest.hexdigest()
        return block

    def close(self) -> None:
        self._raw.close()


class _Tee(io.RawIOBase):
    """The raw file of a Reader, with every byte that is read going to its digest."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._reader._raw.read(len(buffer))
        self._reader._digest.update(block)
        buffer[: len(block)] = block
        return len(block)


def compress(data: bytes, compression: str | None) -> bytes:
    """One whole gzip member or zstd frame (mtime 0, no name): files are made by joining them.

    By libdeflate, whose matches do not depend on the instructions that a processor has, so that
    unlike machines of a cluster write the same bytes.
    """
    if compression == "gz":
        import deflate

        return bytes(deflate.gzip_compress(data, GZIP_LEVEL))
    if compression == "zst":
        import pyarrow

        return cast(bytes, pyarrow.Codec("zstd", compression_level=3).compress(data, asbytes=True))
    return data


_numbers = itertools.count()
_sync_all = False


def sync_all() -> None:
    """From now on this process forces all files to the disk: it may run on another machine than
    the ledger, which can tell only of its own whether it has been started anew."""
    global _sync_all
    _sync_all = True


@functools.cache
def boot_id() -> str | None:
    """What tells this run of the machine from the one before; None where nothing does."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return None


@contextlib.contextmanager
def write_atomically(path: str, *, synced: bool = True) -> Iterator[IO[bytes]]:
    """A file to write that takes its name only when the block ends without an error.

    The temporary name is hidden, in the same folder, and that of one writer alone: it holds the
    process id and a number. It is removed when the block raises. What a killed process left behind
    is overwritten or swept by the ledger.

    Without `synced`, for intermediate files, it is not forced to the disk: it outlives any process
    but not the machine, and the ledger trusts it as long as the machine has not been started anew.
    """
    if is_remote(path):
        import smart_open

        # Object stores show an upload only once it is complete; an error aborts it.
        with smart_open.open(path, "wb", compression="disable") as stream:
            yield stream
        return
    folder, name = os.path.split(path)
    os.makedirs(folder or ".", exist_ok=True)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}-{next(_numbers)}.tmp")
    try:
        with open(temporary, "wb") as stream:
            yield stream
            stream.flush()
            if synced or _sync_all or boot_id() is None:
                os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno in NO_ROOM and error.filename is None:
            raise OSError(error.errno, os.strerror(error.errno), path) from error
        raise


def is_temporary(name: str) -> bool:
    """Whether a file's name is one that `write_atomically` gives until the file is whole."""
    return re.fullmatch(r"\..+\.\d+(-\d+)?\.tmp", name) is not None


def require_writable(folder: str) -> None:
    """Fail now, with the reason, rather than after an hour's work."""
    if is_remote(folder):
        return
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}") from None
