"""`pii_mask_v1`: Dolma's policy of dropping and masking; `pii_mask_v2`: over `pii_v3`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import dolma_kit
from dolma_kit import registry
from dolma_kit.errors import ConfigError
from mixers.mask import surrogate_of
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
        "surrogate": False,
        "seed": 6198,
    }
    assert eval(repr(made), {"PiiMask": type(made)}) == made


@pytest.mark.parametrize("policy", ["pii_mask_v1", "pii_mask_v2"])
def test_surrogates_stand_for_what_was_there(tagged_with_v3: Path, policy: str) -> None:
    plain = mix({"id": policy, "tagger": "pii_v3", "max_spans": None})
    masked = rows()
    replaced = mix(
        {"id": policy, "tagger": "pii_v3", "max_spans": None, "surrogate": True},
        output={"path": "other"},
    )
    others = rows(Path("other"))
    assert replaced["replaced"] == plain["replaced"]
    for mask, other in zip(masked, others, strict=True):
        # Where a mask stands there stands one of its kind, and nothing else differs.
        pattern = re.escape(mask["text"])
        for kind, form in FORMS.items():
            pattern = pattern.replace(re.escape(f"|||{kind}|||"), f"(?:{form})")
        assert re.fullmatch(pattern, other["text"], re.DOTALL), other["text"]


FORMS = {
    "EMAIL_ADDRESS": r"user\d{4}@example\.com",
    "PHONE_NUMBER": r"\d{3}-555-01\d\d",
    "IP_ADDRESS": r"(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+|2001:db8::[0-9a-f]+",
    "PAYMENT_CARD": r"0000 0000 0000 \d{4}",
    "IBAN": r"XX00 0000 0000 0000 \d{4}",
}


@pytest.mark.parametrize("kind", FORMS)
def test_a_surrogate_follows_from_datum_and_seed(kind: str) -> None:
    data = [f"datum {i}" for i in range(50)]
    found = [surrogate_of(kind, datum, 1) for datum in data]
    assert found == [surrogate_of(kind, datum.upper(), 1) for datum in data]
    assert found != [surrogate_of(kind, datum, 2) for datum in data]
    assert len(set(found)) > 40
    assert all(re.fullmatch(FORMS[kind], one) for one in found)
    assert ":" in surrogate_of("IP_ADDRESS", "fe80::1", 1)
