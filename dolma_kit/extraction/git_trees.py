"""Git repositories as sources: a record a file of the commit that HEAD stands for.

What is read are the objects of that commit, not the files of the work tree, which may differ;
before the first commit, what is in the index. Without `git` on the machine, the files of the work
tree; then neither commit nor remote are known. Nothing of a repository is executed.

`metadata`: `path`, `ext` and `language` (null if unknown), `size`, `charset`, `repo_name` (that of
the remote URL, else of the folder), `repo_url`, `commit`, `license_file` and `license` (of the
repository: null if there is none, or it is not known, or its files are of several; then `licenses`
has them all), `is_vendored`, `is_generated`. `created` is the date of the commit.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dolma_kit.errors import BrokenFile, ConfigError
from dolma_kit.extraction import charsets, code_files, dates, git, licence_files
from dolma_kit.extraction.git import Commit, Entry
from dolma_kit.extraction.outcomes import (
    REPLACED,
    byte_order,
    document_id,
    faulty,
    name_of,
    shown,
    taken,
    too_large,
    units,
)
from dolma_kit.extraction.records import Document, Record, SourceFile

if TYPE_CHECKING:
    from dolma_kit.config import Extract

KIND = "git"
_LINK, _MODULE = "120000", "160000"
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_LICENSE_BYTES = 1 << 18


class _Tree(Protocol):
    """The files of a repository; `content` is (size, bytes), of too large ones not all bytes."""

    def head(self) -> Commit | None: ...

    def entries(self, commit: Commit | None) -> Iterator[Entry]: ...

    def content(self, sha: str, max_bytes: int) -> tuple[int, bytes]: ...

    def url(self) -> str | None: ...

    def close(self) -> None: ...


class Repository(NamedTuple):
    """What is said of each of its files: fields of their metadata, and their date."""

    metadata: dict[str, Any]
    created: str | None


def is_repository(path: str) -> bool:
    """Whether a folder is a work tree (has a `.git`) or a bare repository."""
    return os.path.isdir(path) and git.folder_of(path) is not None


def commit_of(path: str) -> str | None:
    """The commit that is read: what makes a repository due again if it is another."""
    tree = _opened(path)
    try:
        commit = tree.head()
    finally:
        tree.close()
    return commit.sha if commit else None


def members_of(path: str) -> list[SourceFile]:
    """Units of work for a repository: its tracked files, in canonical order."""
    tree = _opened(path)
    try:
        members = [entry.path for entry in tree.entries(tree.head())]
    finally:
        tree.close()
    name = name_of(path).removesuffix(".git")
    return units(KIND, path, sorted(set(members), key=byte_order), name)


def read(file: SourceFile, settings: Extract) -> Iterator[Record]:
    """A record for each member of the unit (all tracked files, if it names none).

    Links, modules, binary files and pointers of git-lfs are left out; files with other people's or
    generated work are not, their metadata tells. Ids are those of `outcomes.document_id`, by path.
    """
    tree = _opened(file.path)
    number = 1
    try:
        commit = tree.head()
        entries = {entry.path: entry for entry in tree.entries(commit)}
        repository = _described(tree, commit, entries.values(), name_of(file.path))
        for member in file.members or sorted(entries, key=byte_order):
            yield _record(number, member, entries.get(member), tree, repository, file, settings)
            number += 1
    except BrokenFile as error:
        yield faulty(number, shown(name_of(file.path)), f"broken repository: {error.reason}")
    finally:
        tree.close()


def _record(
    number: int,
    member: str,
    entry: Entry | None,
    tree: _Tree,
    repository: Repository,
    file: SourceFile,
    settings: Extract,
) -> Record:
    name, most = shown(member), settings.max_record_bytes
    if entry is None:
        return faulty(number, name, "the commit that HEAD stands for has no such file any more")
    if entry.mode == _LINK:
        return Record(number, name, reason="link")
    if entry.mode == _MODULE:
        return Record(number, name, reason="submodule", detail=f"of commit {entry.sha}")
    try:
        size, data = tree.content(entry.sha, most)
    except BrokenFile as error:
        return faulty(number, name, error.reason)
    if charsets.is_binary(data):
        return Record(number, name, reason="binary")
    if size > most:
        return faulty(number, name, too_large(size, most), data)
    if data.startswith(_POINTER) and size < 1024:
        return Record(number, name, reason="git-lfs pointer")
    decoded = charsets.decode(data, "utf-8")
    metadata = {
        "path": name,
        "ext": code_files.extension_of(name),
        "language": code_files.language_of(name, data[:256]),
        "size": size,
        "charset": decoded.charset,
        **repository.metadata,
        "is_vendored": code_files.is_vendored(name),
        "is_generated": code_files.is_generated(name),
    }
    id_ = document_id("git", file, member)
    document = Document(id_, decoded.text, repository.created, metadata)
    return taken(number, name, document, (REPLACED,) if decoded.n_replaced else ())


def _described(
    tree: _Tree, commit: Commit | None, entries: Iterable[Entry], folder: str
) -> Repository:
    found: dict[str, str | None] = {}
    for entry in entries:
        if "/" in entry.path or entry.mode in (_LINK, _MODULE):
            continue
        if licence_files.is_license(entry.path):
            try:
                _, data = tree.content(entry.sha, _LICENSE_BYTES)
            except BrokenFile:  # told where the file itself is read
                data = b""
            found[entry.path] = licence_files.guess(charsets.decode(data, "utf-8").text)
    files = sorted(found, key=lambda path: (found[path] is None, byte_order(path)))
    names = licence_files.joined(name for name in found.values() if name is not None)
    url = tree.url()
    metadata: dict[str, Any] = {
        "repo_name": (_name_in(url) if url else None) or shown(folder).removesuffix(".git"),
        "repo_url": url,
        "commit": commit.sha if commit else None,
        "license_file": shown(files[0]) if files else None,
        "license": names[0] if len(names) == 1 else None,
    }
    if len(names) > 1:
        metadata["licenses"] = names
    seconds = commit.seconds if commit else None
    return Repository(metadata, None if seconds is None else dates.iso(seconds))


def _name_in(url: str) -> str | None:
    """`owner/name` of a remote's URL."""
    path = url.partition("://")[2].partition("/")[2] if "://" in url else url.partition(":")[2]
    return path.strip("/").removesuffix(".git") or None


