"""`dolma-kit report`: from what lies below a folder to a page, its JSON twin and a data card."""

from __future__ import annotations

import os
import time
from typing import Any

import msgspec

from dolma_kit import config, files
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Engine
from dolma_kit.reporting.answers import Report
from dolma_kit.reporting.collecting import collect
from dolma_kit.reporting.data_card import data_card, read_answers
from dolma_kit.reporting.inventory import take_inventory
from dolma_kit.reporting.page import report_page
from dolma_kit.reporting.settings import Report as Settings
from dolma_kit.summary import Summary

SUFFIXES = (".html", ".json", ".md")


def report(
    settings: Settings | None = None, *, engine: Engine | None = None, **keys: Any
) -> Summary:
    """Write the report; `keys` are those of `Report`'s settings, or give the struct itself.

    >>> report(folder="demo", out="report.html")  # doctest: +SKIP
    """
    settings = settings or config.build(Settings, keys)
    started = time.perf_counter()
    answers = read_answers(settings.answers) if settings.answers is not None else {}
    stem = _stem(settings)
    for suffix in SUFFIXES:
        _require_place(stem + suffix)
    made = collect(settings, engine)
    contents = (
        report_page(made).encode("utf-8", "replace"),
        msgspec.json.format(_encoded(made), indent=1) + b"\n",
        data_card(made, answers).encode("utf-8", "replace"),
    )
    documents = {stem + suffix: data for suffix, data in zip(SUFFIXES, contents, strict=True)}
    for path, data in documents.items():
        with files.write_atomically(path) as stream:
            stream.write(data)
    n_documents = sum(one.documents_in or 0 for one in made.composition)
    n_bytes = sum(one.bytes_in or 0 for one in made.composition)
    seconds = time.perf_counter() - started
    return Summary(
        command="report",
        documents=n_documents,
        bytes_in=n_bytes,
        bytes_out=sum(map(len, documents.values())),
        seconds=round(seconds, 3),
        mb_per_s=round(n_bytes / 1e6 / seconds, 3),
        outputs=list(documents),
        partial=settings.limit is not None,
        counts={"missing": len(made.missing)},
    )


def _encoded(made: Report) -> bytes:
    return msgspec.json.encode(_unicode(msgspec.to_builtins(made)))


def _unicode(made: Any) -> Any:
    """Plain data with what is no Unicode replaced: names of files may have it."""
    if isinstance(made, str):
        return made.encode("utf-8", "replace").decode()
    if isinstance(made, dict):
        return {_unicode(key): _unicode(value) for key, value in made.items()}
    if isinstance(made, list):
        return [_unicode(one) for one in made]
    return made


def _stem(settings: Settings) -> str:
    if settings.part is not None:
        raise ConfigError("--shard: a report is of the whole; leave it out")
    if not settings.folder:
        raise ConfigError("no folder: dolma-kit report DIR --out report.html")
    stem, suffix = os.path.splitext(settings.out)
    if suffix != ".html":
        raise ConfigError(f"--out {settings.out}: name a page that ends in .html")
    return stem


def _require_place(path: str) -> None:
    """ConfigError where a file cannot be written: before hours of measuring, not after."""
    if os.path.isdir(path):
        raise ConfigError(f"{path} is a folder: name another page with --out")
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, exist_ok=True)
        files.require_writable(folder)
    except OSError as error:
        raise ConfigError(f"--out: {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"--out: {folder} cannot be written to")


def described(settings: Settings) -> str:
    """What a report would be of, for --dry-run; nothing is measured or written."""
    stem = _stem(settings)
    inventory = take_inventory(settings.folder)
    seen = inventory.seen_from_root
    lists = {
        "documents": inventory.sources, "mixed documents": inventory.mixed,
        "mixes": inventory.mixes, "statistics": inventory.statistics,
        "tokens": inventory.tokens, "runs": inventory.runs,
    }  # fmt: skip
    lines = [f"{name}: {', '.join(map(seen, some)) or 'none'}" for name, some in lists.items()]
    outputs = ", ".join(stem + suffix for suffix in SUFFIXES)
    return "\n".join([*lines, f"ledgers: {len(inventory.books):,}", f"would write {outputs}"])
