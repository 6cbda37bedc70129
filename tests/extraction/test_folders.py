"""Folders and zips of pages and texts as sources."""

from __future__ import annotations

import gzip
import os
import socket
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.config import Extract
from dolma_kit.extraction import folders, front_matter, outcomes
from dolma_kit.extraction.outcomes import document_id
from dolma_kit.extraction.records import Record, SourceFile

Build = Callable[[dict[str, bytes | str]], Path]


PAGE = (
    "<html lang=de><head><title>A title</title>"
    "<meta property='article:published_time' content='2024-04-25'></head>"
    "<body><nav><a href=/>home</a></nav><main><p>b</p></main></body></html>"
)


@pytest.fixture
def folder(tmp_path: Path) -> Build:
    def build(contents: dict[str, bytes | str]) -> Path:
        root = tmp_path / "web"
        root.mkdir(exist_ok=True)
        for name, data in contents.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.encode() if isinstance(data, str) else data)
        return root

    return build


@pytest.fixture
def archive(tmp_path: Path) -> Build:
    def build(contents: dict[str, bytes | str]) -> Path:
        path = tmp_path / "web.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as writer:
            for name, data in contents.items():
                writer.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        return path

    return build


def read(path: Path | str, **keys: Any) -> list[Record]:
    files = folders.members_of(str(path))
    return [record for file in files for record in folders.read(file, Extract(**keys))]


def short(records: list[Record]) -> dict[str, str]:
    """By name: the text of a document, the reason or fault of another."""
    return {
        r.name: r.document.text if r.document else r.reason or f"! {r.fault}" for r in records
    }  # fmt: skip


FILES: dict[str, bytes | str] = {
    "b.html": PAGE,
    "B.HTM": "<p>bb",
    "a/c.txt": "c\r\nd\n",
    "a.txt": "a",
    "a/.hidden.md": "# h\n",
    "ä 🐝\n.rst": "r",
    "e.txt": " \n",
    "x.xhtml": b"\xff\xfe" + "u".encode("utf-16-le"),
    "image.txt": b"\x89PNG\r\n\x1a\n\0\0",
    "data.bin": b"\0\1\2\3\4\5\6" * 100,
    "style.css": "p {}",
    "README": "plain",
    "z.zip": b"PK\3\4",
    "hidden.txt": b"PK\3\4",
    "pack.tar.gz": b"x",
}
EXPECTED = {
    "B.HTM": "bb", "README": "type", "a.txt": "a", "a/.hidden.md": "hidden",
    "a/c.txt": "c\r\nd\n", "b.html": "b", "data.bin": "binary", "e.txt": "empty",
    "hidden.txt": "archive", "image.txt": "binary", "pack.tar.gz": "archive", "style.css": "type",
    "x.xhtml": "u", "z.zip": "archive", "ä 🐝\n.rst": "r",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_each_file_is_a_record_in_the_order_of_bytes(
    folder: Build, archive: Build, kind: str
) -> None:
    path = (folder if kind == "folder" else archive)(FILES)
    found = read(path)
    assert short(found) == EXPECTED
    assert [record.name for record in found] == sorted(EXPECTED, key=str.encode)
    assert [record.number for record in found] == list(range(1, len(EXPECTED) + 1))
    documents = {r.name: r.document for r in found if r.document}
    assert documents["b.html"].metadata == {
        "title": "A title", "language": "de", "published": "2024-04-25", "path": "b.html",
        "charset": "utf-8",
    }  # fmt: skip
    assert documents["b.html"].created == "2024-04-25"
    assert documents["a/c.txt"].metadata == {"path": "a/c.txt", "charset": "utf-8"}
    assert documents["a/c.txt"].created is None
    place = SourceFile("files", "", "web")
    assert documents["a/c.txt"].id == document_id("file", place, "a/c.txt")
    assert read(path) == found


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("html", {"B.HTM", "b.html", "x.xhtml", "README"}),
        ("text", {"a.txt", "a/c.txt", "README"}),
        ("markdown", {"ä 🐝\n.rst", "README"}),
    ],
)
def test_one_kind_alone(folder: Build, kind: str, expected: set[str]) -> None:
    found = read(folder(FILES), kind=kind)
    assert {record.name for record in found if record.document} == expected
    assert short(found)["style.css"] == "type"


