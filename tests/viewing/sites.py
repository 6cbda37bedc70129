"""A run behind a real server in a thread, and what its answers hold."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

from dolma_kit.viewing.addresses import Addresses
from dolma_kit.viewing.server import Server, application, listening

TOKEN = "a-secret-of-tests"


class Parsed(HTMLParser):
    """Elements with their attributes, the text of all, and what addresses lead to."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.marks: list[tuple[str, str]] = []
        self._mark: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "mark":
            self._mark = str(dict(attrs)["title"])
            self.marks.append((self._mark, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "mark":
            self._mark = None

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)
        if self._mark is not None:
            title, text = self.marks[-1]
            self.marks[-1] = (title, text + data)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def links(self) -> list[str]:
        return [str(attributes["href"]) for tag, attributes in self.tags if tag == "a"]


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def page(self) -> Parsed:
        return Parsed(self.body)


class Site:
    """A server and its addresses."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.to = Addresses(TOKEN)
        self.root = f"http://127.0.0.1:{port}"

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answered:
        """One request, as it stands; no redirect is followed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            said = {name.lower(): value for name, value in answer.getheaders()}
            return Answered(answer.status, said, answer.read().decode())
        finally:
            connection.close()

    def get(self, path: str, status: int = 200) -> Parsed:
        answer = self.ask(urlsplit(path)._replace(fragment="").geturl())
        assert answer.status == status, answer.body
        return answer.page


@contextlib.contextmanager
def serving(run: Path) -> Iterator[Site]:
    started = threading.Event()
    with listening(0) as own:
        server = Server(application(str(run), TOKEN), started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [own]})
        thread.start()
        assert started.wait(10)
        try:
            yield Site(own.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()
            time.sleep(0)
