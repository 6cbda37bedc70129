"""Bad input through every stage that reads documents: it stops and names the place, or it works.

What cannot be read ends with exit code 1 and one line that names file, line and reason, and
leaves nothing under its final name. What is only odd works, and row i belongs to document i.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_kit import ledger

from .conftest import RunCommand
from .tokens.conftest import EOS, byte_level

FILE = "web/documents/b.jsonl"
GOOD = [{"id": f"a{i}", "text": f"The good document {i}.\nTwo lines.\n"} for i in range(3)]
MIX = """
streams:
  - name: web
    documents: [web]
    keep: "length(text) >= 0"
    output: {path: mixed}
"""
TAGGERS = "gopher_v2,c4_v2,pii_regex_with_counts_fast_v2,language_en_v1,char_length_v1"
STAGES: dict[str, list[str]] = {
    "tag": ["tag", "web", "--taggers", TAGGERS, "--experiment", "q"],
    "tag to jsonl": ["tag", "web", "--taggers", TAGGERS, "--experiment", "q", "--format", "jsonl"],
    "dedupe documents": ["dedupe", "web", "--name", "d"],
    "dedupe paragraphs": ["dedupe", "web", "--name", "p", "--by", "paragraph"],
    "mix": ["mix", "-c", "mix.yaml"],
    "tokenize": ["tokenize", "web", "--tokenizer", "tiny.json", "--eos-token-id", "EOS",
                 "--out", "tokens", "--encoder", "tokenizers"],
}  # fmt: skip


def parquet(texts: list[bytes] | list[str]) -> bytes:
    """A file of documents `a0`, `a1`, ...; bytes are taken for UTF-8 as they are."""
    column = pa.array(texts, pa.binary() if isinstance(texts[0], bytes) else pa.string())
    if isinstance(texts[0], bytes):
        column = pa.StringArray.from_buffers(len(texts), *column.buffers()[1:])
    stream = io.BytesIO()
    pq.write_table(pa.table({"id": [f"a{i}" for i in range(len(texts))], "text": column}), stream)
    return stream.getvalue()


def line(**fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


Stage = Callable[[str], Any]


@pytest.fixture
def run_stage(tmp_path: Path, dolma_kit: RunCommand, monkeypatch: Any) -> Stage:
    """Runs a stage, named as in STAGES, on `web/` with one worker."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mix.yaml").write_text(MIX, encoding="utf-8")
    tokenizer = byte_level("cl100k")
    (tmp_path / "tiny.json").write_text(tokenizer.to_str(), encoding="utf-8")
    eos = str(tokenizer.token_to_id(EOS))

    def run(stage: str) -> Any:
        arguments = [eos if argument == "EOS" else argument for argument in STAGES[stage]]
        return dolma_kit(*arguments, "--workers", 1)

    return run


def write(name: str, data: bytes) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def made() -> list[str]:
    """All files that a stage left: not its input, not its ledger and intermediate files."""
    given = {"mix.yaml", "tiny.json"}
    return sorted(
        str(path)
        for path in Path().rglob("*")
        if path.is_file() and ledger.FOLDER not in path.parts and str(path) not in given
        if path.parts[:2] != ("web", "documents")
    )


LINES = b"".join(line(**document) for document in GOOD)
PARQUET = parquet([str(i) * 9 for i in range(999)])
WHOLE = gzip.compress(LINES * 300, mtime=0)

