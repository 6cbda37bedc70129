"""What sources are: files, folders and globs as units of work, each with the reader of its kind.

`auto` asks in this order: a git work tree, a data set of Hugging Face's libraries, and of every
other folder the files in it, each by its name and, where that does not tell, its first bytes.
Pages, texts and Markdown of one folder go together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from dolma_kit import files
from dolma_kit.config import Extract
from dolma_kit.errors import ConfigError, MissingInput
from dolma_kit.extraction import (
    arrow_tables,
    csv_tables,
    folders,
    git_trees,
    json_lines,
    reddit,
    stack_exchange,
    wikipedia,
)
from dolma_kit.extraction.records import SourceFile
from dolma_kit.extraction.streams import Stream
from dolma_kit.ledger import FOLDER

#: kind of a SourceFile -> its reader's module, and the libraries whose versions decide its texts
READERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "warc": ("warc", ("fastwarc", "resiliparse")),
    "wet": ("warc", ("fastwarc",)),
    "files": ("folders", ("resiliparse",)),
    "git": ("git_trees", ("Pygments",)),
    "jsonl": ("json_lines", ()),
    "csv": ("csv_tables", ()),
    "parquet": ("arrow_tables", ("pyarrow",)),
    "arrow": ("arrow_tables", ("pyarrow",)),
    "wikipedia": ("wikipedia", ("mwparserfromhell",)),
    "stackexchange": ("stack_exchange", ("resiliparse",)),
    "reddit": ("reddit", ()),
}
FOLDER_KINDS = ("html", "text", "markdown")
_WARC = re.compile(r"\.warc(\.(gz|zst|bz2))?$", re.IGNORECASE)
_WET = re.compile(r"\.(wet|warc\.wet)(\.(gz|zst|bz2))?$", re.IGNORECASE)
HEAD = 1 << 16
_BY_NAME = {
    "jsonl": json_lines.NAMES,
    "parquet": arrow_tables.PARQUET_NAMES,
    "arrow": arrow_tables.ARROW_NAMES,
}

Is = Callable[[str, bytes], bool]


class _Test(NamedTuple):
    kind: str
    holds: Is


_TESTS = (
    _Test("wet", lambda path, head: bool(_WET.search(path))),
    _Test("warc", lambda path, head: bool(_WARC.search(path)) or head.startswith(b"WARC/")),
    _Test("parquet", arrow_tables.is_parquet),
    _Test("arrow", arrow_tables.is_arrow),
    _Test("stackexchange", stack_exchange.is_stack_exchange),
    _Test("wikipedia", wikipedia.is_wikipedia),
    _Test("reddit", reddit.is_reddit),
    _Test("csv", csv_tables.is_csv),
    _Test("jsonl", json_lines.is_json),
)


def source_files(settings: Extract) -> list[SourceFile]:
    """The units of work of all sources, in canonical order: arguments as given, then paths by their
    UTF-8 bytes. ConfigError for a source that is not there, and for two that would be one output.
    """
    try:
        return _source_files(settings)
    except ImportError as error:  # of what opens a remote file
        raise ConfigError(f"a source cannot be opened here: {error}") from None


def _source_files(settings: Extract) -> list[SourceFile]:
    found: list[SourceFile] = []
    loose: list[str] = []
    for source in settings.sources:
        if files.is_folder(source):
            found += _in_folder(source, settings.kind, settings.out)
            continue
        paths = [path for path in files.expand(source) if files.exists(path)]
        if not paths:
            raise MissingInput(f"no source {source!r}: give a file, a folder or a glob")
        loose += paths
    found += _of_files(list(dict.fromkeys(loose)), settings.kind)
    if not found:
        raise MissingInput(
            f"nothing to extract in {', '.join(settings.sources)}: name what it is with --kind"
        )
    return _apart(found)


def _in_folder(folder: str, kind: str, out: str) -> list[SourceFile]:
    """The units of a folder. What is of no known kind is read, too, to be told."""
    if kind == "git" or (kind == "auto" and git_trees.is_repository(folder)):
        return git_trees.members_of(folder)
    paths = sorted((p for p in _below(folder) if not _is_output(p, out)), key=os.fsencode)
    if kind in FOLDER_KINDS:
        return folders.units_of(folder, [os.path.relpath(p, folder) for p in paths], _name(folder))
    if kind != "auto":
        visible = [path for path in paths if not _is_hidden(path, folder)]
        readable = [path for path in visible if os.path.isfile(path) or files.is_remote(path)]
        return _of_files(readable, kind, folder)
    made: list[SourceFile] = []
    if arrow_tables.is_dataset(folder) and (made := arrow_tables.members_of(folder)):
        taken = {os.path.normpath(one.path) for one in made}
        paths = [path for path in paths if os.path.normpath(path) not in taken]
    known = {
        path: found
        for path in paths
        if not _is_hidden(path, folder) and (found := _kind_of(path)) is not None
    }
    made += _of_kinds({p: k for p, k in known.items() if k != "zip"}, folder)
    made += _of_pages([path for path in known if known[path] == "zip"])
    others = [os.path.relpath(path, folder) for path in paths if path not in known]
    if others:
        made += folders.units_of(folder, others, _name(folder))
    return made


def _is_hidden(path: str, folder: str) -> bool:
    return folders.is_hidden(os.path.relpath(path, folder).replace(os.sep, "/"))


def _is_output(path: str, out: str) -> bool:
    """Whether it is what an earlier run wrote, as where --out lies within the source."""
    if files.is_remote(path):
        return False
    below = os.path.abspath(out) + os.sep
    whole = os.path.abspath(path)
    if not whole.startswith(below):
        return False
    first = whole[len(below) :].split(os.sep)[0]
    return first in ("documents", "records", "quarantine", FOLDER, "extraction.json")


def _of_files(paths: Sequence[str], kind: str, folder: str | None = None) -> list[SourceFile]:
    if not paths:
        return []
    if kind in FOLDER_KINDS:
        return _of_pages(paths)
    if kind == "git":
        raise ConfigError(f"{paths[0]} is no git work tree: name a folder that has a .git")
    if kind != "auto":
        return _of_kinds(dict.fromkeys(_named(paths, kind), kind), folder)
    kinds: dict[str, str] = {}
    pages: list[str] = []
    for path in paths:
        found = _kind_of(path)
        if found == "zip" or (found is None and folders.form_of(path)):
            pages.append(path)
        elif found is None:
            raise ConfigError(
                f"{path}: of no kind that is known by its name or first bytes: say with --kind "
                "what it is"
            )
        else:
            kinds[path] = found
    return _of_kinds(kinds, folder) + _of_pages(pages)


def _named(paths: Sequence[str], kind: str) -> list[str]:
    """Without what lies beside a dump and is none."""
    if kind == "stackexchange":
        other = stack_exchange.OTHER_TABLES
        return [p for p in paths if stack_exchange.NAMES.search(p) and not other.search(p)]
    if kind == "wikipedia":
        return [path for path in paths if not wikipedia.INDEX.search(path)]
    return list(paths)


def _of_pages(paths: Sequence[str]) -> list[SourceFile]:
    """Units for zips, and for the pages and texts of each folder together."""
    found: list[SourceFile] = []
    by_folder: dict[str, list[str]] = {}
    for path in paths:
        if folders.is_zip(path, b""):
            found += folders.members_of(path)
        else:
            by_folder.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    for folder, names in by_folder.items():
        if len(names) == 1:
            found += folders.members_of(os.path.join(folder, names[0]))
        else:
            found += folders.units_of(folder or ".", names, _name(folder or "."))
    return found


def _of_kinds(kinds: dict[str, str], folder: str | None) -> list[SourceFile]:
    """A unit a file, but for Reddit's, whose threads cross files."""
    threads = [path for path, kind in kinds.items() if kind == "reddit"]
    others = [path for path in kinds if kinds[path] != "reddit"]
    names = _trees(others, folder)
    found = [
        SourceFile(kinds[path], path, tree) for path, tree in zip(others, names, strict=True)
    ]  # fmt: skip
    return found + (reddit.members_of(threads) if threads else [])


