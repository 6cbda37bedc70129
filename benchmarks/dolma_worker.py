"""Runs taggers of the package `dolma` (1.2.1), in whose environment it has to be started.

    python -I dolma_worker.py about
    python -I dolma_worker.py tag --taggers a,b --part 0/2 --out FILE [...] --documents FILE...
    python -I dolma_worker.py time --taggers a,b [...] --documents FILE...

`about` prints `{"dolma": version, "python": version, "ids": [...]}`. `tag` writes, of every N-th
document of plain JSONL files from the I-th on, a line `{"id", "attributes": {tagger: {key:
[[start, end, score], ...]}}, "failed": {tagger: reason}}` to a gzipped FILE. It calls what
`dolma tag` calls for each document, which rounds the scores. A tagger that takes more than
`--seconds` for a document has failed. `time` prints `{id: {"seconds", "bytes"}}`: what each tagger
took for the documents one after the other, stopped after `--seconds`, and the bytes of their texts.

`--models` is JSON, the files of fastText models by tagger, in place of those that Dolma would
fetch. A family (`--families FILE...`) is a file of `tests/golden/families`, which may have a
`prepare()` that gives Dolma what else it would fetch.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import logging
import runpy
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any


class TooLong(BaseException):
    """Not an Exception, of which some taggers log and forget all."""


def registry() -> Any:
    """Dolma's registry of taggers; importing it would fetch a model of sentences."""
    # A file beside this one has the name of the library fasttext.
    sys.path = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent]
    import nltk

    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    nltk.download = lambda *_, **__: True
    import dolma  # noqa: F401  registers the taggers
    from dolma.core.registry import TaggerRegistry

    return TaggerRegistry


def measure(tagger: Any, row: Any, seconds: float) -> dict[str, Any] | str:
    """Key -> spans of a document, or why there is no answer."""

    def stop(*_: object) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return tagger.tag(row)
    except TooLong:
        return f"no answer in {seconds:g} s"
    except Exception as error:  # whatever it is, it is what is asked for
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def made(known: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """The taggers, with their models."""
    for family in arguments.families:
        runpy.run_path(family).get("prepare", lambda: None)()
    models = json.loads(arguments.models)
    taggers = {}
    for name in arguments.taggers.split(","):
        kind = known.get(name)
        if name in models:
            kind.MODEL_PATH = models[name]
        taggers[name] = kind()
    return taggers


def rows(paths: list[str]) -> Iterator[Any]:
    """The documents of plain JSONL files."""
    import msgspec
    from dolma.core.data_types import InputSpecWithMetadata

    decoder = msgspec.json.Decoder(InputSpecWithMetadata)
    for path in paths:
        with open(path, "rb") as lines:
            yield from map(decoder.decode, lines)


def tag(taggers: dict[str, Any], arguments: argparse.Namespace) -> None:
    import msgspec

    part, n_parts = map(int, arguments.part.split("/"))
    encoder = msgspec.json.Encoder()
    with gzip.open(arguments.out, "wb", compresslevel=1) as out:
        for row in itertools.islice(rows(arguments.documents), part, None, n_parts):
            found = {k: measure(t, row, arguments.seconds) for k, t in taggers.items()}
            failed = {k: v for k, v in found.items() if isinstance(v, str)}
            answers = {k: v for k, v in found.items() if k not in failed}
            answer = {"id": row.id, "attributes": answers, "failed": failed}
            out.write(encoder.encode(answer) + b"\n")


def cost(taggers: dict[str, Any], arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    documents = list(rows(arguments.documents))
    found = {}
    for name, tagger in taggers.items():
        measure(tagger, documents[0], arguments.seconds)
        n_bytes, started = 0, time.perf_counter()
        for row in documents:
            measure(tagger, row, arguments.seconds)
            n_bytes += len(row.text.encode())
            if time.perf_counter() - started > arguments.seconds:
                break
        found[name] = {"seconds": time.perf_counter() - started, "bytes": n_bytes}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("about")
    for name in ("tag", "time"):
        command = commands.add_parser(name)
        command.add_argument("--taggers", required=True)
        command.add_argument("--models", default="{}")
        command.add_argument("--families", nargs="*", default=[])
        command.add_argument("--seconds", type=float, default=60)
        command.add_argument("--documents", nargs="+", required=True)
        if name == "tag":
            command.add_argument("--part", required=True)
            command.add_argument("--out", required=True)
    arguments = parser.parse_args()
    known = registry()
    if arguments.command == "about":
        ids = [name for name, _ in known.items()]
        versions = {"dolma": version("dolma"), "python": sys.version.split()[0]}
        print(json.dumps(versions | {"ids": ids}))
    elif arguments.command == "tag":
        tag(made(known, arguments), arguments)
    else:
        print(json.dumps(cost(made(known, arguments), arguments)))


if __name__ == "__main__":
    main()
