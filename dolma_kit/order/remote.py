"""Ranges and sizes of files wherever they lie: what a question about one step reads of terabytes.

Local files by pread; http and https by range requests on kept connections, tried again when a
server is busy; other stores by fsspec.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from dolma_kit import files
from dolma_kit.errors import ConfigError, MissingInput

if TYPE_CHECKING:
    import urllib3

CONNECTIONS = 32
TRIES = 5
OF_A_BUSY_SERVER = (429, 500, 502, 503, 504)


def read_range(path: str, start: int, end: int) -> bytes:
    """Bytes [start, end) of a file, fewer where it is shorter; MissingInput where there is none."""
    if start == end:
        return b""
    if not files.is_remote(path):
        try:
            with open(path, "rb", buffering=0) as stream:
                return _whole(stream.fileno(), start, end)
        except FileNotFoundError:
            raise MissingInput(
                f"no token file {path}: questions about order need none, this one about text does"
            ) from None
    if not path.startswith(("http://", "https://")):
        import fsspec

        file_system, inner = fsspec.core.url_to_fs(path)
        try:
            data: bytes = file_system.cat_file(inner, start=start, end=end)
        except FileNotFoundError:
            raise MissingInput(f"no file {path}") from None
        return data
    headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
    answer = _ask("GET", path, headers)
    if answer.status == 416:  # it ends before `start`
        return b""
    if answer.status == 200:  # a server without ranges
        return answer.data[start:end]
    if answer.status != 206:
        raise _refused(path, answer.status)
    return answer.data


def _whole(descriptor: int, start: int, end: int) -> bytes:
    blocks = []
    while start < end and (block := os.pread(descriptor, end - start, start)):
        blocks.append(block)
        start += len(block)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def sizes(paths: Sequence[str]) -> list[int]:
    """The sizes of files in bytes, asked of servers at once; MissingInput names one not there."""
    with ThreadPoolExecutor(min(CONNECTIONS, max(len(paths), 1))) as pool:
        return list(pool.map(_size, paths))


def _size(path: str) -> int:
    if not path.startswith(("http://", "https://")):
        try:
            return files.size(path)
        except (OSError, ValueError, ImportError) as error:
            raise MissingInput(f"cannot ask for the size of {path}: {error}") from None
    answer = _ask("HEAD", path, {"Accept-Encoding": "identity"})
    if answer.status != 200:
        raise _refused(path, answer.status)
    if (length := answer.headers.get("Content-Length")) is None:
        raise ConfigError(f"the server does not say how large {path} is: write its size down")
    return int(length)


def exists(path: str) -> bool:
    """Whether there is such a file; asks a server once."""
    if not path.startswith(("http://", "https://")):
        return files.exists(path)
    return _ask("HEAD", path, {}).status == 200


def _refused(path: str, status: int) -> ConfigError:
    return MissingInput(f"the server answers {status} for {path}: is it at another root now?")


def _ask(method: str, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    import urllib3

    try:
        return _pool().request(method, url, headers=headers, redirect=True)
    except urllib3.exceptions.HTTPError as error:
        raise ConfigError(f"cannot read {url}: {error}") from None


@functools.cache
def _pool() -> urllib3.PoolManager:
    import urllib3

    tries = urllib3.Retry(
        TRIES, backoff_factor=0.2, status_forcelist=OF_A_BUSY_SERVER, raise_on_status=False
    )
    timeout = urllib3.Timeout(connect=20, read=120)
    return urllib3.PoolManager(maxsize=CONNECTIONS, retries=tries, timeout=timeout)
