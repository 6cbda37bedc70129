"""Plain twin of kernels.personal_data: the same places by regular expressions on bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from dolma_kit.kernels import personal_data as kernel
from dolma_kit.kernels import personal_data_forms as forms

D = rb"(?:[0-9]|\xd9[\xa0-\xa9]|\xdb[\xb0-\xb9]|\xe0\xa5[\xa6-\xaf]|\xef\xbc[\x90-\x99])"
SEPARATOR = rb"(?:[ ()\-./]|\xc2\xa0|\xe2\x80[\x87-\x94\xaf]|\xe2\x88\x92|\xef\xbc[\x88\x89\x8d])"
_DOMAIN = re.compile(
    rb"[0-9A-Za-z\x80-\xff][0-9A-Za-z\x80-\xff.\-]{0,253}?\.(?=[A-Za-z\x80-\xff][\x00-\xff])"
)
_DIGIT = re.compile(D)
_RUN = re.compile(D + b"+")
_IPV4 = re.compile(rb"[0-9]{1,3}(\.[0-9]{1,3}(?![0-9])){3}")
_CARD = re.compile(rb"[2-9][0-9]*+(?:%s[0-9]+)*" % SEPARATOR)
_NORTH_AMERICAN = re.compile(
    rb"(?:(?:1|\xef\xbc\x91)%s{1,3}+)?%s{3}%s{1,3}+%s{3}%s{0,3}+%s{4}(?!%s)"
    % (SEPARATOR, D, SEPARATOR, D, SEPARATOR, D, D)
)
_NUMBER = re.compile(rb"(?:%s{0,3}%s)*" % (SEPARATOR, D))


def candidates(
    text: str, lengths: Mapping[str, int], cues: npt.NDArray[np.uint8]
) -> list[tuple[int, int]]:
    """kernels.personal_data.find_candidates: kind and place in code points, sorted."""
    data = text.encode()
    found = [
        *((kernel.EMAIL, at) for at in emails(data)),
        *((kernel.IPV6, at) for at in ipv6(data)),
        *numbers(data, lengths, cues),
    ]
    return sorted((kind, len(data[:at].decode())) for kind, at in found)


def emails(data: bytes) -> Iterator[int]:
    for match in re.finditer(rb"(?<=[0-9A-Za-z_+\-\x80-\xff])@", data):
        if _DOMAIN.match(data, match.end()):
            yield match.start()


def ipv6(data: bytes) -> Iterator[int]:
    for match in re.finditer(rb":(?=[0-9A-Fa-f:])", data):
        colon = match.start()
        group = re.search(rb"[0-9A-Fa-f]{0,5}\Z", data[max(0, colon - 5) : colon])
        assert group is not None
        first = colon - len(group[0])
        last = data[max(0, first - 1) : first]
        is_word = re.fullmatch(rb"[0-9A-Za-z_]", last) is not None
        if last == b":":
            continue
        if is_word or len(group[0]) == 5:
            first = colon + 1
            if re.match(rb":[^:]", data[first : first + 2], re.DOTALL):
                continue
        run = re.match(rb"[0-9A-Fa-f:.]{0,64}", data[first : first + 64])
        assert run is not None
        has_double = any(data[first + i : first + i + 2] == b"::" for i in range(run.end()))
        if re.search(rb"[0-9]", run[0]) and (has_double or run[0].count(b":") >= 6):
            yield first


def numbers(
    data: bytes, lengths: Mapping[str, int], cues: npt.NDArray[np.uint8]
) -> Iterator[tuple[int, int]]:
    """Candidates that begin with a row of digits, or with the letters before one."""
    for run in _RUN.finditer(data):
        first = run.start()
        before = data[max(0, first - 4) : first]
        if re.search(rb"[0-9A-Za-z_]\Z", before):
            are_two_letters = re.search(rb"(?:\A|[^0-9A-Za-z])[A-Za-z]{2}\Z", before, re.DOTALL)
            if are_two_letters and is_iban(data[first - 2 : first + 200], lengths):
                yield kernel.IBAN, first - 2
            continue
        if data[first] < 0x80 and not before.endswith(b"."):
            if re.fullmatch(rb"[0-9]{1,3}", run[0]) and _IPV4.match(data, first):
                yield kernel.IPV4, first
            if len(run[0]) in (4, *range(13, 20)) and is_card(
                data[first : first + forms.MAX_NUMBER_BYTES]
            ):
                yield kernel.CARD, first
        if is_phone(data, run, cues):
            yield kernel.PHONE, first


def is_card(data: bytes) -> bool:
    match = _CARD.match(data)
    if match is None:
        return False
    pieces = re.split(b"(%s)" % SEPARATOR, match[0])
    groups, separators = pieces[::2], pieces[1::2]
    for n in range(1, len(groups) + 1):
        digits = b"".join(groups[:n]).decode()
        if 13 <= len(digits) <= 19 and luhn(digits):
            return True
        is_last = n == len(groups) or separators[n - 1] != separators[0]
        if is_last or len(groups[n - 1]) < 4 or len(groups[0]) != 4:
            return False
    return False


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + i % 2)
        total += value // 10 + value % 10
    return total % 10 == 0


def is_iban(data: bytes, lengths: Mapping[str, int]) -> bool:
    """ISO 13616-1, 6: the first four characters to the end, letters as numbers, 1 modulo 97."""
    length = lengths.get(data[:2].decode().upper(), 0)
    rest = b"(?:%s?[0-9A-Za-z]){%d}" % (SEPARATOR, max(length - 4, 0))
    match = re.match(rb"[A-Za-z]{2}[0-9]{2}(%s)" % rest, data)
    if match is None or not length:
        return False
    moved = re.sub(SEPARATOR, b"", match[1]) + data[:4]
    return int("".join(str(int(c, 36)) for c in moved.decode())) % 97 == 1


def is_phone(data: bytes, run: re.Match[bytes], cues: npt.NDArray[np.uint8]) -> bool:
    first = run.start()
    before = data[max(0, first - 4) : first]
    number = _NUMBER.match(data, first)
    assert number is not None
    n_digits = sum(
        match.start() < first + forms.MAX_NUMBER_BYTES
        for match in _DIGIT.finditer(data, first, number.end())
    )
    if before.endswith((b"+", "＋".encode())):
        return n_digits >= 7
    is_north_american = _NORTH_AMERICAN.match(data, first)
    if is_north_american and len(re.findall(D, run[0])) in (1, 3):
        return True
    if re.search(rb"[0-9][ .\-]\Z", before) or n_digits < 7:
        return False
    if n_digits >= 9 and (data.startswith(b"00", first) or run[0] == b"011"):
        return True
    return len(run[0]) <= 15 and has_cue(data, first, cues)


def has_cue(data: bytes, first: int, cues: npt.NDArray[np.uint8]) -> bool:
    least = max(data.rfind(b"\n", 0, first) + 1, first - forms.CUE_BYTES)
    padded = data[least:first].lower() + bytes(2)
    for i in range(least, first):
        a, b, c = padded[i - least : i - least + 3]
        begins_word = i == 0 or not data[i - 1 : i].isalpha() or data[i : i + 1].isupper()
        key = (a * 961 + b * 31 + c) & 0xFFFF
        if begins_word and int(cues[key // 8]) >> key % 8 & 1:
            return True
    return False
