"""The stage: every record accounted for, the same bytes for any workers, refusals in one line."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dolma_kit as package
from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.ledger import FOLDER
from tests.conftest import RunCommand

if TYPE_CHECKING:
    from dolma_kit.execute.ray import RayEngine

PAGE = b"<html><head><title>%s</title></head><body><main><p>%s</p></main></body></html>"
MIT = b'<a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/">licence</a>'


def warc(kind: str, url: str, block: bytes, **headers: str) -> bytes:
    lines = [
        "WARC/1.0", f"WARC-Type: {kind}", f"WARC-Target-URI: {url}",
        "WARC-Date: 2024-04-25T16:24:44Z", f"Content-Length: {len(block)}",
        f"WARC-Record-ID: <urn:uuid:{hashlib.md5(block + url.encode()).hexdigest()}>",
        *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items()), "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + block + b"\r\n\r\n"


def http(
    body: bytes, status: str = "200 OK", type_: str = "text/html; charset=utf-8", **more: str
) -> bytes:
    others = (f"{key}: {value}" for key, value in more.items())
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {type_}", *others]
    return "\r\n".join([*lines, "", ""]).encode() + body


def page(title: str, text: str) -> bytes:
    return PAGE % (title.encode(), text.encode())


def write(path: Path, *parts: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = map(gzip.compress, parts) if path.suffix == ".gz" else parts
    path.write_bytes(b"".join(stored))
    return path


def documents(out: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted((out / "documents").rglob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


def records(out: Path) -> list[dict[str, Any]]:
    return [
        row
        for path in sorted((out / "records").rglob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def outcomes(out: Path) -> list[tuple[str, str | None]]:
    return [(row["outcome"], row["reason"]) for row in records(out)]


def extract(*sources: Path, out: Path, **keys: Any) -> Any:
    keys = {"quiet": True, **keys} if "engine" in keys else {"workers": 1, "quiet": True, **keys}
    return package.extract(sources=[str(one) for one in sources], out=str(out), **keys)


TEXT = "A page about something that somebody has written down in full sentences. " * 4


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    good = http(page("One", TEXT), Date="Thu, 25 Apr 2024 10:00:00 GMT")
    return write(
        tmp_path / "in/a.warc.gz",
        warc("warcinfo", "", b"software: x\r\n"),
        warc("request", "http://e.org/", b"GET / HTTP/1.1\r\n\r\n"),
        warc("response", "http://www.e.org/one/", good),
        warc("response", "http://e.org/gone", http(b"x", "404 Not Found")),
        warc("response", "http://e.org/i.png", http(b"\x89PNG", type_="image/png")),
        warc("response", "http://e.org/b", http(b"\x89PNG\r\n\x1a\n\0\0\0" + bytes(99))),
        warc("response", "http://e.org/empty", http(b"")),
        warc("response", "http://mirror.org/one", good),
        warc("response", "http://e.org/latin", http(
            PAGE % (b"L", b"caf\xe9 " * 40), type_="text/html; charset=iso-8859-1")),
        warc("response", "http://e.org/mixed", http(page("M", TEXT + "é " * 30) + b"\xe9\xff")),
        warc("response", "http://e.org/gz", http(
            gzip.compress(page("G", TEXT * 2)), **{"Content-Encoding": "gzip"})),
        warc("response", "http://e.org/nogz", http(
            page("N", TEXT * 3), **{"Content-Encoding": "gzip"})),
        warc("response", "http://e.org/cc", http(
            PAGE % (b"C", TEXT.encode() * 5 + MIT))),
        warc("revisit", "http://e.org/one", b""),
    )  # fmt: skip


def test_every_record_is_accounted_for(crawl: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = extract(crawl, out=out, on_error="quarantine")
    assert outcomes(out) == [
        ("filtered", "record type"), ("filtered", "record type"), ("document", None),
        ("filtered", "status"), ("filtered", "type"), ("filtered", "binary"),
        ("filtered", "empty body"), ("filtered", "duplicate"), ("document", None),
        ("document", None), ("document", None), ("document", None), ("document", None),
        ("filtered", "record type"),
    ]  # fmt: skip
    assert [row["number"] for row in records(out)] == list(range(1, 15))
    assert records(out)[7]["detail"].startswith("of record 3: ")
    told = json.loads((out / "extraction.json").read_text())["records"]
    assert told["documents"] == said.documents == 6
    assert told["filtered"] == said.counts["filtered"]
    assert sum(told["filtered"].values()) + told["documents"] + told["failed"] == 14
    notes = Counter(note for row in records(out) for note in row["notes"])
    assert notes == {"replaced characters": 1, "not in the encoding that its header tells": 1}


def test_documents_are_as_dolma_has_them(crawl: Path, tmp_path: Path) -> None:
    extract(crawl, out=tmp_path / "web", on_error="quarantine", added="2024-05-01")
    first, latin, *_ = documents(tmp_path / "web")
    body = page("One", TEXT)
    digest = base64.b32encode(hashlib.sha1(body).digest()).decode().lower()
    assert (first["id"], first["source"], first["added"]) == (digest, "web", "2024-05-01")
    assert first["created"] == "2024-04-25T10:00:00.000Z"
    assert latin["created"] == "2024-04-25T16:24:44.000Z"
    assert first["text"] == TEXT.strip()
    told = first["metadata"]
    assert (told["url"], told["warc_url"]) == ("e.org/one", "http://www.e.org/one/")
    assert (told["domain"], told["status"], told["content_type"]) == ("e.org", 200, "text/html")
    assert "café" in latin["text"]
    assert latin["metadata"]["charset"] == "cp1252"  # as browsers read latin-1


def test_ids_by_record(crawl: Path, tmp_path: Path) -> None:
    """Then the same payload elsewhere is a document of its own."""
    extract(crawl, out=tmp_path / "out", on_error="quarantine", record_ids="record")
    ids = [one["id"] for one in documents(tmp_path / "out")]
    assert len(ids) == len(set(ids)) == 7


def test_workers_move_no_byte(crawl: Path, tmp_path: Path) -> None:
    write(tmp_path / "in/b.jsonl", b'{"body": "a text", "id": 7}\n{"body": "other", "id": 8}\n')
    write(tmp_path / "in/c.csv", b"id,text\n1,one\n2,two\n")
    made = {}
    for name, workers in (("x", 1), ("y", 3)):
        out = tmp_path / name / "out"
        extract(tmp_path / "in", out=out, on_error="quarantine", workers=workers)
        made[name] = {
            str(path.relative_to(out)): path.read_bytes()
            for path in out.rglob("*")
            if path.is_file() and FOLDER not in path.parts
        }
    assert made["x"] == made["y"]
    assert {"documents/b.jsonl.gz", "records/c.parquet", "extraction.json"} <= made["x"].keys()


def test_on_ray(crawl: Path, tmp_path: Path, ray_cluster: RayEngine) -> None:
    write(tmp_path / "in/b.jsonl", b'{"body": "a text", "id": 7}\n{"body": "other", "id": 8}\n')
    extract(tmp_path / "in", out=tmp_path / "x/out", on_error="quarantine")
    said = extract(
        tmp_path / "in", out=tmp_path / "y/out", on_error="quarantine", engine=ray_cluster
    )
    assert said.engine == "ray"
    for path in (tmp_path / "x/out").rglob("*"):
        if path.is_file() and FOLDER not in path.parts:
            other = tmp_path / "y/out" / path.relative_to(tmp_path / "x/out")
            assert other.read_bytes() == path.read_bytes()


def test_again_does_nothing_and_another_config_is_refused(crawl: Path, tmp_path: Path) -> None:
    extract(crawl, out=tmp_path / "out", on_error="quarantine")
    assert extract(crawl, out=tmp_path / "out", on_error="quarantine").units_skipped > 0
    with pytest.raises(ConfigError, match="min_characters was 1, is 9"):
        extract(crawl, out=tmp_path / "out", min_characters=9)


def test_a_truncated_file_gives_what_it_has(crawl: Path, tmp_path: Path) -> None:
    data = crawl.read_bytes()
    crawl.write_bytes(data[: int(len(data) * 0.6)])
    with pytest.raises(DataError, match=r"a.warc.gz:\d+: .*cut short|truncated gzip"):
        extract(crawl, out=tmp_path / "strict")
    said = extract(crawl, out=tmp_path / "out", on_error="quarantine")
    assert said.documents > 0
    assert said.quarantined >= 1
    assert outcomes(tmp_path / "out")[-1][0] == "failed"
    (aside,) = (tmp_path / "out/quarantine/extract").rglob("*.jsonl")
    assert len(aside.read_text().splitlines()) == said.quarantined


def test_a_page_that_no_parser_should_be_given(tmp_path: Path) -> None:
    deep = b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000
    path = write(
        tmp_path / "a.warc",
        warc("response", "http://e.org/deep", http(deep)),
        warc("response", "http://e.org/fine", http(page("F", TEXT))),
    )
    said = extract(path, out=tmp_path / "out", on_error="quarantine")
    assert (said.documents, said.quarantined) == (1, 1)
    failed, fine = records(tmp_path / "out")
    assert (failed["outcome"], failed["name"]) == ("failed", "http://e.org/deep")
    assert fine["outcome"] == "document"


def test_a_body_that_would_not_end(tmp_path: Path) -> None:
    """50 kB that become 50 MB."""
    bomb = http(gzip.compress(bytes(50_000_000)), **{"Content-Encoding": "gzip"})
    path = write(tmp_path / "a.warc", warc("response", "http://e.org/", bomb))
    said = extract(path, out=tmp_path / "out", on_error="quarantine", max_record_bytes=1_000_000)
    assert said.quarantined == 1
    assert "more than max_record_bytes" in records(tmp_path / "out")[0]["reason"]


def test_wet(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.warc.wet.gz",
        warc("conversion", "http://e.org/", "ein Täxt\nmehr".encode(), Content_Type="text/plain"),
    )
    extract(path, out=tmp_path / "out")
    (one,) = documents(tmp_path / "out")
    assert (one["text"], one["metadata"]["url"]) == ("ein Täxt\nmehr", "e.org")


def test_filters(crawl: Path, tmp_path: Path) -> None:
    """By status, type and size; what they leave out says why."""
    keys = {"on_error": "quarantine", "record_ids": "record"}
    extract(crawl, out=tmp_path / "a", statuses=[404], min_body_bytes=2, **keys)
    assert ("filtered", "size") in outcomes(tmp_path / "a")
    assert documents(tmp_path / "a") == []
    extract(crawl, out=tmp_path / "b", statuses=[200, 404], **keys)
    assert "http://e.org/gone" in [one["metadata"]["warc_url"] for one in documents(tmp_path / "b")]
    extract(crawl, out=tmp_path / "c", max_body_bytes=700, mime_types=["text/html"], **keys)
    sizes = [row for row in records(tmp_path / "c") if row["reason"] == "size"]
    assert len(sizes) == 2
    for one in documents(tmp_path / "b"):
        assert one["metadata"]["payload_digest"].startswith("sha1:")


def test_taggers_look_before_and_after(crawl: Path, tmp_path: Path) -> None:
    keys = {"pre_taggers": ["cc_re"], "on_error": "quarantine"}
    extract(crawl, out=tmp_path / "all", **keys)
    with_licence = [one for one in documents(tmp_path / "all") if "attributes" in one]
    assert [one["metadata"]["url"] for one in with_licence] == ["e.org/cc"]
    (spans,) = with_licence[0]["attributes"].values()
    assert all(len(span) == 3 for span in spans)
    said = extract(crawl, out=tmp_path / "some", skip_no_pre_taggers=True, **keys)
    assert said.documents == 1
    assert said.counts["filtered"]["no pre-tagger finds anything"] == 5
    extract(crawl, out=tmp_path / "after", post_taggers=["char_length_v1"], on_error="quarantine")
    (first, *_) = documents(tmp_path / "after")
    assert first["attributes"] == {
        "char_length_v1__char_length_v1__length": [[0, len(first["text"]), len(first["text"])]]
    }


def test_an_id_twice_is_an_error_with_both_places(tmp_path: Path) -> None:
    write(tmp_path / "in/a.jsonl", b'{"text": "a", "id": "x"}\n')
    write(tmp_path / "in/b.jsonl", b'{"text": "b", "id": "y"}\n{"text": "c", "id": "x"}\n')
    with pytest.raises(VerificationError, match=r"the id 'x' is that of a:1 and of b:2"):
        extract(tmp_path / "in", out=tmp_path / "out")


def test_a_page_whose_depth_is_seen_after_parsing(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.warc",
        warc("response", "http://e.org/deep", http(b"<div>" * 5000 + b"deep")),
        warc("response", "http://e.org/fine", http(page("F", TEXT))),
    )
    said = extract(path, out=tmp_path / "out", on_error="quarantine")
    assert (said.documents, said.quarantined) == (1, 1)


@pytest.mark.parametrize("digest", ["-", "sha1:SAME", "\u00ff junk"])
def test_what_is_no_digest_is_none(tmp_path: Path, digest: str) -> None:
    pages = [http(page(str(i), TEXT * i)) for i in (1, 2)]
    path = write(
        tmp_path / "a.warc",
        *(warc("response", f"http://e.org/{i}", one, WARC_Payload_Digest=digest)
          for i, one in enumerate(pages)),
    )  # fmt: skip
    extract(path, out=tmp_path / "out")
    ids = [one["id"] for one in documents(tmp_path / "out")]
    assert len(set(ids)) == 2
    assert all(len(id_) == 32 for id_ in ids)


def test_an_id_of_two_payloads_is_a_fault(tmp_path: Path) -> None:
    digest = base64.b32encode(bytes(20)).decode()
    path = write(
        tmp_path / "a.warc",
        *(warc("response", f"http://e.org/{i}", http(page(str(i), TEXT)),
               WARC_Payload_Digest=f"sha1:{digest}") for i in range(2)),
    )  # fmt: skip
    said = extract(path, out=tmp_path / "out", on_error="quarantine")
    assert (said.documents, said.quarantined) == (1, 1)
    assert "whose payload is another" in records(tmp_path / "out")[1]["reason"]


def test_a_record_without_an_id_has_its_digest(tmp_path: Path) -> None:
    blocks = [http(page(str(i), TEXT)) for i in range(2)]
    parts = [warc("response", f"http://e.org/{i}", one) for i, one in enumerate(blocks)]
    parts = [re.sub(rb"WARC-Record-ID: .*\r\n", b"", part) for part in parts]
    extract(write(tmp_path / "a.warc", *parts), out=tmp_path / "out", record_ids="record")
    assert [len(one["id"]) for one in documents(tmp_path / "out")] == [32, 32]
    assert records(tmp_path / "out")[0]["notes"] == ["no WARC-Record-ID"]


def test_nothing_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    """What is of no kind, broken, hidden or no file has a row, and hangs or ends nothing."""
    folder = tmp_path / "in"
    write(folder / "a.jsonl", b'{"text": "a", "id": 1}\n')
    write(folder / "lie.jsonl", b"<html>")
    write(folder / "broken.parquet", b"PAR")
    write(folder / "y.pdf", b"%PDF-1.4\0\0")
    write(folder / ".part.jsonl", b'{"text": "h", "id": 2}\n')
    write(folder / "sub/one.html", page("One", TEXT))
    (folder / "gone.csv").symlink_to("nowhere")
    (folder / "loop").symlink_to("..")
    os.mkfifo(folder / "pipe.csv")
    said = extract(folder, out=tmp_path / "out", on_error="quarantine")
    rows = {row["name"]: (row["outcome"], row["reason"]) for row in records(tmp_path / "out")}
    assert rows["y.pdf"] == ("filtered", "binary")
    assert rows[".part.jsonl"] == ("filtered", "hidden")
    assert rows["sub/one.html"] == ("document", None)
    assert {rows[name][0] for name in ("gone.csv", "loop", "pipe.csv")} <= {"filtered", "failed"}
    assert said.documents == 2
    told = json.loads((tmp_path / "out/extraction.json").read_text())["records"]
    assert told["failed"] == 2  # the page and the table that are none


def test_a_table_of_a_dataset_does_not_hide_others(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    pq.write_table(pa.table({"text": ["one", "two"]}), folder / "train-00000-of-00001.parquet")
    write(folder / "more.jsonl", b'{"text": "a", "id": 1}\n')
    write(folder / "page.html", page("P", TEXT))
    (folder / "state.json").write_text("{}")
    assert extract(folder, out=tmp_path / "out", on_error="quarantine").documents == 4


def test_out_within_the_source(tmp_path: Path) -> None:
    """Its own outputs are no source."""
    write(tmp_path / "a.jsonl", b'{"text": "a", "id": 1}\n')
    assert extract(tmp_path, out=tmp_path).documents == 1
    assert extract(tmp_path, out=tmp_path).units_skipped > 0


def test_paths_as_one_gives_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a/x.jsonl", b'{"text": "a", "id": 1}\n')
    write(tmp_path / "b/y.jsonl", b'{"text": "b", "id": 2}\n')
    os.rename(write(tmp_path / "b/z.jsonl", b'{"text": "c", "id": 3}\n'),
              os.path.join(os.fsencode(tmp_path), b"b/\xe9.jsonl"))  # fmt: skip
    extract(Path("a/x.jsonl"), tmp_path / "b/y.jsonl", out=tmp_path / "out")
    assert [row["file"] for row in records(tmp_path / "out")] == ["a/x", "b/y"]
    extract(Path("b"), out=tmp_path / "other")
    assert sorted(row["file"] for row in records(tmp_path / "other")) == ["y", "\ufffd"]


def test_the_first_documents(crawl: Path, tmp_path: Path) -> None:
    write(tmp_path / "in/b.jsonl", b'{"text": "a text", "id": 7}\n')
    said = extract(tmp_path / "in", out=tmp_path / "out", limit=3, on_error="quarantine")
    assert (said.documents, said.partial) == (3, True)
    assert len(documents(tmp_path / "out")) == 3


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"sources": []}, "no sources"),
        ({"out": ""}, "no folder for the documents"),
        ({"sources": ["absent"]}, "no source 'absent'"),
        ({"added": "yesterday"}, "--added yesterday: a date of ISO 8601"),
        ({"pre_taggers": ["cc_ree"]}, "cc_re"),
    ],
)
def test_refusals(crawl: Path, tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    given = {"sources": [str(crawl)], "out": str(tmp_path / "out"), **keys}
    with pytest.raises(ConfigError, match=said):
        package.extract(**given)
    assert not (tmp_path / "out").exists()


def test_the_command(crawl: Path, tmp_path: Path, dolma_kit: RunCommand) -> None:
    out = tmp_path / "web"
    plan = dolma_kit("extract", crawl, "--out", out, "--dry-run").out
    assert "reading a" in plan
    said = dolma_kit("extract", crawl, "--out", out, "--on-error", "quarantine").json
    assert (said["command"], said["documents"]) == ("extract", 6)
    tagged = dolma_kit("tag", out, "--taggers", "gopher_v2", "--experiment", "q")
    assert tagged.code == 0, tagged.err
    assert tagged.json["documents"] == 6


def test_as_dolma_extracts(shared_data: Path, tmp_path: Path) -> None:
    """Ids, dates and metadata of `dolma warc` 1.2.1 for the real file; its texts are another
    version's."""
    extract(shared_data / "warc/sample-0000.warc.gz", out=tmp_path / "cc", extractor="dolma")
    golden = json.loads((Path(__file__).parent / "dolma_warc.json").read_text())
    keys = ("warc_url", "url", "warc_date", "warc_filename", "content_type", "uncompressed_offset")
    found = [
        [one["id"], one["created"], *(one["metadata"][key] for key in keys)]
        for one in documents(tmp_path / "cc")
    ]
    assert found == golden
    assert Counter(outcome for outcome, _ in outcomes(tmp_path / "cc")) == {
        "document": 22, "filtered": 26
    }  # fmt: skip
