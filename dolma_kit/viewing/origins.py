"""From tokens back to files of documents: the mix that they were made from, and what came before.

The ledger beside the tokens says which file each `src` of theirs is, the ledger of a mix the same
of its decisions and of the `provenance` of its documents. Ledgers name places as seen from their
own folder, so a corpus that was moved as a whole is found.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dolma_kit import decisions, explaining, files, ledger
from dolma_kit.decoding import Fields
from dolma_kit.errors import ConfigError
from dolma_kit.explaining import Why
from dolma_kit.ledger import FOLDER

if TYPE_CHECKING:
    from dolma_kit.order.run import Run


@dataclass(frozen=True)
class Recorded:
    """What a tokenize has recorded: its files by the `src` of tokens (several, where tokens of more
    than one were put together), and the fields it read."""

    sources: dict[str, list[str]]
    fields: Fields


class Origins:
    """Where a run's documents came from; ledgers are read at the first question."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._recorded: dict[str, Recorded] = {}

    def tokenized(self, file: int, src: str) -> tuple[list[str], Fields]:
        """The files of documents that a `src` of the `file`-th token file may be, and their fields.

        ConfigError where no ledger tells.
        """
        folder = os.path.dirname(self._run.files[file].path)
        known = self._of_tokens(folder)
        if src in known.sources:
            return known.sources[src], known.fields
        if os.path.isabs(src) or files.is_remote(src):
            return [src], known.fields
        raise ConfigError(
            f"{os.path.join(folder, FOLDER)} does not say where {src} lay when it was tokenized"
        )

    def _of_tokens(self, folder: str) -> Recorded:
        if folder not in self._recorded:
            sources, fields = dict[str, list[str]](), Fields()
            for place in _folders_behind(folder):
                found = ledger.read(place)
                if found is None:
                    continue
                header, records = found
                fields = fields_of(header)
                for record in records:
                    if record.phase == "encoding" and record.source is not None:
                        src = record.unit.removeprefix("encoding ")
                        sources.setdefault(src, []).append(_seen_from(place, record.source))
            self._recorded[folder] = Recorded(sources, fields)
        return self._recorded[folder]

    @cached_property
    def mixes(self) -> list[Mix]:
        """The mixes behind the tokens: those that run.yaml names, else those of their documents."""
        if self._run.description.decisions:
            return [Mix(place) for place in self._run.description.decisions]
        places: dict[str, None] = {}
        local = [file.path for file in self._run.files if not files.is_remote(file.path)]
        for folder in dict.fromkeys(os.path.dirname(path) for path in local):
            for path in itertools.chain(*self._of_tokens(folder).sources.values()):
                if (place := folder_above_documents(path)) is not None:
                    places[place] = None
        return [Mix(one) for one in places if os.path.isfile(decisions.path_in(one))]

    def mix_of(self, path: str) -> Mix | None:
        """The mix that wrote a file of documents; None for one that no mix wrote."""
        place = folder_above_documents(path)
        header = None if place is None else ledger.read_header(place)
        return Mix(place) if place and header is not None and header.stage == "mix" else None


class Mix:
    """A mix by the folder that it wrote to, or by its decisions."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.folder = place if os.path.isdir(place) else os.path.dirname(place)

    def decided(self, doc_id: str) -> list[Why]:
        """What became of the documents of an id."""
        return explaining.explain(self.place, doc_id)

    @cached_property
    def fields(self) -> Fields:
        header = ledger.read_header(self.folder)
        return Fields() if header is None else fields_of(header)

    @cached_property
    def _read(self) -> dict[tuple[str, str], str]:
        """(stream, src) -> the file that it is."""
        found = ledger.read(self.folder)
        read = decisions.read_files(found[1] if found else [])
        return {key: _seen_from(self.folder, source) for key, source in read.items()}

    def stream_of(self, path: str) -> str | None:
        """The stream whose output a file is, by its name; None where that does not tell."""
        name = os.path.basename(path)
        streams = {stream for stream, _ in self._read}
        found = [one for one in streams if name.startswith(f"{one}-")]
        return max(found, key=len, default=None)

    def source(self, stream: str | None, src: str) -> str:
        """The file that a `src` of the mix is; ConfigError where its ledger does not tell."""
        of_stream = {path for (s, name), path in self._read.items() if (s, name) == (stream, src)}
        paths = of_stream or {path for (_, name), path in self._read.items() if name == src}
        if len(paths) == 1:
            return next(iter(paths))
        what = (
            f"says of {len(paths)} files that they are" if paths else "does not say where it read"
        )
        raise ConfigError(f"{os.path.join(self.folder, FOLDER)} {what} {src}")


def fields_of(header: ledger.Header) -> Fields:
    """The fields that a stage read of documents."""
    config = header.config
    return Fields(config.get("text_key") or "text", config.get("id_key") or "id")


def folder_above_documents(path: str) -> str | None:
    """`<dir>` of `<dir>/documents/...`, the last `documents` counts."""
    names = path.split("/")
    if "documents" not in names[:-1]:
        return None
    return "/".join(names[: len(names) - 1 - names[::-1].index("documents")])


def _folders_behind(folder: str) -> Iterator[str]:
    """A folder of tokens, and those that its token files were put together from."""
    waiting, seen = [folder], {folder}
    while waiting:
        place = waiting.pop()
        yield place
        found = ledger.read(place)
        for record in found[1] if found else []:
            source = record.source or ""
            if source.endswith((".npy", ".docs.parquet", ".csv.gz")):
                more = os.path.dirname(_seen_from(place, source))
                if more not in seen:
                    seen.add(more)
                    waiting.append(more)


def _seen_from(folder: str, source: str) -> str:
    if files.is_remote(source):
        return source
    return os.path.normpath(os.path.join(folder, source))
