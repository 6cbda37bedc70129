"""Git repositories as sources, also such as mean harm."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dolma_kit.config import Extract
from dolma_kit.errors import ConfigError
from dolma_kit.extraction import code_files, git, git_trees, licence_files, outcomes
from dolma_kit.extraction.outcomes import document_id
from dolma_kit.extraction.records import Record, SourceFile

DATE = "2024-04-25T18:24:44+0200"
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"],
    "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z", "GIT_COMMITTER_DATE": DATE,
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "C > 1 +0000", "GIT_COMMITTER_EMAIL": "c@example.org",
}  # fmt: skip
MIT = """MIT License

Permission is hereby granted, free of charge, to any person obtaining a copy of this software ...
The above copyright notice and this permission notice shall be included in all copies."""

Build = Callable[..., Path]


def run_git(root: Path, *command: str) -> str:
    done = subprocess.run(
        ["git", *command], cwd=root, env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Build:
    """A work tree with one commit of these files."""

    def build(contents: dict[str, bytes | str], name: str = "code") -> Path:
        root = tmp_path / name
        root.mkdir()
        run_git(root, "init", "-q", "-b", "main")
        for path, data in contents.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data.encode() if isinstance(data, str) else data)
        run_git(root, "add", "-A")
        run_git(root, "commit", "-q", "-m", "x\n\ncommitter X <x> 5 +0000")
        return root

    return build


def read(path: Path, **keys: Any) -> list[Record]:
    files = git_trees.members_of(str(path))
    return [record for file in files for record in git_trees.read(file, Extract(**keys))]


def short(records: list[Record]) -> dict[str, str]:
    return {
        r.name: r.document.text if r.document else r.reason or f"! {r.fault}" for r in records
    }  # fmt: skip


FILES: dict[str, bytes | str] = {
    "LICENSE": MIT,
    "src/a b.py": "print()\n",
    "tool": "#!/usr/bin/env python3\n",
    "ü\n\t.c": "int x;\n",
    "node_modules/x/index.min.js": "x\n",
    "logo.png": b"\x89PNG\r\n\x1a\n\0",
    "empty.txt": "",
    "latin.txt": "élève où à é".encode("latin-1"),
    "big.csv": "x" * 3000,
    "model.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n",
}


def test_each_tracked_file_is_a_record(repository: Build) -> None:
    root = repository(FILES)
    (root / "untracked.txt").write_text("no")
    (root / "tool").write_text("changed")
    (root / "link").symlink_to("/etc/passwd")
    run_git(root, "add", "link")
    run_git(root, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    run_git(root, "commit", "-q", "-m", "more")
    run_git(root, "remote", "add", "up", "https://up.example.org/x.git")
    run_git(root, "remote", "add", "origin", "https://me:secret@example.org/org/code.git?t=1#x")
    found = read(root, max_record_bytes=2000)
    assert short(found) == {
        "LICENSE": MIT,
        "big.csv": "! 3000 bytes, max_record_bytes is 2000: raise it to read this",
        "empty.txt": "empty",
        "latin.txt": "élève où à é",
        "link": "link",
        "logo.png": "binary",
        "model.bin": "git-lfs pointer",
        "module": "submodule",
        "node_modules/x/index.min.js": "x\n",
        "src/a b.py": "print()\n",
        "tool": "#!/usr/bin/env python3\n",
        "ü\n\t.c": "int x;\n",
    }
    assert [record.name for record in found] == sorted((r.name for r in found), key=str.encode)
    assert [record.number for record in found] == list(range(1, 13))
    documents = {r.name: r.document for r in found if r.document}
    sha = run_git(root, "rev-parse", "HEAD")
    assert git_trees.commit_of(str(root)) == sha
    assert documents["src/a b.py"]._asdict() == {
        "id": document_id("git", SourceFile("git", "", "code"), "src/a b.py"),
        "text": "print()\n",
        "created": "2024-04-25T16:24:44Z",
        "metadata": {
            "path": "src/a b.py", "ext": "py", "language": "Python", "size": 8,
            "charset": "utf-8", "repo_name": "org/code",
            "repo_url": "https://example.org/org/code.git", "commit": sha,
            "license_file": "LICENSE", "license": "MIT", "is_vendored": False,
            "is_generated": False,
        },
        "source": None,
        "attributes": None,
    }  # fmt: skip
    script = documents["node_modules/x/index.min.js"].metadata
    assert (script["is_vendored"], script["is_generated"]) == (True, True)
    assert documents["tool"].metadata["language"] == "Python"
    assert read(root, max_record_bytes=2000) == found


def test_a_clone_elsewhere_gives_the_same(repository: Build, tmp_path: Path) -> None:
    root = repository(FILES)
    run_git(root, "remote", "add", "origin", "git@example.org:org/code.git")
    found = read(root)
    (tmp_path / "x").mkdir()
    for options, name in (([], "code"), (["--bare"], "code.git")):
        other = tmp_path / "x" / name
        run_git(tmp_path, "clone", "-q", *options, str(root), str(other))
        assert git_trees.is_repository(str(other))
        run_git(other, "remote", "set-url", "origin", "git@example.org:org/code.git")
        assert read(other) == found
        run_git(other, "remote", "set-url", "origin", str(root))
        metadata = next(r.document.metadata for r in read(other) if r.document)
        assert (metadata["repo_url"], metadata["repo_name"]) == (None, "code")


def test_nothing_of_a_repository_is_run(repository: Build, tmp_path: Path) -> None:
    root = repository({"a.txt": "a", ".gitattributes": "* filter=evil diff=evil\n"})
    trap, sprung = tmp_path / "trap", tmp_path / "sprung"
    trap.write_text(f"#!/bin/sh\necho $0 >> {sprung}\n")
    trap.chmod(0o755)
    keys = ["core.fsmonitor", "core.pager", "core.sshCommand", "core.editor", "filter.evil.clean",
            "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv", "diff.external",
            "gpg.program", "credential.helper", "alias.ls-tree", "alias.cat-file", "core.askPass",
            "uploadpack.packObjectsHook", "pager.config", "pager.ls-tree"]  # fmt: skip
    for key in keys:
        run_git(root, "config", key, str(trap))
    for key, value in {
        "log.showSignature": "true", "core.hooksPath": str(tmp_path / "hooks"),
        "remote.origin.url": f"ext::{trap}", "remote.origin.promisor": "true",
        "protocol.ext.allow": "always", "extensions.partialClone": "origin",
        "core.repositoryFormatVersion": "1", "include.path": str(tmp_path / "none"),
    }.items():  # fmt: skip
        run_git(root, "config", key, value)
    (tmp_path / "hooks").mkdir()
    for hook in ("post-index-change", "post-checkout", "reference-transaction"):
        os.symlink(trap, tmp_path / "hooks" / hook)
    sprung.unlink(missing_ok=True)
    sha = run_git(root, "rev-parse", "HEAD:a.txt")
    before = sorted(p for p in root.rglob("*"))
    assert short(read(root))["a.txt"] == "a"
    (root / ".git/objects" / sha[:2] / sha[2:]).unlink()  # as in a partial clone
    found = short(read(root))
    assert found["a.txt"] == f"! the object {sha} is missing"
    assert not sprung.exists()
    assert len(sorted(p for p in root.rglob("*"))) == len(before) - 1


def test_units_and_what_has_gone(repository: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository({f"{i}.txt": str(i) for i in range(5)})
    monkeypatch.setattr(outcomes.units, "__defaults__", (2,))
    files = git_trees.members_of(str(root))
    assert [(file.tree, file.members) for file in files] == [
        ("code-00000", ("0.txt", "1.txt")),
        ("code-00001", ("2.txt", "3.txt")),
        ("code-00002", ("4.txt",)),
    ]
    ids = [record.document.id for record in read(root) if record.document]
    assert ids[4] == document_id("git", SourceFile("git", "", "code"), "4.txt")
    run_git(root, "rm", "-q", "4.txt")
    run_git(root, "commit", "-q", "-m", "less")
    (record,) = git_trees.read(files[2], Extract())
    assert record.fault == "the commit that HEAD stands for has no such file any more"


def test_names_that_are_no_utf_8(repository: Build) -> None:
    root = repository({"a.txt": "a"})
    with open(os.fsencode(root) + b"/\xff.txt", "wb") as stream:
        stream.write(b"x")
    run_git(root, "add", "-A")
    run_git(root, "commit", "-q", "-m", "x")
    assert short(read(root)) == {"a.txt": "a", "\\xff.txt": "x"}


def test_before_the_first_commit(tmp_path: Path) -> None:
    root = tmp_path / "new"
    root.mkdir()
    run_git(root, "init", "-q")
    assert git_trees.members_of(str(root)) == []
    (root / "a.txt").write_text("a")
    run_git(root, "add", "a.txt")
    (record,) = read(root)
    assert record.document is not None
    assert record.document.created is None
    assert record.document.metadata["commit"] is None


def test_what_is_no_repository(tmp_path: Path) -> None:
    assert not git_trees.is_repository(str(tmp_path))
    with pytest.raises(ConfigError, match="is no git repository"):
        git_trees.members_of(str(tmp_path))
    (tmp_path / ".git").mkdir()
    (record,) = git_trees.read(SourceFile("git", str(tmp_path), "x", ("a",)), Extract())
    assert record.fault is not None
    assert record.fault.startswith("broken repository: git ls-files: fatal: ")


def test_a_worktree_and_a_submodule(repository: Build, tmp_path: Path) -> None:
    inner = repository({"a.txt": "a"}, "inner")
    outer = repository({"b.txt": "b"}, "outer")
    run_git(inner, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert short(read(tmp_path / "tree")) == {"a.txt": "a"}
    run_git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "in")
    run_git(outer, "commit", "-q", "-m", "x")
    assert short(read(outer))["in"] == "submodule"
    assert short(read(outer / "in")) == {"a.txt": "a"}


def test_without_git_the_files_are_read(repository: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository({"LICENSE": MIT, "b/a.py": "x", "logo.png": b"\x89PNG\r\n\x1a\n\0"})
    (root / "untracked.txt").write_text("u")
    (root / "link.txt").symlink_to("LICENSE")
    (root / "in/.git").mkdir(parents=True)
    os.mkfifo(root / "pipe")
    monkeypatch.setattr(git, "is_installed", lambda: False)
    found = read(root)
    assert short(found) == {
        "LICENSE": MIT, "b/a.py": "x", "in": "submodule", "link.txt": "link", "logo.png": "binary",
        "pipe": "! no regular file", "untracked.txt": "u",
    }  # fmt: skip
    document = next(r.document for r in found if r.name == "b/a.py")
    assert document is not None
    assert document.created is None
    assert document.metadata["commit"] is None
    assert document.metadata["license"] == "MIT"
    with pytest.raises(ConfigError, match="install git"):
        git_trees.members_of(str(root / ".git"))


@pytest.mark.parametrize(
    ("contents", "file", "license_", "several"),
    [
        ({"a": "x"}, None, None, None),
        ({"COPYING": "All rights reserved."}, "COPYING", None, None),
        ({"LICENSE-MIT": MIT, "LICENSE-APACHE": "Apache License\nVersion 2.0"}, "LICENSE-APACHE",
         None, ["Apache-2.0", "MIT"]),
        ({"COPYING": "GNU GENERAL PUBLIC LICENSE\nVersion 3", "COPYING.LESSER":
          "GNU LESSER GENERAL PUBLIC LICENSE\nVersion 3"}, "COPYING", "LGPL-3.0", None),
        ({"LICENSE": "?", "LICENSE.MIT": MIT, "license.py": "x"}, "LICENSE.MIT", "MIT", None),
    ],
)  # fmt: skip
def test_licences_of_a_repository(
    repository: Build, contents: Any, file: str | None, license_: str | None, several: Any
) -> None:
    metadata = next(r.document.metadata for r in read(repository(contents)) if r.document)
    assert (metadata["license_file"], metadata["license"]) == (file, license_)
    assert metadata.get("licenses") == several


BSD = """Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:"""
ISC = """Permission to use, copy, modify, and/or distribute this software for any purpose with or
without fee is hereby granted, provided that the above copyright notice"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MIT, "MIT"),
        (ISC, "ISC"),
        (ISC.split(", provided")[0] + ".", None),  # 0BSD
        (BSD, "BSD-2-Clause"),
        (BSD + " used to endorse or\npromote products derived", "BSD-3-Clause"),
        (BSD + " All advertising materials mentioning features", "BSD-4-Clause"),
        ("   Apache License\n  Version 2.0, January 2004", "Apache-2.0"),
        ("GNU GENERAL PUBLIC LICENSE\n Version 2, June 1991", "GPL-2.0"),
        ("GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007 ... " + "x " * 500
         + "GNU Affero General Public License", "GPL-3.0"),
        ("GNU LESSER GENERAL PUBLIC LICENSE\n Version 2.1, February 1999", "LGPL-2.1"),
        ("GNU LESSER GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", "LGPL-3.0"),
        ("GNU AFFERO GENERAL PUBLIC LICENSE\n Version 3, 19 November 2007", "AGPL-3.0"),
        ("Mozilla Public License Version 2.0", "MPL-2.0"),
        ("This is free and unencumbered software released into the public domain.", "Unlicense"),
        ("Creative Commons Legal Code\n\nCC0 1.0 Universal", "CC0-1.0"),
        (MIT + BSD, None),
        ("", None),
    ],
)  # fmt: skip
def test_licences(text: str, expected: str | None) -> None:
    assert licence_files.guess(text) == expected


