"""`pii_mask_v1`: Dolma's policy of dropping and masking; `pii_mask_v2`: over `pii_v3`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dolma_kit
from dolma_kit import registry
from dolma_kit.errors import ConfigError
from tests.test_mixing import rows

FEW = "Write to jane@example.com now, or (206) 555-0100 , or 10.0.0.25 please"
MANY = "Addresses: " + " ".join(f"user{i}@example.com ," for i in range(6)) + " end"


@pytest.fixture
def tagged(tmp_path: Path, write_documents: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    texts = [FEW, MANY, "nothing here", ""]
    write_documents(
        tmp_path / "web/documents/x.jsonl", [{"id": str(i), "text": t} for i, t in enumerate(texts)]
    )
    dolma_kit.tag(
        documents=["web"], taggers=["pii_regex_with_counts_fast_v2"], experiment="q", workers=1
    )
    return tmp_path


def mix(policy: Any, **keys: Any) -> dict[str, Any]:
    stream = {"name": "w", "documents": ["web"], "attributes": ["q"], "output": {"path": "out"}}
    summary = dolma_kit.mix(streams=[stream | {"policies": [policy]} | keys], workers=1)
    return summary.counts["streams"]["w"]


def test_more_than_five_drop_the_document_and_fewer_are_masked(tagged: Path) -> None:
    counts = mix("pii_mask_v1")
    assert counts["removed"] == {"pii_mask_v1": 1}
    assert counts["replaced"] == {"regions": 3}
    assert [row["text"] for row in rows()] == [
        "Write to |||EMAIL_ADDRESS||| now, or |||PHONE_NUMBER|||  , or  |||IP_ADDRESS|||  please",
        "nothing here",
        "",
    ]


@pytest.mark.parametrize(
    ("max_spans", "kept"),
    [(2, ["2", "3"]), (6, ["0", "1", "2", "3"]), (None, ["0", "1", "2", "3"])],
)
def test_max_spans(tagged: Path, max_spans: int | None, kept: list[str]) -> None:
    mix({"id": "pii_mask_v1", "max_spans": max_spans})
    assert [row["id"] for row in rows()] == kept
    assert not any("@" in row["text"] for row in rows())


def test_a_stream_without_the_taggers_columns_is_refused(tagged: Path) -> None:
    with pytest.raises(ConfigError, match=r"no experiment has a column .*tag with"):
        mix("pii_mask_v1", attributes=[])


@pytest.fixture
def tagged_with_v3(tmp_path: Path, write_documents: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    texts = [FEW, MANY, "<jane@example.com>,GB82WEST12345698765432;4111 1111 1111 1111.", ""]
    write_documents(
        tmp_path / "web/documents/x.jsonl", [{"id": str(i), "text": t} for i, t in enumerate(texts)]
    )
    dolma_kit.tag(documents=["web"], taggers=["pii_v3"], experiment="q", workers=1)
    return tmp_path


def test_v2_masks_what_pii_v3_found_and_nothing_around(tagged_with_v3: Path) -> None:
    counts = mix("pii_mask_v2")
    assert counts["removed"] == {"pii_mask_v2": 1}
    assert counts["replaced"] == {"regions": 6}
    assert [row["text"] for row in rows()] == [
        "Write to |||EMAIL_ADDRESS||| now, or |||PHONE_NUMBER||| , or |||IP_ADDRESS||| please",
        "<|||EMAIL_ADDRESS|||>,|||IBAN|||;|||PAYMENT_CARD|||.",
        "",
    ]


def test_v1_masks_all_types_of_pii_v3_too(tagged_with_v3: Path) -> None:
    mix({"id": "pii_mask_v1", "tagger": "pii_v3"})
    assert rows()[1]["text"] == ("< |||EMAIL_ADDRESS||| >, |||IBAN||| ; |||PAYMENT_CARD||| .")


def test_v2_is_v1_with_other_defaults() -> None:
    made = registry.mixer("pii_mask_v2")
    assert made.spec == registry.mixer("pii_mask_v1").spec | {
        "id": "pii_mask_v2", "tagger": "pii_v3",
    }  # fmt: skip


def test_it_is_its_spec() -> None:
    made = registry.mixer({"id": "pii_mask_v1", "max_spans": None})
    assert made == registry.mixer("pii_mask_v1(max_spans=None)")
    assert made.spec == {
        "id": "pii_mask_v1",
        "max_spans": None,
        "min_score": 0.5,
        "tagger": "pii_regex_with_counts_fast_v2",
        "experiment": None,
    }
    assert eval(repr(made), {"PiiMask": type(made)}) == made