BAD: dict[str, tuple[str, bytes, str]] = {
    "truncated gzip": ("b.jsonl.gz", WHOLE[: len(WHOLE) // 2], ": broken or truncated gz"),
    "gzip without its end": ("b.jsonl.gz", WHOLE[:-4], ": broken or truncated gz"),
    "gzip with a flipped byte": (
        "b.jsonl.gz", WHOLE[:60] + bytes([WHOLE[60] ^ 255]) + WHOLE[61:], ": "
    ),
    "no gzip": ("b.jsonl.gz", LINES, ": broken or truncated gz"),
    "invalid UTF-8": ("b.jsonl", LINES + b'{"id": "x", "text": "\xff\xfe"}\n', ":4: .*utf-8"),
    "broken JSON": ("b.jsonl", LINES + b'{"id": "x", "text": "y"\n' + LINES, ":4: .*truncated"),
    "no object": ("b.jsonl", b"[]\n" + LINES, ":1: .*array"),
    "missing id": ("b.jsonl", LINES + b"\n" + line(text="x") + LINES, ":5: .*`id`"),
    "number for an id": ("b.jsonl", LINES + line(id=7, text="x"), ":4: .*int"),
    "null for an id": ("b.jsonl", line(id=None, text="x"), ":1: .*null"),
    "missing text": ("b.jsonl", LINES + line(id="x"), ":4: .*`text`"),
    "null for a text": ("b.jsonl", LINES + line(id="x", text=None), ":4: .*null"),
    "half a surrogate pair": ("b.jsonl", LINES + b'{"id": "x", "text": "\\ud800"}\n', ":4: "),
    "parquet with a broken page": (
        "b.parquet", PARQUET[:3000] + bytes(3000) + PARQUET[6000:], ": broken Parquet file: "
    ),
    "truncated parquet": ("b.parquet", PARQUET[:-9], ": not a readable Parquet file"),
    "parquet of invalid UTF-8": ("b.parquet", parquet([b"x", b"\xff"]), ":2: `text` is not"),
    "no parquet": ("b.parquet", LINES, ": not a readable Parquet file"),
}  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("fault", BAD)
def test_what_cannot_be_read_stops_with_its_place(run_stage: Stage, stage: str, fault: str) -> None:
    name, data, reason = BAD[fault]
    write("web/documents/a.jsonl", LINES)
    write(f"web/documents/{name}", data)
    answer = run_stage(stage)
    assert answer.code == 1
    assert answer.out == ""
    (message,) = answer.err.splitlines()
    assert message.startswith(f"dolma-kit: web/documents/{name}:")
    assert re.match(rf"dolma-kit: web/documents/{re.escape(name)}{reason}", message), message
    # The good file is a unit of its own for `tag` alone; nothing else is whole without the bad one.
    whole = {"tag": "web/attributes/q/a.parquet", "tag to jsonl": "web/attributes/q/a.jsonl.gz"}
    assert set(made()) <= {whole.get(stage)}


@pytest.mark.parametrize("stage", STAGES)
def test_once_mended_the_next_run_completes_it(run_stage: Stage, stage: str) -> None:
    write("web/documents/a.jsonl", LINES)
    write(FILE, LINES + b"{\n")
    assert run_stage(stage).code == 1
    write(FILE, LINES)
    assert run_stage(stage).json["documents"] == 2 * len(GOOD)
    after = {name: Path(name).read_bytes() for name in made()}
    for name in after:
        Path(name).unlink()
    assert run_stage(stage).json["documents"] == 2 * len(GOOD)
    assert {name: Path(name).read_bytes() for name in made()} == after


ODD_TEXTS = {
    "plain": "plain words here",
    "empty": "",
    "spaces": " \t ",
    "line feeds": "\n\n\n",
    "U+2028": "one\u2028two\u2029three\x85four\x0bfive\x0csix\x1cseven",
    "carriage returns": "one\r\ntwo\rthree",
    "NUL": "nul \x00 and \x00\x00",
    "only NUL": "\x00",
    "astral": "😀" * 3 + "e\u0301\ufeff\uffff",
    "EOS": EOS,
    "last": "no newline follows",
}


def check_rows(stage: str, documents: list[dict[str, Any]]) -> None:
    """Row i of what a stage wrote for FILE carries the i-th id (and, for `mix`, its text)."""
    ids = [document["id"] for document in documents]
    texts = [document["text"] for document in documents]
    (folder,) = {Path(name).parent for name in made()} - {Path("mixed")}
    if stage in ("mix", "tokenize"):
        if stage == "mix":
            assert pq.read_table("mixed/decisions.parquet")["id"].to_pylist() == ids
            data = gzip.decompress((folder / "web-0000.jsonl.gz").read_bytes())
            rows = [json.loads(row) for row in data.split(b"\n")[:-1]]
            assert [(row["id"], row["text"]) for row in rows] == list(zip(ids, texts, strict=True))
            return
        table = pq.read_table(folder / "part-00000.docs.parquet").to_pylist()
        full = [(i, n) for n, (i, text) in enumerate(zip(ids, texts, strict=True), 1) if text]
        assert [(row["id"], row["loc"]) for row in table] == full
    elif stage == "tag to jsonl":
        data = gzip.decompress((folder / "b.jsonl.gz").read_bytes())
        rows = [json.loads(row) for row in data.split(b"\n")[:-1]]
        assert [row["id"] for row in rows] == ids
        lengths = [row["attributes"]["q__char_length_v1__length"][0][2] for row in rows]
        assert lengths == [len(text) for text in texts]
    else:
        table = pq.read_table(folder / "b.parquet")
        assert table["id"].to_pylist() == ids
        if stage == "tag":
            lengths = table["q__char_length_v1__length"].to_pylist()
            assert lengths == [len(text) for text in texts]


@pytest.mark.parametrize("stage", STAGES)
def test_odd_texts_work_and_rows_stay_with_their_ids(run_stage: Stage, stage: str) -> None:
    documents = [{"id": name, "text": text} for name, text in ODD_TEXTS.items()]
    write(FILE, b"".join(line(**document) for document in documents).rstrip(b"\n"))
    answer = run_stage(stage)
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["documents"] == len(documents)
    check_rows(stage, documents)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", b""),
        ("a.jsonl", b"\n \n"),
        ("a.jsonl.gz", b""),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0)),
    ],
)
def test_an_empty_file_beside_a_full_one(
    run_stage: Stage, stage: str, name: str, data: bytes
) -> None:
    write(f"web/documents/{name}", data)
    write(FILE, LINES)
    answer = run_stage(stage)
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["documents"] == len(GOOD)
    check_rows(stage, GOOD)
    empty = [Path(path) for path in made() if Path(path).name.startswith("a.")]
    assert len(empty) == (0 if stage in ("mix", "tokenize") else 1)
    for path in empty:
        n = pq.read_table(path).num_rows if path.suffix == ".parquet" else path.read_bytes()
        assert n == 0 or gzip.decompress(path.read_bytes()) == b""


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_but_an_empty_file(run_stage: Stage, stage: str) -> None:
    """No rows of attributes, no shard; tokens alone cannot be made of nothing."""
    write(FILE, b"")
    answer = run_stage(stage)
    if stage == "tokenize":
        assert (answer.code, answer.err.count("\n"), made()) == (1, 1, [])
        assert "no tokens" in answer.err
        return
    assert (answer.code, answer.err) == (0, "")
    assert (answer.json["documents"], answer.json["mb_per_s"]) == (0, 0)
    assert len(made()) == (2 if stage == "mix" else 1)
    assert stage != "mix" or pq.read_table("mixed/decisions.parquet").num_rows == 0


# `tag` to jsonl reads as `tag` does; language_en_v1 takes 10 s and has the text as any other.
@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "tag to jsonl"])
def test_a_line_of_50_megabytes(run_stage: Stage, stage: str, monkeypatch: Any) -> None:
    """Twelve times what is read at once, between two small documents."""
    without = [a.replace(",language_en_v1", "") for a in STAGES[stage] if a != "tokenizers"]
    if stage == "tokenize":
        without.append("auto")  # fastokens, which the small cases above leave out
    monkeypatch.setitem(STAGES, stage, [*without, "--quiet"])
    documents = [
        {"id": "first", "text": "the first"},
        {"id": "words", "text": "word é\n" * (50_000_000 // 8)},
        {"id": "last", "text": "the last"},
    ]
    write(FILE, b"".join(line(**document) for document in documents))
    answer = run_stage(stage)
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["documents"] == 3
    check_rows(stage, documents)
