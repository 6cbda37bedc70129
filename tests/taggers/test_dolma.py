"""Taggers under Dolma's ids against what Dolma itself said of awkward documents.

The documents and Dolma's answers are in `tests/golden/dolma_taggers.json` and, by family, in
`tests/golden/families/`, made by the script beside them; on real texts,
`benchmarks/parity_dolma.py` compares the two.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from dolma_kit import attribute_files, registry
from dolma_kit.documents import DocumentReader
from dolma_kit.errors import DataError

from . import settings
from .test_taggers import batch_of

FOLDER = Path(__file__).parents[1] / "golden"
Answer = dict[str, Any]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


GOLDEN = read(FOLDER / "dolma_taggers.json")
OF_DOLMA = {part_id for part_id in registry.parts("taggers") if part_id in GOLDEN["ids"]}
#: those of the other golden file, which `test_dolma_models.py` compares; most of them need models
ELSEWHERE = set(read(FOLDER / "dolma_models.json")["answers"])

#: where Dolma gives no answer: its expressions for e-mail and phone numbers take time that grows
#: with the square of a word's length or worse; tagger and document -> what ours says
UNANSWERED: dict[str, dict[str, Answer]] = {
    "pii_regex_with_counts_fast_v2": {
        "3 MB with an @ and no space": {"doc_count": 0.0, "doc_frac": 1.0},
        "1 MB of spaces and a digit": {"doc_count": 0.0, "doc_frac": 1.0},
        "question marks before an @": {"doc_count": 0.0, "doc_frac": 1.0},
    }
}


#: Dolma makes their keys of what it finds, and ours are those that are to be expected
MANY_KEYS = {"cc_re"}


class Family(NamedTuple):
    """Documents and what Dolma says of them: document -> tagger -> key -> spans, or a reason why
    there is no answer. `instead` is what we say there, by tagger and document; numbers in it are
    scores."""

    texts: dict[str, str]
    metadata: list[Any]
    answers: dict[str, dict[str, Answer | str]]
    instead: dict[str, dict[str, Answer]]

    @property
    def ids(self) -> list[str]:
        return list(next(iter(self.answers.values())))


def family(path: Path, instead: dict[str, dict[str, Answer]] | None = None) -> Family:
    found = read(path)
    documents = found["documents"]
    return Family(
        {d["id"]: "".join(piece * n for piece, n in d["text"]) for d in documents},
        [d.get("metadata") for d in documents],
        {d["id"]: d["attributes"] for d in documents},
        found.get("instead", {}) if instead is None else instead,
    )


FAMILIES = {
    "taggers": family(FOLDER / "dolma_taggers.json", UNANSWERED),
    **{path.stem: family(path) for path in sorted((FOLDER / "families").glob("*.json"))},
}
CASES = [
    pytest.param(name, part_id, document, id=f"{part_id}-{document}")
    for name, one in FAMILIES.items()
    for part_id in one.ids
    if part_id in OF_DOLMA
    for document in one.texts
]


@functools.cache
def answers(name: str, part_id: str) -> dict[str, Answer]:
    """Document -> key -> spans, in Dolma's form and through our writer of it."""
    one = FAMILIES[name]
    made = settings.made(part_id)
    batch = batch_of(list(one.texts.values()), one.metadata)
    lines = attribute_files.rows_of(batch, made.tag(batch), "jsonl", made.keys)
    rows = msgspec.json.Decoder().decode_lines(lines)
    return {doc: row["attributes"] for doc, row in zip(one.texts, rows, strict=True)}


def expected(name: str, part_id: str, document: str) -> Answer:
    """Dolma's answer, or what the docs say instead."""
    one = FAMILIES[name]
    found = one.answers[document][part_id]
    n = len(one.texts[document])
    if isinstance(found, str):
        ours = one.instead.get(part_id, {}).get(document, {})
        return {k: [[0, n, v]] if isinstance(v, float) else v for k, v in ours.items()}
    # Dolma's may go beyond the text (c4_v2's are spans of the lower-cased one); ours end with it.
    return {k: [[min(s, n), min(e, n), v] for s, e, v in spans] for k, spans in found.items()}


@pytest.mark.parametrize(("name", "part_id", "document"), CASES)
def test_values_are_dolmas(name: str, part_id: str, document: str) -> None:
    assert answers(name, part_id)[document] == expected(name, part_id, document)


def test_every_tagger_under_dolmas_id_is_compared() -> None:
    compared = {part_id for one in FAMILIES.values() for part_id in one.ids}
    assert compared | ELSEWHERE == OF_DOLMA
    for one in FAMILIES.values():
        for part_id in one.ids:
            found = [answer[part_id] for answer in one.answers.values()]
            seen = {key for answer in found if isinstance(answer, dict) for key in answer}
            declared = set(settings.made(part_id).keys)
            assert seen <= declared
            assert seen == declared or part_id in MANY_KEYS, "each key has a value somewhere"


def test_dolma_lets_spans_go_beyond_a_text_with_a_dotted_capital() -> None:
    """The one difference in values; `c4_v1` does not have it."""
    name = "U+0130 at the end"
    found = FAMILIES["taggers"]
    n = len(found.texts[name])
    key = "lines_with_no_ending_punctuation"
    c4_v1, c4_v2 = (found.answers[name][part_id] for part_id in ("c4_v1", "c4_v2"))
    assert isinstance(c4_v1, dict)
    assert isinstance(c4_v2, dict)
    assert c4_v2[key] == [[15, n + 9, 1.0]]
    assert answers("taggers", "c4_v2")[name][key] == c4_v1[key] == [[15, n, 1.0]]


@pytest.mark.parametrize("string", GOLDEN["refused"])
def test_what_dolma_cannot_read_is_refused_with_its_place(tmp_path: Path, string: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"id": "x", "text": ""}}\n{{"id": "y", "text": {string}}}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: .*(surrogate|other half)"):
        list(DocumentReader(str(path)))


@pytest.mark.parametrize("string", GOLDEN["taken"])
def test_what_dolma_reads_is_read(tmp_path: Path, string: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"id": "x", "text": {string}}}\n')
    (batch,) = DocumentReader(str(path))
    assert batch.texts == [json.loads(string)]
