"""One question at a time, in a thread of its own.

A run keeps what it has read and is not made for several threads. The thread ends with the process:
a search through all tokens keeps nobody waiting who pressed Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue

Question = Callable[[], str]


class Turns:
    """Awaits what a question gives, or raises what it raises."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._work, name="questions", daemon=True).start()

    def ahead(self, work: Callable[[], object]) -> None:
        """Do what the first question would else wait for; a fault is that question's to tell."""

        def job() -> None:
            with contextlib.suppress(Exception):
                work()

        self._waiting.put(job)

    async def __call__(self, question: Question) -> str:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()

        def job() -> None:
            if answer.cancelled():
                return
            try:
                found = question()
            except Exception as error:  # whatever it is, it belongs to who asked
                settle: Callable[[], None] = _settled(answer, None, error)
            else:
                settle = _settled(answer, found, None)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle)

        self._waiting.put(job)
        return await answer

    def _work(self) -> None:
        while True:
            self._waiting.get()()


def _settled(
    answer: asyncio.Future[str], found: str | None, error: Exception | None
) -> Callable[[], None]:
    def settle() -> None:
        if answer.cancelled():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found or "")

    return settle
