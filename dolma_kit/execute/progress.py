"""How far the work is: workers report what they have read, the driver shows it on stderr.

On a terminal a bar; elsewhere a plain line every ten seconds. Workers call `advance`; where the
report goes (a pipe to the driver, or the driver's own bar) is set once a process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

Report = Callable[[int, int], None]
LINE_SECONDS = 10.0

_report: Report | None = None


def report_to(report: Report | None) -> None:
    """Where `advance` of this process goes."""
    global _report
    _report = report


def advance(documents: int, n_bytes: int) -> None:
    """Called in the middle of a unit: so many more documents and bytes of input were dealt with."""
    if _report is not None:
        _report(documents, n_bytes)


class Progress:
    """The driver's view of a phase. `n_bytes` is the stored size of all units."""

    def __init__(self, title: str, n_units: int, n_bytes: int, *, quiet: bool) -> None:
        self._title = title
        self._n_units = n_units
        self._n_bytes = n_bytes
        self._quiet = quiet
        self._started = time.monotonic()
        self._last_line = self._started
        self._units = self._documents = self._read = self._stored = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if not self._quiet and sys.stderr.isatty():
            import rich.progress as rp
            from rich.console import Console

            self._bar = rp.Progress(
                rp.TextColumn("{task.description}"),
                rp.BarColumn(),
                rp.TaskProgressColumn(),
                rp.TextColumn("{task.fields[rate]}"),
                rp.TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(self._title, total=max(self._n_bytes, 1), rate="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif not self._quiet and kind is None and time.monotonic() - self._started > LINE_SECONDS:
            self._line()

    def advance(self, documents: int, n_bytes: int) -> None:
        self._documents += documents
        self._read += n_bytes
        if self._bar is not None:
            self._bar.update(self._task, rate=self._rates())
        elif not self._quiet and time.monotonic() - self._last_line > LINE_SECONDS:
            self._last_line = time.monotonic()
            self._line()

    def unit_done(self, n_bytes: int) -> None:
        self._units += 1
        self._stored += n_bytes
        if self._bar is not None:
            self._bar.update(self._task, completed=self._stored, rate=self._rates())

    def note(self, text: str) -> None:
        """A line about something that the user should know and that ends nothing."""
        if not self._quiet:
            print(f"{self._title}: {text}", file=sys.stderr, flush=True)

    def _rates(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-9)
        return (
            f"{self._documents / seconds:,.0f} documents/s {self._read / 1e6 / seconds:,.1f} MB/s"
        )

    def _line(self) -> None:
        share = self._stored / self._n_bytes if self._n_bytes else self._units / self._n_units
        left = ""
        if 0 < share < 1:
            seconds = (time.monotonic() - self._started) * (1 - share) / share
            left = f", about {seconds:,.0f} s left"
        print(
            f"{self._title}: {self._units} of {self._n_units} units, "
            f"{self._documents:,} documents, {self._rates()}{left}",
            file=sys.stderr,
            flush=True,
        )