def test_a_file_by_itself(tmp_path: Path) -> None:
    (tmp_path / "a.md.gz").write_bytes(gzip.compress(b"---\ntitle: A\n---\nb"))
    (tmp_path / "page.php").write_bytes(b"<p>of it")
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"b" * 99)[:-9])
    (tmp_path / "big.txt.gz").write_bytes(gzip.compress(b"b" * 10_000_000))
    assert folders.members_of(f"{tmp_path}/a.md.gz")[0].tree == "a"
    (record,) = read(tmp_path / "a.md.gz")
    assert record.document is not None
    assert record.document.text == "b"
    assert record.document.metadata == {"title": "A", "path": "a.md.gz", "charset": "utf-8"}
    assert short(read(tmp_path / "page.php")) == {"page.php": "type"}
    assert short(read(tmp_path / "page.php", kind="html")) == {"page.php": "of it"}
    assert "truncated gzip" in short(read(tmp_path / "cut.txt.gz"))["cut.txt.gz"]
    fault = short(read(tmp_path / "big.txt.gz", max_record_bytes=1000))["big.txt.gz"]
    assert "max_record_bytes is 1000" in fault


@pytest.mark.parametrize(
    ("data", "text", "charset", "notes"),
    [
        (b"\xef\xbb\xbfa\xc3\xa9", "aé", "utf-8", ()),
        ("aé".encode("utf-16"), "aé", "utf-16-le", ()),
        ("Où est l'été à Évry ? C'était là-bas, près de la forêt où les élèves étudiaient.".encode(
            "latin-1"), "Où est l'été à Évry ? C'était là-bas, près de la forêt où les élèves "
         "étudiaient.", "cp1252", ()),
        ("é".encode() * 30 + b"\xff", "é" * 30 + "\ufffd", "utf-8", ("replaced characters",)),
        ('<meta charset="latin1"> é'.encode(), '<meta charset="latin1"> é', "utf-8", ()),
    ],
)  # fmt: skip
def test_encodings(
    folder: Build, data: bytes, text: str, charset: str, notes: tuple[str, ...]
) -> None:
    (record,) = read(folder({"a.txt": data}))
    assert record.document is not None
    assert (record.document.text, record.document.metadata["charset"]) == (text, charset)
    assert record.notes == notes


@pytest.mark.parametrize(
    ("text", "rest", "metadata", "created", "notes"),
    [
        ("---\ntitle: T\ndate: 2024-04-25\nlicense: MIT\ntags: [a]\n---\nx\n", "x\n",
         {"title": "T", "license": "MIT", "tags": ["a"]}, "2024-04-25", ()),
        ("---\r\ndate: 2024-04-25T18:24:44+02:00\r\n...\r\nx", "x", {}, "2024-04-25T16:24:44Z", ()),
        ("---\ndate: soon\n1: {2: .nan}\n---\nx", "x", {"date": "soon", "1": {"2": None}},
         None, ()),
        ("---\n---\nx", "x", {}, None, ()),
        ("---\ntitle: T\n---", "empty", {}, None, ()),
        ("---\na: [\n---\nx", "---\na: [\n---\nx", {}, None, ("unreadable front matter",)),
        ("---\na: &a 1\nb: *a\n---\nx", "---\na: &a 1\nb: *a\n---\nx", {}, None,
         ("unreadable front matter",)),
        ("---\nd: 2024-99-99\n---\nx", "---\nd: 2024-99-99\n---\nx", {}, None,
         ("unreadable front matter",)),
        ("---\nx: !!python/object:os.system {}\n---\n",
         "---\nx: !!python/object:os.system {}\n---\n",
         {}, None, ("unreadable front matter",)),
        ("---\n" + "[" * 60_000 + "\n---\nx", "---\n" + "[" * 60_000 + "\n---\nx", {}, None,
         ("unreadable front matter",)),
        ("---\njust text\n---\nx", "---\njust text\n---\nx", {}, None, ()),
        ("---\ntitle: T\n", "---\ntitle: T\n", {}, None, ()),
        ("x\n---\na: b\n---\n", "x\n---\na: b\n---\n", {}, None, ()),
        ("---\npath: /etc/passwd\n---\nx", "x", {}, None, ()),
    ],
)  # fmt: skip
def test_front_matter(
    folder: Build, text: str, rest: str, metadata: Any, created: str | None, notes: Any
) -> None:
    (record,) = read(folder({"a.md": text}))
    assert short([record])["a.md"] == rest
    assert record.notes == notes
    if record.document is not None:
        assert record.document.metadata == metadata | {"path": "a.md", "charset": "utf-8"}
        assert record.document.created == created