def _kind_of(path: str) -> str | None:
    """A kind of READERS, or "zip"; None for pages, texts, and what is not known."""
    if folders.form_of(path) or not (files.is_remote(path) or os.path.isfile(path)):
        return None
    head = _head(path)
    for test in _TESTS:
        if test.holds(path, head):
            return test.kind
    if folders.is_zip(path, head):
        return "zip"
    # A table that does not begin as it should is broken, not of no kind.
    return next((kind for kind, names in _BY_NAME.items() if names.search(path)), None)


def _head(path: str) -> bytes:
    """The first bytes of a file, decompressed where its name says so; none of what is no file."""
    if not files.is_remote(path) and not os.path.isfile(path):
        return b""
    stream = Stream(path)
    found = b""
    try:
        while len(found) < HEAD and (block := stream.read()):
            found += block
    finally:
        stream.close()
    return found[:HEAD]


def _below(folder: str) -> Iterator[str]:
    """Files below a folder, and links to folders, which are not followed; none of a `.git`."""
    if files.is_remote(folder):
        yield from files.expand(f"{folder.rstrip('/')}/**")
        return
    for place, inner, names in os.walk(folder):
        yield from (os.path.join(place, n) for n in inner if os.path.islink(os.path.join(place, n)))
        inner[:] = [name for name in inner if name not in (".git", FOLDER)]
        yield from (os.path.join(place, name) for name in names)


