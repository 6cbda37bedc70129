"""Repetitions, on texts worked out by hand; Dolma's own answers are in `test_dolma.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolma_kit import registry
from dolma_kit.attributes import Columns, Spans
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.tokens.alignment import AlignedTokenizer
from dolma_kit.tokens.encoder import EncodingError

from . import settings
from .test_taggers import batch_of, tag


def scored(columns: Columns, document: int) -> list[tuple[int, int, float]]:
    spans = columns["repetition"]
    assert isinstance(spans, Spans)
    rows = slice(spans.offsets[document], spans.offsets[document + 1])
    columns_of_rows = (spans.start[rows], spans.end[rows], spans.score[rows])
    return list(zip(*(column.tolist() for column in columns_of_rows), strict=True))


def statistics(columns: Columns, document: int) -> list[float]:
    keys = ("doc_max_score_repetition", "doc_max_length_repetition", "doc_frac_repetition")
    return [float(np.asarray(columns[key])[document]) for key in keys]


def test_repetitions_v1() -> None:
    columns = tag("repetitions_v1", ["", "so so so", "é ho ho ho ho-- a-a-a-a-a", "ab\nab\nab\nab"])
    assert scored(columns, 0) == scored(columns, 1) == []
    assert statistics(columns, 0) == statistics(columns, 1) == [0, 0, 0]
    # " ho", which begins further to the left than "ho", and "a-", four times each.
    assert scored(columns, 2) == [(1, 13, 4), (16, 24, 4)]
    assert statistics(columns, 2) == [4, 12, 0.8]
    assert scored(columns, 3) == [(0, 11, 4)]


def test_paragraph_repetitions_v1() -> None:
    columns = tag("paragraph_repetitions_v1", ["ab\nab\nab\nab", "x\nxxxx\n\nyyyyy"])
    assert scored(columns, 0) == []
    assert scored(columns, 1) == [(2, 6, 4), (8, 13, 5)]


def test_tokenizer_repetitions() -> None:
    text = "of of of of of of and or of or of or of"
    columns = tag("tokenizer_repetitions_v1", [text, "of of"])
    # The first token of six has no space before it, and is another one; places are without it.
    assert scored(columns, 0) == [(3, 17, 5), (22, 39, 3)]
    assert statistics(columns, 0) == [5, 17, round(31 / 39, 5)]
    assert statistics(columns, 1) == [0, 0, 0]
    assert np.isnan(statistics(tag("tokenizer_repetitions_v2r2", [text, "of of"]), 1)).all()


def test_nested_spans_are_left_out() -> None:
    text = "x the the the the the the the the y"
    whole = tag("tokenizer_repetitions_v1", [text])
    assert scored(whole, 0) == [(2, 33, 8), (2, 33, 4)]
    assert statistics(whole, 0) == [8, 31, round(62 / 35, 5)]
    assert scored(tag("tokenizer_repetitions_v2r2", [text]), 0) == [(2, 33, 8)]


def test_a_span_does_not_begin_with_the_space_that_is_put_before_a_paragraph(
    tmp_path: Path,
) -> None:
    """A tokenizer that does not trim gives Dolma a start of -1, but the lengths it counts."""
    content = json.loads(Path(settings.TOKENIZER).read_text(encoding="utf-8"))
    content["post_processor"] = None
    path = tmp_path / "untrimmed.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    made = registry.tagger({"id": "paragraph_tokenizer_repetitions_v1", "tokenizer": str(path)})
    columns = made.tag(batch_of(["the the the\nx"]))
    assert scored(columns, 0) == [(0, 11, 3)]
    assert statistics(columns, 0) == [3, 12, round(12 / 13, 5)]


def test_what_is_recorded_is_the_tokenizers_name_and_the_file_itself() -> None:
    made = settings.made("tokenizer_repetitions_v2r2")
    assert made.recorded == {"id": made.id, "tokenizer": "repetition_tokenizer.json"}
    assert made.models() == (settings.TOKENIZER,)


def test_a_tokenizer_that_is_not_there_is_refused() -> None:
    made = registry.tagger("tokenizer_repetitions_v2r2(tokenizer=nowhere.json)")
    with pytest.raises(ConfigError, match=r"no tokenizer 'nowhere\.json'"):
        made.tag(batch_of(["a"]))


@pytest.mark.parametrize("method", ["encode", "align"])
def test_a_text_that_the_library_gives_up_on_is_named_by_its_line(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def give_up(self: AlignedTokenizer, texts: list[str], *_: Any) -> None:
        raise EncodingError(texts.index("la la la la la"), "too long")

    monkeypatch.setattr(AlignedTokenizer, method, give_up)
    with pytest.raises(DataError, match=r"x:3: too long"):
        tag("tokenizer_repetitions_v1", ["a", "b", "la la la la la"])
