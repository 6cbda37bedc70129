"""Laws that every registered part keeps; `test_laws.py` holds each of them against each part.

A law takes a part, or what makes one, and asserts.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import dolma_kit
from dolma_kit import registry
from dolma_kit.attributes import Columns, Spans
from dolma_kit.decoding import _decoder, table_of
from dolma_kit.documents import Batch, Fields
from dolma_kit.mixing import Decision
from dolma_kit.registry import Mixer, Part, Tagger

KERNELS = Path(dolma_kit.__file__).parent / "kernels"
Make = Callable[[registry.Spec], Part]
#: one document: a number, or spans, under each key
Measured = dict[str, float | list[tuple[int, int, float]]]

LINE = "The quick brown fox, jane@example.com; see https://www.example.com/a?b=1 (12 + 3) = 15. "
#: name -> text, in the order in which taggers get them
TEXTS: dict[str, str] = {
    "prose": "The cat sat on the mat. It slept.\n\nThen it woke, and the dog barked at it.\n",
    "empty": "",
    "white space": " \t\u00a0\u3000\n\r\n ",
    "line breaks": "\n\n\n",
    "no newline at the end": "One line.\nAnother",
    "CRLF": "One line.\r\nAnother line, and more.\r\n\r\nOne line.\r\n",
    "NUL": "a\0b \0 c\0\n\0",
    "control characters": "".join(map(chr, range(1, 0x20))) + "\x7f\x85",
    "line separators": "a b.\u2028c d\u2029e f\x0bg\x0ch\x1ei",
    "emoji": "👩‍👩‍👧 🇩🇪🇫🇷 👍🏽 #️⃣ 😀😀😀😀\n🖕",
    "right to left": "שלום עולם, זה מבחן.\n\u200fمرحبا بالعالم ١٢٣\u202e abc\u202c؟",
    "combining marks": "e\u0301te\u0301 \u0301 \u0308\n\u0301x ก็ กำ क्षि",
    "no spaces": "これは日本語の文章です。とても短い。貓坐在墊子上。",
    "longer in lower case": "İstanbul İİ\nİ{ javascrİpt",
    "last code points": "\U0010ffff\ufffe\ufdd0\U0001f9ff\ud7ff\ue000",
    "code": "# Copyright 2020 A. Nonym\nimport os\n\n\ndef f(x):\n    return {x: x + 1}  # why\n",
    "html": "<!DOCTYPE html><html><head><title>T</title></head><p>Hi <b>you</b></html>",
    "repetitions": "na " * 60 + "\n" + "ha" * 80 + "\n" + "- x\n" * 30,
    "punctuation": "?!.,;:()[]{}…—\n!!!\n* * *\n...",
    "numbers": "206-555-0100 +44 20 7946 0958 10.0.0.25 ::1 4111 1111 1111 1111 3.14 1e-9\n",
    "mail": "jane@example.com\n(joe@x.org), <a@b.c>\n@@ a@ @b",
}
#: 5 MB on one line, a word of 3 MB, and long rows of what rules look for
LONG: dict[str, str] = {
    "line": LINE * (5_000_000 // len(LINE)),
    "word": "x" * 3_000_000,
    **{f"row of {c!r}": c * 250_000 for c in " \n(@.:?1#/-&"},
    "row of tags": "<a" * 100_000,
    "row of quotes": "'\"" * 100_000,
}
MOST_SECONDS = 15.0  # of a processor, for LONG: a hundred times of what most take
METADATA: dict[str, Any] = {
    "prose": {"url": "https://user@www.example.com:80/a/b?c=d#e", "html": "<a href='x'>"},
    "html": {"url": "", "html": ""},
    "CRLF": {"url": 5, "html": None},
    "NUL": {"url": "not a url \0", "html": "creativecommons.org/licenses/by/4.0/"},
    "code": {"extension": "py", "path": "a/b.py", "max_stars_count": "3"},
    "emoji": [],
}


def batch_of(texts: Sequence[str], metadata: Sequence[Any] | None = None) -> Batch:
    """Documents with these texts, and with these values of `metadata`."""
    documents: list[dict[str, Any]] = [{"id": str(i), "text": t} for i, t in enumerate(texts)]
    for document, value in zip(documents, metadata or [], strict=False):
        document["metadata"] = value
    return _batch(documents)


def awkward(names: Sequence[str] = tuple(TEXTS)) -> Batch:
    """The documents of TEXTS that are named, in that order, each under its name as id."""
    return _batch(
        [{"id": name, "text": TEXTS[name], "metadata": METADATA.get(name)} for name in names]
    )


def _batch(documents: Sequence[dict[str, Any]]) -> Batch:
    rows = [_decoder(Fields()).decode(msgspec.json.encode(document)) for document in documents]
    lines = np.arange(1, len(rows) + 1)
    return Batch(table_of(rows), path="x", first_row=0, lines=lines)


def by_document(batch: Batch, columns: Columns) -> dict[str, Measured]:
    """What columns say of each document, by its id."""
    found: dict[str, Measured] = {}
    for i, doc_id in enumerate(batch.ids):
        found[doc_id] = {}
        for key, value in columns.items():
            if isinstance(value, Spans):
                rows = slice(value.offsets[i], value.offsets[i + 1])
                arrays = (value.start[rows], value.end[rows], value.score[rows])
                found[doc_id][key] = list(zip(*(a.tolist() for a in arrays), strict=True))
            elif not math.isnan(value[i]):
                found[doc_id][key] = float(value[i])
    return found


def keeps_its_config(make: Make, part_id: str, settings: Mapping[str, Any]) -> None:
    """Equal where settings are, `repr` is the constructor call, and the spec makes it again."""
    made = make({"id": part_id, **settings})
    assert made == make(made.spec)
    assert hash(made) == hash(make(made.spec))
    assert made == eval(repr(made), {type(made).__name__: type(made)})
    assert msgspec.json.decode(msgspec.json.encode(made.spec)) == made.spec
    assert made.spec == {"id": part_id, **msgspec.json.decode(msgspec.json.encode(made))}
    assert settings.items() <= made.spec.items()


def names_what_exists(part: Part) -> None:
    """The models that it names are files, its kernels modules; no path is in what it records."""
    assert all(os.path.isfile(path) for path in part.models())
    assert all((KERNELS / f"{name}.py").is_file() for name in part.kernels())
    recorded = msgspec.json.encode(part.recorded).decode()
    assert not any(os.path.dirname(path) in recorded for path in part.models())


def gives_its_declared_columns(part: Tagger, batch: Batch) -> None:
    """Exactly the declared keys; scores finite or NaN; spans in order of documents, within them."""
    columns = part.tag(batch)
    assert set(columns) == set(part.keys)
    for key, kind in part.keys.items():
        value = columns[key]
        if isinstance(value, Spans):
            assert kind == "spans"
            assert value.offsets[0] == 0
            assert value.offsets[-1] == len(value.start) == len(value.end) == len(value.score)
            counts = np.diff(value.offsets)
            assert len(counts) == len(batch)
            assert (counts >= 0).all()
            lengths = np.repeat(batch.n_characters, counts)
            assert ((value.start >= 0) & (value.start <= value.end)).all()
            assert (value.end <= lengths).all()
            assert np.isfinite(value.score).all()
        else:
            assert kind == "score"
            assert np.asarray(value).shape == (len(batch),)
            assert not np.isinf(value).any()


def measures_a_document_alike_in_any_company(part: Tagger) -> None:
    """Alone, in the middle of others, and in the other order."""
    names = list(TEXTS)
    whole = by_document(awkward(), part.tag(awkward()))
    backward = awkward(names[::-1])
    assert by_document(backward, part.tag(backward)) == whole
    for name in names:
        alone = awkward([name])
        assert by_document(alone, part.tag(alone)) == {name: whole[name]}
    slice_ = awkward().head(len(names) - 2)
    assert by_document(slice_, part.tag(slice_)) == {n: whole[n] for n in names[:-2]}


def takes_no_documents(part: Tagger) -> None:
    """A batch whose lines were all set aside has no document."""
    gives_its_declared_columns(part, batch_of([]))


def leaves_its_input_alone(part: Tagger) -> None:
    """Other taggers read the same memory."""
    batch = awkward()
    before = batch.text_bytes.tobytes()
    part.tag(batch)
    assert batch.text_bytes.tobytes() == before
    assert batch.texts == list(TEXTS.values())


def takes_long_lines(part: Tagger, batch: Batch) -> None:
    """In time that does not grow with the square of a line, a word or a row of one character."""
    started = time.process_time()
    gives_its_declared_columns(part, batch)
    assert time.process_time() - started < MOST_SECONDS


def decides_within_the_text(part: Mixer, columns: Columns) -> None:
    """A decision for each document, whose replacements lie in the text."""
    batch = awkward()
    decision = part.decide(batch, columns)
    assert isinstance(decision, Decision)
    assert decision.drop.shape == (len(batch),)
    for row, cuts in decision.by_document.items():
        assert all(0 <= start <= end <= len(batch.texts[row]) for start, end, *_ in cuts)
