"""The ledger: what it skips, what it refuses, and what a kill leaves of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dolma_kit import files, ledger
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.ledger import Ledger, Result


def made(folder: Path, name: str, data: bytes = b"x") -> Result:
    path = folder / name
    path.write_bytes(data)
    return Result(documents=1, outputs=[str(path)], counts={"n": 2})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    book = Ledger(str(tmp_path), "tag", {"a": 1, "b": [1, {"c": "é"}]})
    book.record("p", "one", "in1", "a", made(tmp_path, "one.out"), 0.5)
    book.record("p", "two", "in2", "b", made(tmp_path, "two.out"), 0.5)
    book.close()
    return tmp_path


def reopened(folder: Path, **keys: object) -> Ledger:
    return Ledger(str(folder), "tag", {"a": 1, "b": [1, {"c": "é"}]} | keys)


def test_finished_units_are_remembered(folder: Path) -> None:
    book = reopened(folder)
    done = book.finished("p", "one", "in1", "a")
    assert done is not None
    assert (done.documents, done.counts) == (1, {"n": 2})
    assert book.finished("p", "one", "other input", "a") is None
    assert book.finished("p", "three", "in1", "c") is None
    book.close()


@pytest.mark.parametrize("fault", ["gone", "shorter"])
def test_an_output_that_is_gone_or_of_another_size_is_due_again(folder: Path, fault: str) -> None:
    if fault == "gone":
        (folder / "one.out").unlink()
    else:
        (folder / "one.out").write_bytes(b"")
    book = reopened(folder)
    assert book.finished("p", "one", "in1", "a") is None
    assert book.finished("p", "two", "in2", "b") is not None
    book.close()


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_that_a_kill_cut_short_is_dropped(folder: Path, cut: int) -> None:
    path = folder / ledger.FOLDER / "ledger.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    book = reopened(folder)
    assert book.finished("p", "one", "in1", "a") is not None
    assert book.finished("p", "two", "in2", "b") is None
    book.record("p", "two", "in2", "b", made(folder, "two.out"), 0.1)
    book.close()
    found = ledger.read(str(folder))
    assert found is not None
    assert [record.unit for record in found[1]] == ["one", "two"]


def test_another_config_is_refused_by_name_unless_overwritten(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"a was 1, is 2; .*--overwrite"):
        reopened(folder, a=2)
    with pytest.raises(ConfigError, match="outputs of `tag`, not of `mix`"):
        Ledger(str(folder), "mix", {})
    assert (folder / "one.out").exists()
    book = Ledger(str(folder), "tag", {"a": 2}, overwrite=True)
    assert book.finished("p", "one", "in1", "a") is None
    assert not (folder / "one.out").exists()
    book.close()


def test_outputs_that_a_unit_no_longer_makes_go(folder: Path) -> None:
    book = reopened(folder)
    book.record("p", "one", "in3", "a", made(folder, "other.out"), 0.1)
    book.close()
    assert not (folder / "one.out").exists()
    assert (folder / "other.out").exists()


def test_what_was_not_synced_is_not_trusted_once_the_machine_has_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Ledger(str(tmp_path), "mix", {})
    book.record("early", "a", "in", "a", made(tmp_path, "a"), 0.5, synced=False)
    book.record("last", "b", "in", "b", made(tmp_path, "b"), 0.5)
    book.close()
    for boot in (files.boot_id(), "another run of the machine"):
        monkeypatch.setattr(files, "boot_id", lambda boot=boot: boot)
        book = Ledger(str(tmp_path), "mix", {})
        is_there = book.finished("early", "a", "in", "a") is not None
        assert is_there == (boot != "another run of the machine")
        assert book.finished("last", "b", "in", "b") is not None
        book.close()


@pytest.mark.parametrize(
    ("synced", "boot", "elsewhere", "n"),
    [
        (True, "x", False, 1),
        (False, "x", False, 0),
        (False, None, False, 1),
        (False, "x", True, 1),
    ],
)
def test_what_cannot_be_told_to_be_of_this_run_is_synced(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    synced: bool,
    boot: str | None,
    elsewhere: bool,
    n: int,
) -> None:
    calls = []
    monkeypatch.setattr(files, "_sync_all", False)
    if elsewhere:
        files.sync_all()
    monkeypatch.setattr(files, "boot_id", lambda: boot)
    monkeypatch.setattr("os.fsync", calls.append)
    with files.write_atomically(str(tmp_path / "a"), synced=synced) as stream:
        stream.write(b"a")
    assert len(calls) == n


def test_a_unit_of_another_place_is_refused(folder: Path) -> None:
    book = reopened(folder)
    with pytest.raises(ConfigError, match=r"one was made of a, not of elsewhere/a .*--overwrite"):
        book.finished("p", "one", "in1", "elsewhere/a")
    book.close()


def test_units_of_two_phases_may_have_one_name(folder: Path) -> None:
    book = reopened(folder)
    book.record("q", "one", "in1", "a", made(folder, "q.out"), 0.1)
    book.close()
    book = reopened(folder)
    assert book.recorded("p", "one").outputs == [str(folder / "one.out")]
    assert book.recorded("q", "one").outputs == [str(folder / "q.out")]
    book.close()


def test_a_moved_folder_tells_its_new_place(folder: Path) -> None:
    moved = folder.rename(folder.with_name("moved"))
    book = reopened(moved)
    assert book.recorded("p", "one").outputs == [str(moved / "one.out")]
    book.close()


def test_what_a_killed_command_left_half_written_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".x.parquet.123.tmp").touch()
    (tmp_path / ".kept").touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".y.parquet.124.tmp").touch()
    ledger.sweep(str(tmp_path))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob(".*") if path.is_file()}
    assert left == {".kept", "deep/.y.parquet.124.tmp"}


def test_outputs_are_local() -> None:
    with pytest.raises(ConfigError, match="have to be local"):
        Ledger("s3://bucket/x", "tag", {})


def test_two_commands_cannot_write_to_one_folder(folder: Path) -> None:
    book = reopened(folder)
    with pytest.raises(ConfigError, match="another command is writing"):
        reopened(folder)
    book.close()
    reopened(folder).close()


def test_a_file_that_is_no_ledger_is_an_error(folder: Path) -> None:
    (folder / ledger.FOLDER / "ledger.jsonl").write_bytes(b"{}\n{}\n")
    with pytest.raises(DataError, match="not a ledger"):
        ledger.read(str(folder))


def test_no_time_or_place_stands_in_the_config_hash_or_names(folder: Path) -> None:
    text = (folder / ledger.FOLDER / "ledger.jsonl").read_text()
    assert '"sizes":{"one.out":1}' in text


def test_writing_is_atomic(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.bin"
    with files.write_atomically(str(path)) as stream:
        stream.write(b"first")
        assert not path.exists()

    def fail_half_way() -> None:
        with files.write_atomically(str(path)) as stream:
            stream.write(b"second")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_compressed_bytes_hold_no_time_and_no_name(compression: str) -> None:
    data = files.compress(b"x" * 1000, compression)
    assert data == files.compress(b"x" * 1000, compression)
    if compression == "gz":
        assert data[3] == 0  # no name, no comment, no extra field
        assert data[4:8] == bytes(4)  # mtime
