"""A web server on this machine, for what is read from URLs."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit


class Served:
    """`files` by path; `asked` says what was asked for, `ranges` which bytes of it; with
    `cut_short`, half of it comes; the first `busy` answers are that the server is."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.ranges: list[str] = []
        self.cut_short = False
        self.busy = 0


@contextmanager
def serving() -> Iterator[Served]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            data = served.files.get(unquote(urlsplit(self.path).path))
            if served.busy:
                served.busy -= 1
                self.send_error(503)
                return
            if data is None:
                self.send_error(404)
                return
            if asked := self.headers.get("Range"):
                served.ranges.append(asked)
                first, last = asked.removeprefix("bytes=").split("-")
                if int(first) >= len(data):
                    self.send_error(416)
                    return
                data = data[int(first) : int(last) + 1]
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if served.cut_short else data)

        def do_HEAD(self) -> None:
            served.heads.append(self.path)
            data = served.files.get(unquote(urlsplit(self.path).path))
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Served(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
