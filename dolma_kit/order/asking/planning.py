"""Which bytes one step needs: so that terabytes need not be there to look at a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from dolma_kit.order.paths import ITEM_BYTES

if TYPE_CHECKING:
    from dolma_kit.order.run import Run


class ByteRange(msgspec.Struct, frozen=True):
    """Bytes [start, end) of a file, and the instances that lie in them."""

    path: str
    start: int
    end: int
    instances: list[int]


class Plan(msgspec.Struct, frozen=True):
    """What a step reads: `ranges` by file and place, those that touch joined."""

    step: int
    epoch: int
    instances: int
    files: int
    bytes: int
    ranges: list[ByteRange]


def plan_of(run: Run, step: int) -> Plan:
    """The byte ranges of a step's instances; reads no token."""
    seen = run.step(step)
    item = ITEM_BYTES[seen._run.files[0].dtype]
    pieces: list[tuple[str, int, int, int]] = []
    for number in seen.instances.tolist():
        for span in seen._view.instances.spans(number):
            path = seen._run.files[span.file].path
            pieces.append((path, span.start * item, span.end * item, number))
    ranges: list[ByteRange] = []
    for path, start, end, number in sorted(pieces):
        last = ranges[-1] if ranges else None
        if last is not None and last.path == path and start <= last.end:
            numbers = last.instances if number in last.instances else [*last.instances, number]
            ranges[-1] = ByteRange(path, last.start, max(end, last.end), numbers)
        else:
            ranges.append(ByteRange(path, start, end, [number]))
    return Plan(
        step=seen.step,
        epoch=seen.epoch,
        instances=len(seen.instances),
        files=len({one.path for one in ranges}),
        bytes=sum(one.end - one.start for one in ranges),
        ranges=ranges,
    )