def _opened(path: str) -> _Tree:
    folder = git.folder_of(path)
    if folder is None:
        raise ConfigError(f"{path} is no git repository: it has no .git, nor HEAD and objects/")
    if git.is_installed():
        return git.Repository(folder)
    if folder == path:
        raise ConfigError(f"{path} is a bare repository: install git to read it")
    return _WorkTree(path)


class _WorkTree:
    """The files of a folder, where there is no git to ask; their path stands for their content."""

    def __init__(self, root: str) -> None:
        self._root = root

    def head(self) -> None:
        return None

    def entries(self, commit: Commit | None) -> Iterator[Entry]:
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            with os.scandir(os.path.join(self._root, folder)) as found:
                for one in found:
                    path = f"{folder}/{one.name}" if folder else one.name
                    if one.name == ".git":
                        continue
                    if one.is_symlink():
                        yield Entry(path, _LINK, path)
                    elif not one.is_dir():
                        yield Entry(path, "100644", path)
                    elif os.path.exists(os.path.join(self._root, path, ".git")):
                        yield Entry(path, _MODULE, "unknown")
                    else:
                        waiting.append(path)

    def content(self, sha: str, max_bytes: int) -> tuple[int, bytes]:
        path = os.path.join(self._root, sha)
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode):
                raise BrokenFile(path, "no regular file")
            with open(path, "rb") as stream:
                most = max_bytes if status.st_size <= max_bytes else git.BLOCK
                return status.st_size, stream.read(most)
        except OSError as error:
            raise BrokenFile(path, os.strerror(error.errno or 0)) from None

    def url(self) -> None:
        return None

    def close(self) -> None: ...
