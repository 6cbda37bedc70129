"""One JSON array as a file: its elements as bytes, one after the other, without holding the whole.

What is between two elements is found by counting brackets outside of strings, no more: what an
element says, and whether it is JSON, is for a decoder. So a wrong element hurts no other, as long
as its quotes and brackets come in pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dolma_kit.extraction.parts import BOM, Bounded, Part
from dolma_kit.extraction.records import RAW_BYTES
from dolma_kit.extraction.streams import Stream

_OUTSIDE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)  # a whole string, or a mark
_INSIDE = re.compile(rb'["\\]')


def elements(stream: Stream, max_bytes: int) -> Iterator[Part]:
    """The elements of the array, without white space around them.

    Something else than an array, an end before its `]`, and something after it are the last part's
    fault.
    """
    pending = Bounded(max_bytes)
    number, depth = 1, 0  # depth 1 is within the array itself
    in_string = is_escaped = is_over = False
    for block in stream:
        at = start = 0
        if depth == 0 and not is_over:
            block = block.removeprefix(BOM).lstrip()
            if not block:
                continue
            if not block.startswith(b"["):
                yield Part(number, block[:RAW_BYTES], fault="no JSON array: it begins with no `[`")
                return
            at = start = depth = 1
        while not is_over:
            if is_escaped and at < len(block):
                at, is_escaped = at + 1, False
            found = (_INSIDE if in_string else _OUTSIDE).search(block, at)
            if found is None or is_escaped:
                break
            at, mark = found.end(), found[0]
            if in_string:
                is_escaped, in_string = mark == b"\\", mark != b'"'
            elif mark.startswith(b'"'):
                in_string = len(mark) == 1  # it goes on in the next block
            elif mark in b"[{":
                depth += 1
            elif mark != b",":
                if depth > 1:
                    depth -= 1
                elif mark == b"]":
                    is_over = True
            if is_over or (mark == b"," and depth == 1 and not in_string):
                pending.add(block[start : at - 1])
                start = at
                fault, data = pending.fault(), pending.take().strip()
                if data or fault or number > 1 or not is_over:
                    yield Part(number, data, fault=fault or (None if data else "no element"))
                    number += 1
        if not is_over:
            pending.add(block[start:])
        elif rest := block[start:].strip():
            yield Part(number, rest[:RAW_BYTES], fault="something follows the array")
            return
    if stream.fault is not None or not is_over:
        fault = stream.fault or ("the array has no end" if depth else "no JSON array: it is empty")
        yield Part(number, pending.take()[:RAW_BYTES], fault=f"element {number}: {fault}")