@settings(max_examples=60)
@given(st.text(alphabet="-.\n\r:[]{}&*!#'\"ab 1é\0", max_size=40))
def test_front_matter_never_raises_nor_loses_text(text: str) -> None:
    said, rest, note = front_matter.split("---\n" + text)
    assert rest in "---\n" + text
    assert said == {} or note is None


def test_links_and_special_files(folder: Build, tmp_path: Path) -> None:
    root = folder({"a/b.txt": "b", "web.txt": "w", ".git/config.txt": "no"})
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "web2").mkdir()
    (tmp_path / "web2" / "x.txt").write_text("secret")
    for name, target in {
        "in.txt": "a/b.txt", "out.txt": "../secret.txt", "away": "../web2", "loop": ".",
        "nowhere.txt": "none", "round.txt": "round.txt", "beside.txt": "../web2/x.txt",
        "dev.txt": "/dev/zero",
    }.items():  # fmt: skip
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket.txt"))
    found = read(root)
    assert short(found) == {
        "a/b.txt": "b", "away": "link", "beside.txt": "link", "dev.txt": "link", "in.txt": "b",
        "loop": "link", "nowhere.txt": "link", "out.txt": "link", "pipe.txt": "special file",
        "round.txt": "link", "socket.txt": "special file", "web.txt": "w",
    }  # fmt: skip


def test_names_that_are_no_utf_8_and_files_that_go(folder: Build) -> None:
    root = folder({"b.txt": "b", "c.txt": "c"})
    raw = os.fsencode(root) + b"/\xff.txt"
    with open(raw, "wb") as stream:
        stream.write(b"x")
    (file,) = folders.members_of(str(root))
    (root / "b.txt").unlink()
    found = list(folders.read(file, Extract()))
    assert short(found) == {
        "b.txt": "! No such file or directory", "c.txt": "c", "\\xff.txt": "x",
    }  # fmt: skip


