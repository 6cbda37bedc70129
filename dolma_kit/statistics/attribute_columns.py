"""Which columns of the attributes beside documents a statistic reads, and reading them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from dolma_kit import attribute_files, attributes, files
from dolma_kit.attributes import Columns, Kind
from dolma_kit.errors import ConfigError

if TYPE_CHECKING:
    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard


class Column(msgspec.Struct, frozen=True):
    """A column of an experiment; `prefix` and `key` are the parts of its name that the tagger and
    its key gave: `q__gopher_v2` and `word_count`. The key is "" where a name has no such parts."""

    experiment: str
    name: str
    kind: Kind

    @property
    def prefix(self) -> str:
        return "__".join(self.name.split("__", 2)[:2])

    @property
    def tagger(self) -> str:
        parts = self.name.split("__", 2)
        return parts[1] if len(parts) == 3 else ""

    @property
    def key(self) -> str:
        parts = self.name.split("__", 2)
        return parts[2] if len(parts) == 3 else ""


class Choice(msgspec.Struct, frozen=True):
    """Columns to read, in the order of experiments and columns. False where there are none."""

    columns: tuple[Column, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.columns)

    @property
    def prefixes(self) -> list[str]:
        return list(dict.fromkeys(column.prefix for column in self.columns))

    @property
    def experiments(self) -> list[str]:
        return list(dict.fromkeys(column.experiment for column in self.columns))

    def paths(self, shard: Shard) -> tuple[str, ...]:
        """The attribute files of a file of documents that are read."""
        found = (located(shard, experiment) for experiment in self.experiments)
        return tuple(place[0] for place in found if place is not None)

    def open(self, shard: Shard) -> Callable[[Batch], Columns]:
        """What gives the columns of a batch; those of experiments that a file does not have are
        left out. VerificationError where attributes are not those of the documents."""
        readers = []
        for experiment in self.experiments:
            place = located(shard, experiment)
            if place is None:
                continue
            mine = [column for column in self.columns if column.experiment == experiment]
            if place[1] == "parquet":  # JSONL leaves out a key where no document has a value
                there = known(shard, experiment)
                mine = [column for column in mine if column.name in there]
            kinds = {column.name: column.kind for column in mine}
            if kinds:
                reader = attribute_files.Reader(*place, kinds, shard.path)
                readers.append((reader, kinds))

        def read(batch: Batch) -> Columns:
            found: Columns = {}
            for reader, kinds in readers:
                table = reader.read(batch)
                for name, kind in kinds.items():
                    found[name] = attributes.values_of(table.column(name), kind)
            return found

        return read

    def require_whole(self, shard: Shard, n_documents: int) -> None:
        """VerificationError where a file of attributes has more rows than there are documents."""
        for experiment in self.experiments:
            if (place := located(shard, experiment)) is not None:
                attribute_files.require_length(*place, n_documents, shard.path)


def located(shard: Shard, experiment: str) -> tuple[str, attributes.Format] | None:
    """The attribute file of an experiment, if there is one."""
    if shard.attributes is None:
        return None
    return attributes.locate_if_there(shard, experiment)


def known(shard: Shard, experiment: str) -> dict[str, Kind]:
    """The columns of an experiment that a file of documents has; none without a file."""
    place = located(shard, experiment)
    if place is None:
        return {}
    return _known(shard, experiment, tuple(files.fingerprint(place[0]).values()))


@functools.lru_cache(maxsize=1 << 16)
def _known(shard: Shard, experiment: str, state: tuple[int | str, ...]) -> dict[str, Kind]:
    return attribute_files.known_columns(shard, experiment)


def choose(
    shards: Sequence[Shard], experiments: Sequence[str], wanted: Callable[[Column], bool]
) -> Choice:
    """The columns of the experiments (all, where none are named) that are wanted.

    Where JSONL of another tool leaves a column's kind open, Parquet of the same column tells it.
    ConfigError where an experiment is named that no file has.
    """
    names = list(experiments) or experiments_of(shards)
    found: dict[str, Column] = {}
    for experiment in names:
        if experiments and not any(located(shard, experiment) for shard in shards):
            there = ", ".join(experiments_of(shards)) or "none"
            raise ConfigError(
                f"no document has attributes {experiment!r}: there are {there}; tag the documents, "
                "or name another with --experiments"
            )
        kinds: dict[str, Kind] = {}
        is_told: set[str] = set()  # names of columns whose kind is no guess
        for shard in shards:
            place = located(shard, experiment)
            tells = place is not None and place[1] == "parquet"
            for name, kind in known(shard, experiment).items():
                if name not in kinds or (tells and name not in is_told):
                    kinds[name] = kind
                if tells:
                    is_told.add(name)
        for name, kind in kinds.items():
            column = Column(experiment, name, kind)
            if name not in found and wanted(column):
                found[name] = column
    return Choice(tuple(found.values()))


def experiments_of(shards: Sequence[Shard]) -> list[str]:
    """All experiments beside the documents, by name; of those that have a file for one of them."""
    found: dict[str, None] = {}
    for folder in dict.fromkeys(shard.attributes for shard in shards):
        if folder is None:
            continue
        if files.is_remote(folder):
            paths = files.expand(f"{folder}/*/**")
            names = sorted({path[len(folder) + 1 :].split("/")[0] for path in paths})
        else:
            try:
                names = sorted(os.listdir(folder))
            except (FileNotFoundError, NotADirectoryError):
                continue
        mine = [shard for shard in shards if shard.attributes == folder]
        for name in names:
            if not name.startswith(".") and any(located(shard, name) for shard in mine):
                found[name] = None
    return sorted(found)
