from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.order.paths import Entry, TokenFile, path_table, read_table, token_paths, write_table


def test_folder_is_its_parts_sorted(tmp_path: Path) -> None:
    for name in ("part-00010.npy", "part-00002.npy", "part-x.npy", "other.npy", "part-0.csv.gz"):
        (tmp_path / name).touch()
    names = [Path(p).name for p in token_paths(str(tmp_path))]
    assert names == ["part-00002.npy", "part-00010.npy"]


def test_list_keeps_order_and_repeats(tmp_path: Path) -> None:
    b, a = str(tmp_path / "b.npy"), str(tmp_path / "a.npy")
    np.arange(5, dtype="<u2").tofile(a)
    np.arange(3, dtype="<u2").tofile(b)
    table = path_table(token_paths([b, a, b]), "uint16")
    assert [(f.path, f.n_tokens) for f in table] == [(b, 3), (a, 5), (b, 3)]
    assert table[1].read(1, 4).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ("empty", r"holds no part-\[0-9\]\*\.npy"),
        ("nowhere", "no folder nowhere"),
        ("a.npy", r"is a file; write it as a list: \[a\.npy\]"),
        (["nowhere.npy"], "cannot read nowhere.npy: No such file"),
        (["empty"], "empty is a folder; name it alone"),
    ],
)
def test_no_such_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: str | list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("a.npy").touch()
    with pytest.raises(ConfigError, match=message):
        path_table(token_paths(tokens), "uint16")


def test_size_of_no_whole_number_of_tokens(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"1234567")
    with pytest.raises(DataError, match="7 bytes are no multiple of 4, the size of one uint32"):
        path_table([str(tmp_path / "a.npy")], "uint32")


def test_file_that_shrank(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(bytes(8))
    with pytest.raises(VerificationError, match="has 8 bytes, it had 40"):
        TokenFile(str(path), 40, "uint32").read(1, 5)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("path,bytes\na.npy,-4\n", DataError, "t.csv:2: not path,bytes.*'-4' is no count"),
        ("path,bytes\na.npy,4\nb.npy,1e3\n", DataError, "t.csv:3: .*'1e3' is no count"),
        ("path,bytes\na.npy\n", DataError, "t.csv:2: not path,bytes"),
        ("name,size\n", DataError, "t.csv:1: is no table of token files"),
        ("path,bytes,other\n", DataError, "is no table of token files"),
        ("", DataError, "is no table of token files"),
        ('path,bytes\n"a.npy,4\n', DataError, "t.csv:2: "),
    ],
)
def test_tables_that_are_none(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(error, match=message):
        read_table(str(tmp_path / "t.csv"))


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    entries = [
        Entry("https://x/a, b.npy", 8, "web"),
        Entry('/abs/with "quotes".npy', None, None, "ab" * 32, 4),
        Entry("/abs/a.npy", 0),
    ]
    write_table(str(tmp_path / "t.csv"), entries)
    assert read_table(str(tmp_path / "t.csv")) == entries


def test_what_a_mixture_takes_is_there(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="has 2 tokens, 3 of them are to be taken"):
        path_table([Entry(str(tmp_path / "a"), 8, taken=3)], "uint32")
