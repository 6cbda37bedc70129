"""Who may ask, and what every answer says of itself.

The server is for the browser of the person who started it. It listens on 127.0.0.1 alone; the first
part of every address is a secret that other users and other pages do not know; a Host that is not
this machine is refused, since another name can be made to lead here (DNS rebinding). Answers allow
no other site to read, frame or script them, and are to be kept by no cache.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dolma_kit.errors import ConfigError, DolmaKitError
from dolma_kit.markup import policy
from dolma_kit.viewing import document_view, phrase_view, start_view, step_view
from dolma_kit.viewing.addresses import Addresses
from dolma_kit.viewing.asked import line_of, status_of
from dolma_kit.viewing.shell import SCRIPT
from dolma_kit.viewing.turns import Turns
from dolma_kit.viewing.viewed import Viewed

HOST = "127.0.0.1"
HOSTS = [HOST, "localhost"]
POLICY = policy(SCRIPT, more="; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
TITLES = {
    400: "This cannot be asked",
    404: "There is no such thing",
    405: "Only reading is possible here",
    409: "Something is missing or does not fit",
}
SECONDS_TO_END = 1


class Headed:
    """Puts HEADERS on every answer, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_headed)


class Guarded:
    """Answers only below `/TOKEN`; elsewhere there is nothing, not even a hint at what is."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = scope["path"].split("/", 2)[1] if "/" in scope["path"] else ""
            if not secrets.compare_digest(given.encode("utf-8", "replace"), self._token):
                await PlainTextResponse("Not Found", 404)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def application(path: str, token: str) -> ASGIApp:
    """The pages about the run at `path`, below `/TOKEN`."""
    viewed = Viewed(path, Addresses(token))

    turns = Turns()
    turns.ahead(viewed.warm)

    async def start(request: Request) -> Response:
        return _page(await turns(lambda: start_view.answer(viewed, request.query_params)))

    async def step(request: Request) -> Response:
        number, query = request.path_params["step"], request.query_params
        return _page(await turns(lambda: step_view.answer(viewed, number, query)))

    async def find_step(request: Request) -> Response:
        """What the form asks for has an address of its own."""
        asked = request.query_params.get("n", "")
        return RedirectResponse(await turns(lambda: step_view.found(viewed, asked)), 303)

    async def document(request: Request) -> Response:
        query, shown = request.query_params, request.query_params.getlist("show")
        return _page(await turns(lambda: document_view.answer(viewed, query, shown)))

    async def phrase(request: Request) -> Response:
        return _page(await turns(lambda: phrase_view.answer(viewed, request.query_params)))

    def notice(line: str, status: int) -> Response:
        title = TITLES.get(status, "This did not work")
        return _page(viewed.shell.notice(title, line), status)

    def failed(_: Request, error: Exception) -> Response:
        return notice(line_of(error), status_of(error))

    def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        line = "no page has this address" if error.status_code == 404 else error.detail
        return notice(line, error.status_code)

    def crashed(_: Request, error: Exception) -> Response:
        """The traceback goes to the terminal (uvicorn's work), not to the browser."""
        return notice("an error of ours: the terminal that runs `dolma-kit view` says more", 500)

    routes = [
        Route("/", start),
        Route("/step", find_step),
        Route("/step/{step}", step),
        Route("/document", document),
        Route("/phrase", phrase),
    ]
    pages = Starlette(
        routes=[Mount(f"/{token}", routes=routes)],
        exception_handlers={
            DolmaKitError: failed,
            OSError: failed,
            HTTPException: refused,
            Exception: crashed,
        },
    )
    guarded = Guarded(pages, token)
    return Headed(TrustedHostMiddleware(guarded, allowed_hosts=HOSTS, www_redirect=False))


def _page(text: str, status: int = 200) -> Response:
    return HTMLResponse(text.encode("utf-8", "replace"), status)


class Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, app: ASGIApp, started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,  # which would write the token
                log_level="warning",
                server_header=False,
                ws="none",
                lifespan="off",
                timeout_graceful_shutdown=SECONDS_TO_END,
            )
        )
        self._say_started = started

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Who ends it knows that what was under way is not finished.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say_started()


def listening(port: int) -> socket.socket:
    """A socket on this machine's own address, at a free port for 0; ConfigError for one in use."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((HOST, port))
    except OSError as error:
        made.close()
        raise ConfigError(
            f"port {port} on {HOST}: {error.strerror}; name another --port, or none for a free one"
        ) from None
    except OverflowError:
        made.close()
        raise ConfigError(f"--port {port}: 0 to 65535, 0 for a free one") from None
    return made


def serve(path: str, token: str, port: int, started: Callable[[str], None]) -> None:
    """Serve until Ctrl-C; `started` is told the address once it answers."""
    with listening(port) as own:
        address = f"http://{HOST}:{own.getsockname()[1]}/{token}/"
        server = Server(application(path, token), lambda: started(address))
        # uvicorn ends what it has begun, then passes the interrupt on: ending so is no failure.
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[own])
