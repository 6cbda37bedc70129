"""How documents become lines of words: cc_net's ways, and what a model says of its text."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from dolma_kit.errors import ConfigError, DataError
from dolma_kit.language_models.text import Preparation
from tests.naive.language_models import ccnet_normalized

from ..taggers.test_taggers import batch_of

GOLDEN = Path(__file__).parents[1] / "golden" / "language_models"
PIECES = json.loads((GOLDEN / "pieces.json").read_text(encoding="utf-8"))
MODEL = str(GOLDEN / "pieces.model")


def lines_of(prepared: Preparation, *documents: str) -> list[list[str]]:
    made = prepared.lines(batch_of(documents))
    bounds = zip(made.starts.tolist(), made.ends.tolist(), strict=True)
    lines = [made.text[a:b].tobytes().decode() for a, b in bounds]
    first = made.first_lines.tolist()
    return [lines[a:b] for a, b in itertools.pairwise(first)]


def test_by_line_and_by_document() -> None:
    documents = ["Ünï\n\n 7 up\r\n", "", "\n"]
    assert lines_of(Preparation(), *documents) == [["uni", "", "0 up", ""], [], ["", ""]]
    assert lines_of(Preparation(None), *documents) == [["Ünï", "", " 7 up\r", ""], [], ["", ""]]
    whole = Preparation(sentence="document")
    assert lines_of(whole, *documents) == [["uni 0 up"], [], [""]]  # as cc_net's pipeline has it


def test_pieces_are_those_of_sentencepiece() -> None:
    documents = list(PIECES)
    found = lines_of(Preparation(None, MODEL, "document"), *documents)
    assert found == [[" ".join(PIECES[d])] if d else [] for d in documents]
    by_line = lines_of(Preparation("ccnet", MODEL), "The Cat\n\nsat")
    assert by_line == [[" ".join(["▁t", "h", "e", "▁cat"]), "", " ".join(["▁sa", "t"])]]


def test_a_tokenizer_json(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "cat": 1, "sat": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(2)
    tokenizer.save(str(tmp_path / "t.json"))
    found = lines_of(Preparation("ccnet", str(tmp_path / "t.json")), "Cat, sat\ncat")
    assert found == [["cat [UNK] sat", "cat"]]


def test_a_file_that_is_no_tokenizer(tmp_path: Path) -> None:
    for name, data in (("a.model", b"\1\2\3\4"), ("b.json", b"{}"), ("c.txt", b"words")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"{name}: is no tokenizer.json"):
            lines_of(Preparation(None, str(tmp_path / name)), "a")


def test_a_model_knows_how_its_text_was_prepared() -> None:
    note = json.dumps(Preparation("ccnet", MODEL).note())
    Preparation("ccnet", MODEL).require(note, "m.arpa")
    for other in (
        Preparation(None, MODEL),
        Preparation("ccnet"),
        Preparation("ccnet", MODEL, "document"),
    ):
        with pytest.raises(ConfigError, match=r"m\.arpa was trained on text with"):
            other.require(note, "m.arpa")
        for silent in (None, "no JSON", "{}", '{"of": "another making"}'):
            other.require(silent, "m.arpa")


def test_lines_are_normalised_one_by_one() -> None:
    document = " «Ça» \t x\n\u2028İ\n"
    assert lines_of(Preparation(), document) == [
        [ccnet_normalized(line) for line in document.split("\n")]
    ]