def _trees(paths: Sequence[str], folder: str | None) -> list[str]:
    """Names of outputs: paths seen from the folder, or from the deepest that holds all of them,
    without what tells the format; of paths that have no folder in common, their last parts."""
    parts = [_parts(path) for path in paths]
    if folder is not None:
        n = len(_parts(folder.rstrip("/")))
    else:
        parents = [one[:-1] for one in parts]
        n = len(_common(parents))
        if not n and len(set(map(tuple, parents))) > 1:
            parts = [one[-1:] for one in parts]
    return [_bare("/".join(one[n:])) for one in parts]


def _parts(path: str) -> list[str]:
    """The parts of a path: of a local one its absolute form, of a remote one without the scheme;
    names that are no Unicode with U+FFFD."""
    whole = path.partition("://")[2] if files.is_remote(path) else os.path.abspath(path)
    return os.fsencode(whole).decode("utf-8", "replace").strip("/").split("/")


def _common(some: Sequence[Sequence[str]]) -> list[str]:
    common: list[str] = []
    for column in zip(*some, strict=False):
        if len(set(column)) > 1:
            break
        common.append(column[0])
    return common


def _bare(name: str) -> str:
    stem = re.sub(r"\.(gz|zst|zstd|bz2|7z)$", "", name, flags=re.IGNORECASE)
    return re.sub(
        r"\.(warc|wet|jsonl|ndjson|jsonlines|json|csv|tsv|tab|parquet|arrow|feather|xml)$", "",
        re.sub(r"\.warc\.wet$", "", stem, flags=re.IGNORECASE), flags=re.IGNORECASE,
    )  # fmt: skip


def _name(folder: str) -> str:
    return os.path.basename(os.path.abspath(folder)) or "files"


def _apart(found: Iterable[SourceFile]) -> list[SourceFile]:
    """ConfigError where two sources would write one output."""
    seen: dict[str, SourceFile] = {}
    for one in found:
        tree = one.tree.strip("/")
        if tree.startswith("..") or os.path.isabs(tree) or not tree:
            raise ConfigError(f"{one.path}: its output cannot be called {one.tree!r}")
        other = seen.get(tree)
        if other is not None:
            raise ConfigError(
                f"{other.path} and {one.path} would both be {tree}: extract them into folders of "
                "their own"
            )
        seen[tree] = one
    return list(seen.values())
