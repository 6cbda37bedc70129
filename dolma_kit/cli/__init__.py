"""The command line: one thin module a command, which parses, calls one function and prints.

Exit codes: 0 done, 1 bad data or a failed verification, 2 usage, config or a refusal, 130 Ctrl-C.
An error is one line on stderr; `--traceback` shows where it came from.
"""

from __future__ import annotations

import functools
import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

import dolma_kit
from dolma_kit.errors import ConfigError, DolmaKitError

INTERRUPTED = 130

app = typer.Typer(
    name="dolma-kit",
    help="Build and audit open pretraining corpora.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(dolma_kit.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Build and audit open pretraining corpora."""


def commands() -> typer.Typer:
    """The application with all its commands, which are added on first use."""
    if app.registered_commands:
        return app
    from dolma_kit.cli import (
        attributes,
        dedupe_size,
        demo,
        inspect,
        language_models,
        ledger,
        list,
        report,
        search,
        sql,
        stages,
        stats,
        status,
        tokens,
        trace,
        train,
        train_classifier,
        view,
    )

    stages.add_to(app)
    dedupe_size.add_to(app)
    train.add_to(app)
    train_classifier.add_to(app)
    demo.add_to(app)
    trace.add_to(app)
    view.add_to(app)
    report.add_to(app)
    stats.add_to(app)
    sql.add_to(app)
    search.add_to(app)
    tokens.add_to(app)
    language_models.add_to(app)
    list.add_to(app)
    inspect.add_to(app)
    status.add_to(app)
    attributes.add_to(app)
    ledger.add_to(app)
    return app


@functools.cache
def _command() -> Any:
    """The same, put together once a process."""
    return typer.main.get_command(commands())


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    show_traceback = "--traceback" in arguments
    arguments = [argument for argument in arguments if argument != "--traceback"]
    groups: list[list[str]] = [[]]
    for group in commands().registered_groups:
        inner = group.typer_instance
        if inner is not None and not inner.info.invoke_without_command:
            groups.append([str(group.name or inner.info.name)])
    if arguments in groups:  # a group without a command shows what there is, but it is no success
        _command()([*arguments, "--help"], prog_name="dolma-kit", standalone_mode=False)
        return ConfigError.exit_code
    try:
        code = _command()(arguments, prog_name="dolma-kit", standalone_mode=False)
        if code == INTERRUPTED:  # Typer's own answer to Ctrl-C
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        return _fail("interrupted; what is finished is kept, run again to go on", INTERRUPTED)
    except Exception as error:  # the last place that can turn it into one line
        if show_traceback:
            traceback.print_exc()
        return _fail(_one_line(error), _exit_code(error))


def _exit_code(error: Exception) -> int:
    if isinstance(error, TyperException | DolmaKitError):
        return error.exit_code
    return 1


def _one_line(error: Exception) -> str:
    if isinstance(error, TyperException):
        message = " ".join(error.format_message().split()).rstrip(".")
        context = getattr(error, "ctx", None)
        return f"{message}; see `{context.command_path} --help`" if context else message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, DolmaKitError) else f"{type(error).__name__}: {text}"


def _fail(message: str, code: int) -> int:
    print(f"dolma-kit: {message}", file=sys.stderr)
    return code


def main() -> None:
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


__all__ = ["ConfigError", "app", "main", "run"]
