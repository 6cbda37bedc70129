"""The run that is looked at: opened at the first question, and again when its file has changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dolma_kit.errors import DolmaKitError
from dolma_kit.viewing.addresses import Addresses
from dolma_kit.viewing.asked import Refused, line_of
from dolma_kit.viewing.shell import Shell

if TYPE_CHECKING:
    from dolma_kit.order.run import Run
    from dolma_kit.viewing.origins import Origins


class Viewed:
    """A run.yaml by its path, for one thread at a time. An attempt to open it that failed is made
    again next time."""

    def __init__(self, path: str, addresses: Addresses) -> None:
        self.path = path
        self.addresses = addresses
        self.shell = Shell(path, addresses)
        self._opened: Run | None = None
        self._seen: tuple[int, int] | None = None
        self._origins: Origins | None = None

    @property
    def run(self) -> Run:
        """The open run; Refused where it cannot be opened, with what `open_run` says."""
        seen = _state(self.path)
        if self._opened is None or seen != self._seen:
            from dolma_kit.order.run import open_run  # --help does not pay for it

            self._opened = self._origins = None
            try:
                self._opened = open_run(self.path)
            except (DolmaKitError, OSError) as error:
                raise Refused(line_of(error), 409) from error
            self._seen = seen
        return self._opened

    def seen(self, path: str) -> str:
        """A path as it is shown: from the folder of run.yaml, where it lies below that."""
        folder = os.path.dirname(os.path.abspath(self.path)) + os.sep
        whole = os.path.abspath(path)
        return whole.removeprefix(folder) if whole.startswith(folder) else path

    def warm(self) -> None:
        """Load what the first step needs: the tokenizer above all."""
        first = self.run.step(min(segment.from_step for segment in self.run.schedule.segments))
        first.parts(int(first.instances[0]))

    @property
    def origins(self) -> Origins:
        """Where the run's documents came from."""
        run = self.run
        if self._origins is None:
            from dolma_kit.viewing.origins import Origins

            self._origins = Origins(run)
        return self._origins


def _state(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
