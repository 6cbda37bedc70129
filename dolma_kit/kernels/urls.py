"""URLs of the usual form, taken apart: scheme http or https or none, a plain host, port, path.

`take_apart` says of each URL what it is; whatever is not usual is left to the plain code of
`dolma_kit.urls`, which gives the same for the usual ones (tests compare the two).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types

from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS

#: what a URL is: its whole address is plain as Dolma cleans it; its host is one in normal form
ADDRESS, HOST = 1, 2
_IN_HOST, _IN_PATH = 1, 2


def _classes() -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
    for byte in plain:
        table[byte] = _IN_HOST | _IN_PATH
    for byte in b"~!$&'()*+,;=:@/":
        table[byte] = _IN_PATH
    return table


CLASSES = _classes()


@njit(int64(types.uint8), **LEAF)
def lower(byte: int) -> int:
    return int(byte) | 32 if 65 <= byte <= 90 else int(byte)


@njit(boolean(types.uint8), **LEAF)
def is_letter(byte: int) -> bool:
    return 97 <= (byte | 32) <= 122


@njit(int64(BYTES, int64, int64), **LEAF)
def _after_scheme(text: npt.NDArray[np.uint8], start: int, end: int) -> int:
    """Where the host begins: after `http://` or `https://`, else at the start."""
    i = start
    for byte in (104, 116, 116, 112):  # http
        if i >= end or lower(text[i]) != byte:
            return start
        i += 1
    if i < end and lower(text[i]) == 115:
        i += 1
    if i + 3 <= end and text[i] == 58 and text[i + 1] == 47 and text[i + 2] == 47:
        return i + 3
    return start


@njit(types.uint8(BYTES, int64, int64, BYTES, types.int64[::1]), **LEAF)
def _look(
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    classes: npt.NDArray[np.uint8],
    marks: npt.NDArray[np.int64],
) -> int:
    """What a URL is; `marks` gets where its host, port and path begin and end."""
    host = _after_scheme(text, start, end)
    i = host
    last_label, n_dots = host, 0
    while i < end and classes[text[i]] & 1:
        if text[i] == 46:
            n_dots += 1
            last_label = i + 1
        i += 1
    host_end = i
    if host_end == host:
        return 0
    port = i
    if i < end and text[i] == 58:
        i += 1
        port = i
        number = 0
        while i < end and 48 <= text[i] <= 57 and i - port < 6:
            number = number * 10 + int64(text[i]) - 48
            i += 1
        # a host without a dot before a port reads as a scheme, and zeros would have to go
        if i == port or i - port > 5 or number > 65535 or text[port] == 48 or n_dots == 0:
            return 0
    port_end = i
    path = i
    kind = 1
    if i < end and text[i] == 47:
        while i < end and classes[text[i]] & 2:
            if text[i] == 46 and text[i - 1] == 47:
                kind = 0  # a segment that may be `.` or `..`
            i += 1
    path_end = i
    if i < end and text[i] != 63 and text[i] != 35:
        if i == path:  # user information, or an odd host
            return 0
        kind = 0
    if last_label < host_end <= host + 253 and is_letter(text[last_label]):
        kind |= 2
    marks[0], marks[1], marks[2], marks[3] = host, host_end, port, port_end
    marks[4], marks[5] = path, path_end
    return kind


_Apart = types.Tuple(  # type: ignore[no-untyped-call]
    (types.uint8[::1], types.uint8[::1], types.int64[:, ::1])
)


@njit(_Apart(BYTES, OFFSETS, BYTES), cache=True, nogil=True)
def take_apart(
    text: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], classes: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The usual URLs of `text[offsets[i]:offsets[i + 1]]` as host, port and path in lower case.

    -> kinds (n,) uint8, bits ADDRESS and HOST; bytes (n_bytes,) uint8; places (n, 4) int64 in
    those: start, end of host, end of all, start of the host after any `w` and `.`. A port of 0 and
    `/` at the end are left out.
    """
    n = len(offsets) - 1
    kinds = np.zeros(n, np.uint8)
    places = np.zeros((n, 4), np.int64)
    out = np.empty(len(text), np.uint8)
    marks = np.zeros(6, np.int64)
    k = 0
    for i in range(n):
        kinds[i] = _look(text, offsets[i], offsets[i + 1], classes, marks)
        if kinds[i] == 0:
            continue
        start = k
        for j in range(marks[0], marks[1]):
            out[k] = lower(text[j])
            k += 1
        host_end = k
        if marks[2] < marks[3]:
            out[k] = 58
            k += 1
            for j in range(marks[2], marks[3]):
                out[k] = text[j]
                k += 1
        for j in range(marks[4], marks[5]):
            out[k] = lower(text[j])
            k += 1
        while k > host_end and out[k - 1] == 47:
            k -= 1
        name = start
        while name < host_end and (out[name] == 119 or out[name] == 46):
            name += 1
        places[i, 0], places[i, 1], places[i, 2], places[i, 3] = start, host_end, k, name
    return kinds, out, places
