"""The configs for the sources of Dolma and mixes after OLMo's, each run on some real documents."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dolma_kit import config, explaining, mixing, recipe
from dolma_kit.documents import DocumentReader
from dolma_kit.shares import composition
from tests.conftest import WriteDocuments
from tests.taggers.settings import NEEDED
from tests.test_mixing import rows

N = 60
#: which of the shared sources stand for the sources of a config
STANDS_FOR = {"reddit": "web", "papers": "books", "qa": "man", "math": "man"}
LONG = """The cats of the old house sleep all day, and they have no wish to be woken up again.
When night falls, one of them climbs the wall with great care and looks over our garden.
Nobody knows what it hopes to find there, since every mouse moved away many years ago.
By dawn it returns, washes both paws near my lazy door, then waits for warm milk. """


def real(shared_data: Path, source: str, n: int = N) -> list[dict[str, Any]]:
    """Some documents of a shared source, from all over its first file."""
    path = sorted((shared_data / "corpus" / source / "documents").iterdir())[0]
    found = []
    for batch in DocumentReader(str(path), keep_raw=True):
        found += [json.loads(bytes(raw)) for raw in batch.raw][::7]
        if len(found) >= n:
            break
    return [one for one in found if len(one["text"]) < 20_000][:n]


def planted(source: str, named: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"id": name, "text": text, "source": source, "metadata": {"url": f"http://{name}.org/"}}
        for name, text in named.items()
    ]


def run(name: str, **more: Any) -> Any:
    """A config as it ships, but with models, tokenizers and lists that are here."""
    values = config.read(name) | {"workers": 1, "quiet": True}
    for stage in values["stages"]:
        for tag in stage.get("tag", {}).get("taggers", []):
            if isinstance(tag, dict):
                tag |= NEEDED.get(tag["id"], {}) | more.get(tag["id"], {})
    return recipe.run(config.build(config.Recipe, values, where=name))


def rules_of_all() -> dict[str, list[str]]:
    """Document -> the rules that say that it goes."""
    table = pq.read_table("mixed/decisions.parquet")
    return dict(zip(table["id"].to_pylist(), table["rules"].to_pylist(), strict=True))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


PLANTED = {
    "few": "Only a few words here.",
    "good": LONG,
    "good-again": LONG,
    "repeated": LONG + " buy it" * 200,
    "mail": LONG.replace("lazy", "busy") + "Write to jane@example.com soon.",
    "mails": LONG + " ".join(f"user{i}@example.com ," for i in range(6)),
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("web", {"few": "word_count", "good-again": "dup_documents", "mails": "pii_mask_v1",
                 "repeated": "q__gopher", "good": None, "mail": None}),
        ("code", {"good-again": "dup_documents", "repeated": "repetition", "few": None}),
        ("reddit", {"good-again": "dup_documents", "mail": "doc_count", "repeated": "repetition"}),
        ("papers", {"repeated": "repetition", "few": None}),
        ("books", {"few": "document >= 25", "repeated": "repetition", "good": None}),
        ("wiki", {"few": "document >= 25", "repeated": "repetition", "good": None}),
    ],
)  # fmt: skip
def test_dolma_v1_6(
    here: Path, shared_data: Path, write_documents: WriteDocuments, source: str,
    expected: dict[str, str | None],
) -> None:  # fmt: skip
    documents = real(shared_data, STANDS_FOR.get(source, source))
    write_documents(here / f"{source}/documents/a.jsonl.gz", documents)
    write_documents(here / f"{source}/documents/b.jsonl.gz", planted(source, PLANTED))
    summary = run(f"dolma_v1_6_{source}")
    (stream,) = explaining.funnels("mixed")
    assert stream.documents == len(documents) + len(PLANTED) == summary.documents
    assert stream.written == stream.kept_documents == len(rows(Path("mixed")))
    found = rules_of_all()
    for name, rule in expected.items():
        if rule is None:
            assert not found[name], name
        else:
            assert any(rule in one for one in found[name]), (name, found[name])
    if source == "web":
        (mail,) = [row for row in rows(Path("mixed")) if row["id"] == "mail"]
        assert "|||EMAIL_ADDRESS|||" in mail["text"]
        assert "jane@" not in mail["text"]


def test_dolma_v1_7(here: Path, shared_data: Path, write_documents: WriteDocuments) -> None:
    lists = {
        part_id: {"lists": [str(here / f"{part_id}.txt")]}
        for part_id in (
            "blocklist_hosts_gambling_v1", "blocklist_hosts_adware_malware_v1",
            "blocklist_hosts_porn_v1", "blocklist_hosts_fakenews_v1", "blocklist_hosts_social_v1",
        )
    }  # fmt: skip
    for part_id in lists:
        host = part_id.split("_")[2]
        (here / f"{part_id}.txt").write_text(f"0.0.0.0 {host}.org\n")
    evals = here / "evals"
    evals.mkdir()
    question = "Which of these birds can not fly at all but runs and swims very well in the cold"
    (evals / "birds.jsonl").write_text(json.dumps({"id": "1", "question": question}) + "\n")
    documents = real(shared_data, "web")
    bad = {"gambling": LONG, "fakenews": LONG, "social": LONG, "item": f"{LONG}\n{question}\n"}
    write_documents(here / "web/documents/a.jsonl.gz", documents)
    write_documents(here / "web/documents/b.jsonl.gz", planted("web", bad))
    run("dolma_v1_7_web", **lists)
    found = rules_of_all()
    for name in ("gambling", "fakenews", "social"):
        assert any(name in rule for rule in found[name])
    assert "dec_contaminated = 0" in found["item"]
    kept = Counter(tuple(found[document["id"]]) for document in documents)
    assert set(kept) == {(), ("rate",)}
    assert 15 < kept["rate",] < 45


def test_dolmino(
    here: Path, shared_data: Path, write_documents: WriteDocuments, monkeypatch: Any
) -> None:
    """One config, three sizes: the web is half, and no source comes more than four times."""
    sources = ("web", "qa", "papers", "wiki", "math")
    there = {}
    for source in sources:
        documents = real(shared_data, STANDS_FOR.get(source, source), 30)
        write_documents(here / f"{source}/documents/a.jsonl", documents)
        attributes = [
            {
                "id": d["id"],
                "attributes": {
                    "tokens__dolma_v2_tokenizer__length": [[0, 1, len(d["text"].split()) + 1]]
                },
            }
            for d in documents
        ]
        write_documents(here / f"{source}/attributes/tokens/a.jsonl", attributes)
        there[source] = sum(len(d["text"].split()) + 1 for d in documents)
    for size in (there["web"] // 4, there["web"] // 2, 2 * there["web"]):
        monkeypatch.setenv("DOLMINO_TOKENS", str(size))
        values = config.read("dolmino") | {"workers": 1, "quiet": True, "overwrite": True}
        mixing.mix(config.build(config.Mix, values))
        parts = {part.name: part for part in composition.read("mixed").streams}
        planned = {name: part.planned.tokens for name, part in parts.items() if part.planned}
        assert planned["web"] == pytest.approx(size / 2, rel=0.01)
        assert sum(n or 0 for n in planned.values()) == pytest.approx(size, rel=0.01)
        assert all(part.rate <= 4.0001 for part in parts.values() if part.rate)
        assert len(rows(Path("mixed"))) == sum(
            part.written.documents for part in parts.values() if part.written
        )


def test_olmo3(
    here: Path, shared_data: Path, write_documents: WriteDocuments, monkeypatch: Any
) -> None:
    for source in ("web", "papers", "code", "math", "wiki"):
        documents = real(
            shared_data, STANDS_FOR.get(source, source), 300 if source == "web" else 40
        )
        for i, document in enumerate(documents):
            document["metadata"]["topic"] = ("science", "health")[i % 2]
        write_documents(here / f"{source}/documents/a.jsonl", documents)
    monkeypatch.setenv("OLMO3_TOKENS", "40K")
    run("olmo3")
    parts = {part.name: part for part in composition.read("mixed").streams}
    planned = {name: part.planned.tokens or 0 for name, part in parts.items() if part.planned}
    assert planned["web"] == pytest.approx(0.761 * 40_000, rel=0.01)
    assert planned["papers"] == pytest.approx(0.136 * 40_000, rel=0.01)
    assert sum(planned.values()) == pytest.approx(40_000, rel=0.01)
    assert {group.name for group in parts["web"].groups} == {"science", "health"}
    copies = Counter(row["id"] for row in rows(Path("mixed")))
    assert max(copies.values()) <= 7
