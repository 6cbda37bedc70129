"""`dolma-kit view`: what a run saw, as pages in the browser of this machine."""

from __future__ import annotations

import os
import re
import secrets
import sys
from typing import Annotated

import typer

from dolma_kit.errors import ConfigError

TOKEN = re.compile(r"[A-Za-z0-9_-]{16,200}")


def add_to(app: typer.Typer) -> None:
    app.command("view")(view)


def view(
    run: Annotated[str, typer.Option("--run", metavar="RUN.YAML", help="The training run.")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1 (default: a free one).")] = 0,
    token: Annotated[
        str | None,
        typer.Option(
            help="Secret in every address, so that addresses outlive a restart: 16 characters or "
            "more (default: a new one)."
        ),
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the first page in the browser.")
    ] = False,
) -> None:
    """Serve pages about a run: its steps, its documents, phrases in its tokens."""
    if token is not None and not TOKEN.fullmatch(token):
        raise ConfigError(
            "--token: 16 to 200 letters of A-Z, a-z, 0-9, _ and -; none at all gives a new one"
        )
    if not os.path.isfile(run):
        what = "a folder: name the run.yaml in it" if os.path.isdir(run) else "no file"
        raise ConfigError(f"--run {run} is {what}")
    from dolma_kit.viewing.server import serve

    def started(address: str) -> None:
        print(address, flush=True)
        print("press Ctrl-C to stop", file=sys.stderr, flush=True)
        if open_browser:
            import webbrowser

            webbrowser.open(address)

    serve(run, token or secrets.token_urlsafe(), port, started)