def test_a_large_folder_is_split(folder: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcomes.MEMBERS == 2000
    monkeypatch.setattr(outcomes.units, "__defaults__", (3,))
    root = folder({f"{i:02}.txt": str(i) for i in range(8)})
    files = folders.members_of(str(root))
    assert [(file.tree, len(file.members)) for file in files] == [
        ("web-00000", 3), ("web-00001", 3), ("web-00002", 2),
    ]  # fmt: skip
    ids = [r.document.id for r in read(root) if r.document]
    (root / "00a.txt").write_text("new")
    assert [i for i in (r.document.id for r in read(root) if r.document) if i in ids] == ids


def test_a_file_that_is_too_large(folder: Build) -> None:
    found = read(folder({"a.txt": "x" * 101, "b.txt": "x" * 100, "c.css": "x" * 101}),
                 max_record_bytes=100)  # fmt: skip
    assert short(found) == {
        "a.txt": "! 101 bytes, max_record_bytes is 100: raise it to read this",
        "b.txt": "x" * 100,
        "c.css": "type",
    }


# --- zips


def test_names_of_members_are_only_names(archive: Build, tmp_path: Path) -> None:
    names = ["../x.txt", "/etc/x.txt", "a/../../y.txt", "C:\\x.txt", "~/x.txt", "a\\b.txt"]
    before = sorted(tmp_path.rglob("*"))
    path = archive(dict.fromkeys(names, "x"))
    found = read(path)
    assert short(found) == dict.fromkeys(names, "x")
    assert sorted(tmp_path.rglob("*")) == sorted([*before, path])


def test_a_bomb_is_told_by_what_comes_out(archive: Build) -> None:
    path = archive({"a.txt": "a", "bomb.txt": b"\n" * 20_000_000, "c.txt": "c"})
    data = bytearray(path.read_bytes())
    length = struct.pack("<L", 20_000_000)
    lying = path.with_name("lying.zip")
    lying.write_bytes(bytes(data).replace(length, struct.pack("<L", 5)))
    for one in (path, lying):
        tracemalloc.start()
        try:
            found = short(read(one, max_record_bytes=1000))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert "max_record_bytes is 1000" in found["bomb.txt"]
        assert (found["a.txt"], found["c.txt"]) == ("a", "c")
        assert peak < 2_000_000


def test_members_that_cannot_be_read(archive: Build, tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as writer:
        writer.writestr("lzma.txt", "x" * 100, zipfile.ZIP_LZMA)
        writer.writestr("stored.txt", "marked")
        writer.writestr("locked.txt", "locked")
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = 0o120777 << 16
        writer.writestr(link, "/etc/passwd")
        writer.writestr("page.txt.gz", gzip.compress(b"x"))
        writer.writestr("folder/", "")
    data = path.read_bytes().replace(b"marked", b"wrong!")
    at = data.index(b"PK\1\2", data.index(b"PK\1\2", data.index(b"PK\1\2") + 1) + 1)
    data = data[: at + 8] + b"\1" + data[at + 9 :]  # the third is encrypted
    path.write_bytes(data)
    found = short(read(path))
    assert found["locked.txt"] == "! encrypted: decrypt the archive"
    assert found["lzma.txt"] == "! compressed by method 14: pack it again with deflate"
    assert found["stored.txt"].startswith("! broken: its checksum is ")
    assert (found["link.txt"], found["page.txt.gz"]) == ("link", "archive")
    assert len(found) == 5


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_two_members_have(tmp_path: Path) -> None:
    path = tmp_path / "web.zip"
    with zipfile.ZipFile(path, "w") as writer:
        writer.writestr("a.txt", "first")
        writer.writestr("b.txt", "b")
        writer.writestr("a.txt", "second")
    found = read(path)
    assert [(r.number, r.document.text) for r in found if r.document] == [
        (1, "first"), (2, "second"), (3, "b"),
    ]  # fmt: skip
    assert len({r.document.id for r in found if r.document}) == 3


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_truncated_zip_gives_what_it_has(tmp_path: Path, streamed: bool, method: int) -> None:
    texts = {f"{i:02}.txt": "".join(chr(33 + i * j * j % 89) for j in range(500)) for i in range(9)}

    class Stream:  # what cannot be sought in has sizes after its members
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> int:
            self.data += data
            return len(data)

        def flush(self) -> None: ...

    path, stream = tmp_path / "web.zip", Stream()
    target: Any = stream if streamed else path
    with zipfile.ZipFile(target, "w", method) as writer:
        for name, text in texts.items():
            writer.writestr(name, text)
    data = stream.data if streamed else path.read_bytes()
    path.write_bytes(data)
    assert short(read(path)) == texts
    path.write_bytes(data[: len(data) * 2 // 3])
    *found, last = read(path)
    assert last.fault is not None
    assert last.fault.startswith("broken or truncated zip: ")
    if not (streamed and method == zipfile.ZIP_STORED):  # where nothing says how long they are
        assert 3 < len(found) < 9
    assert short(found) == {name: texts[name] for name in sorted(texts)[: len(found)]}
    path.write_bytes(b"nonsense")
    (last,) = read(path)
    assert last.fault == "broken or truncated zip: File is not a zip file"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_damage_is_a_fault_or_nothing(at: int, value: int) -> None:
    import io
    import tempfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as writer:
        for i in range(3):
            writer.writestr(f"{i}.txt", f"{i}" * 50)
    data = bytearray(stream.getvalue())
    data[at % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zip"
        path.write_bytes(data)
        read(path)


def test_a_zip_of_many_members_is_split_coarsely(
    archive: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MEMBERS", 2)
    monkeypatch.setattr(folders, "MOST_UNITS", 3)
    path = archive({f"{i}.txt": str(i) for i in range(10)})
    files = folders.members_of(str(path))
    assert [len(file.members) for file in files] == [4, 4, 2]
    assert short(read(path)) == {f"{i}.txt": str(i) for i in range(10)}


def test_files_that_a_glob_matches(folder: Build) -> None:
    root = folder({"b.txt": "b", "a.txt": "a", "c.txt": "c"})
    files = folders.units_of(str(root), ["b.txt", "a.txt"], "web")
    assert [file.members for file in files] == [("a.txt", "b.txt")]
    assert short(list(folders.read(files[0], Extract()))) == {"a.txt": "a", "b.txt": "b"}


def test_what_is_a_zip() -> None:
    assert folders.is_zip("A.ZIP", b"PK\3\4")
    assert not folders.is_zip("a.txt", b"PK\3\4")
    assert not folders.is_zip("a.zip", b"<html>")
    assert folders.form_of("a.HTML.gz") == "html"
    assert folders.form_of("a.gz") is None