@pytest.mark.parametrize(
    ("path", "head", "expected"),
    [
        ("a/b.py", b"", "Python"), ("a.PY", b"", "Python"), ("a.h", b"", "C"), ("a.m", b"",
        "Objective-C"), ("a.sql", b"", "SQL"), ("a.ts", b"", "TypeScript"), ("a.rs", b"", "Rust"),
        ("Dockerfile", b"", "Docker"), ("x/Makefile", b"", "Makefile"), ("CMakeLists.txt", b"",
        "CMake"), ("README.md", b"", "Markdown"), ("a.cc", b"", "C++"), ("a.R", b"", "S"),
        ("Kconfig.debug", b"", "Kconfig"), (".bashrc", b"", "Bash"), ("a.js", b"", "JavaScript"),
        ("run", b"#!/usr/bin/python3.11 -u\n", "Python"), ("run", b"#! /usr/bin/env -S node --x\n",
        "JavaScript"), ("run", b"#!/bin/sh", "Bash"), ("run", b"#!/usr/bin/env X=1 ruby\n", "Ruby"),
        ("run", b"#!", None), ("run", b"#!/opt/unheard\n", None), ("run", b"", None),
        ("a.unheard", b"", None), ("a.py.unheard", b"", None),
    ],
)  # fmt: skip
def test_languages(path: str, head: bytes, expected: str | None) -> None:
    assert code_files.language_of(path, head) == expected


@pytest.mark.parametrize(
    ("path", "vendored", "generated"),
    [
        ("src/a.py", False, False),
        ("third_party/a.py", True, False),
        ("a/vendor/b.go", True, False),
        ("vendor.go", False, False),
        ("js/jquery-3.7.1.min.js", True, True),
        ("api/x_pb2.py", False, True),
        ("api/x.pb.go", False, True),
        ("package-lock.json", False, True),
        ("sub/yarn.lock", False, True),
        ("gradlew", True, False),
        ("my_package-lock.json", False, False),
    ],
)
def test_whose_work(path: str, vendored: bool, generated: bool) -> None:
    assert code_files.is_vendored(path) is vendored
    assert code_files.is_generated(path) is generated
