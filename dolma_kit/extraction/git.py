"""What a git repository has, asked of `git` in a way that runs nothing of the repository's.

No shell, hooks, filters, pagers, monitors or transports; nothing is written, the configuration of
the machine and of its users is not read.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO, NamedTuple

from dolma_kit.errors import BrokenFile

_OPTIONS = (
    "--no-pager",
    "-c", "core.fsmonitor=false",
    "-c", "core.hooksPath=/dev/null",
    "-c", "protocol.allow=never",  # objects that a partial clone lacks are not fetched
    "-c", "safe.directory=*",
)  # fmt: skip
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
_COMMITTED = re.compile(rb"^committer .*> (-?\d+) [+-]\d{4}$", re.MULTILINE)
BLOCK = 1 << 16


class Entry(NamedTuple):
    """A path of the tree; `mode` is git's, as `100644`, `120000` (a link), `160000` (a module)."""

    path: str
    mode: str
    sha: str


class Commit(NamedTuple):
    sha: str
    seconds: int | None


@functools.cache
def is_installed() -> bool:
    return shutil.which("git") is not None


def folder_of(path: str) -> str | None:
    """The repository's own folder: `.git` of a work tree (or the file that names it), or the path
    itself if it is a bare repository; None for what is no repository."""
    inner = os.path.join(path, ".git")
    if os.path.exists(inner):
        return inner
    parts = (("HEAD", os.path.isfile), ("objects", os.path.isdir), ("refs", os.path.isdir))
    return path if all(is_there(os.path.join(path, name)) for name, is_there in parts) else None


class Repository:
    """A repository by the folder that `folder_of` gives; BrokenFile for what git cannot read."""

    def __init__(self, folder: str) -> None:
        self._folder = os.path.abspath(folder)
        self._objects: subprocess.Popen[bytes] | None = None

    def head(self) -> Commit | None:
        """The commit that HEAD stands for; None before the first."""
        sha = self._asked("rev-parse", "--verify", "--quiet", "HEAD^{commit}", may_fail=True)
        if not sha.strip():
            return None
        body = self._asked("cat-file", "commit", sha.strip().decode("ascii"))
        header = body.split(b"\n\n", 1)[0]  # what follows is the message, which says anything
        found = _COMMITTED.search(header)
        return Commit(sha.strip().decode("ascii"), int(found[1]) if found else None)

    def entries(self, commit: Commit | None) -> Iterator[Entry]:
        """All paths of a commit's tree, or of the index if there is none, by their bytes."""
        command = ["ls-files", "-s", "-z", "--full-name"]
        if commit is not None:
            command = ["ls-tree", "-r", "-z", "--full-tree", commit.sha]
        with tempfile.TemporaryFile() as said, self._started(*command, errors=said) as process:
            assert process.stdout is not None
            rest = b""
            while block := process.stdout.read(BLOCK):
                *whole, rest = (rest + block).split(b"\0")
                for line in whole:
                    yield _entry(line, is_tree=commit is not None)
            if process.wait():
                said.seek(0)
                raise BrokenFile(self._folder, f"git {command[0]}: {_first_line(said.read(BLOCK))}")

    def content(self, sha: str, max_bytes: int) -> tuple[int, bytes]:
        """(size, bytes) of a file's content, of a larger one at most BLOCK of them."""
        if self._objects is None:
            self._objects = self._started("cat-file", "--batch", reads=True)
        process = self._objects
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(sha.encode("ascii") + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline().split()
        if len(answer) != 3:
            if not answer:  # it died
                self.close()
            raise BrokenFile(self._folder, f"the object {sha} is missing")
        size = int(answer[2])
        data = process.stdout.read(size if size <= max_bytes else min(size, BLOCK))
        left = size - len(data) + 1  # and a line's end
        while left:
            skipped = process.stdout.read(min(left, BLOCK))
            if not skipped:
                self.close()
                raise BrokenFile(self._folder, f"the object {sha} cannot be read to its end")
            left -= len(skipped)
        return size, data

    def url(self) -> str | None:
        """Where it was cloned from, without user, password and query; None if that is unknown, or
        a path of this machine. Of several remotes `origin`, else the first by name."""
        said = self._asked(
            "config", "--local", "--no-includes", "-z", "--get-regexp", r"^remote\..*\.url$",
            may_fail=True,
        )  # fmt: skip
        found: dict[str, str] = {}
        for line in said.decode("utf-8", "replace").split("\0"):
            name, _, url = line.partition("\n")
            found.setdefault(name, url)
        found.pop("", None)
        name = "remote.origin.url" if "remote.origin.url" in found else min(found, default="")
        return without_credentials(found[name]) if name else None

    def close(self) -> None:
        process, self._objects = self._objects, None
        if process is not None:
            process.kill()
            process.communicate()

    def _asked(self, *command: str, may_fail: bool = False) -> bytes:
        with self._started(*command) as process:
            answer, errors = process.communicate()
        if process.returncode and not may_fail:
            raise BrokenFile(self._folder, f"git {command[0]}: {_first_line(errors)}")
        return answer if not process.returncode else b""

    def _started(
        self, *command: str, reads: bool = False, errors: IO[bytes] | int = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["git", *_OPTIONS, f"--git-dir={self._folder}", *command],
            stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if reads else errors,
            env={**_ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath)},
            cwd=os.path.dirname(self._folder),
        )


def without_credentials(url: str) -> str | None:
    """A remote's URL as it may be published; None for a path.

    >>> without_credentials("https://me:token@example.org/a/b.git?key=1")
    'https://example.org/a/b.git'
    >>> without_credentials("git@example.org:a/b.git"), without_credentials("/home/me/b")
    ('example.org:a/b.git', None)
    """
    url = re.split(r"[?#]", url, maxsplit=1)[0]
    scheme, mark, rest = url.partition("://")
    if mark:
        if scheme.lower() not in ("http", "https", "ssh", "git", "git+ssh", "git+https"):
            return None
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    host, colon, path = url.partition(":")
    if not colon or "/" in host or len(host) < 2:  # a path, also one of Windows
        return None
    return f"{host.rpartition('@')[2]}:{path}"


def _entry(line: bytes, *, is_tree: bool) -> Entry:
    about, _, path = line.partition(b"\t")
    fields = about.split()  # mode, type, sha of a tree; mode, sha, stage of the index
    sha = fields[2 if is_tree else 1]
    return Entry(os.fsdecode(path), fields[0].decode("ascii"), sha.decode("ascii"))


def _first_line(errors: bytes) -> str:
    return errors.decode("utf-8", "replace").strip().split("\n")[0] or "it failed"
