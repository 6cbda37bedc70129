"""Which library encodes: fastokens where it gives the ids of `tokenizers` on texts made to differ.

The texts go for what tells two tokenizers apart: the classes of characters that their regular
expressions know (tables of different Unicode versions), normalization, white space at line ends,
contractions in odd case, and the strings of the tokenizer's own added tokens.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from dolma_kit import downloads, files
from dolma_kit.errors import ConfigError
from dolma_kit.tokens import encoder
from dolma_kit.tokens.encoder import Library
from dolma_kit.tokens.tokenizer_file import TokenizerFile

VERSION = 1  # of our texts
UNASSIGNED_STEP = 16  # new scripts come in blocks of 16 code points
LAST_SCRIPT = 0x323AF  # beyond it: tags, variation selectors, private use
MAX_SAMPLE_CHARACTERS = 1 << 16
MAX_TEXT_CHARACTERS = 1 << 14

HAND_MADE = (
    "", " ", "  ", "\n", "\r\n", "\r", "\t", "\x00", "a\x00b", "\x0b\x0c\x1c\x1d\x1e\x1f\x85",
    "a\nb\r\nc\rd\n\re\r\n\r\nf\n\n\n g\r\r\r h", " \n \n  \n", "x \r\n\t\r\n  y", "tail  ",
    "\u2028a\u2029b\u0085c", "\ufeffbom", "a\u00a0b\u2003c\u3000d\u200be\u180ef",
    "I'm you're HE'S we'Ve THEY'LL i'D don'T it'\u017f 'S'T'RE'M 's't're'll", "\u2019s it\u2019s",
    "\u212aelvin 'K' \u0130stanbul \u0131 stra\u00dfe STRA\u1e9eE \ufb01ne",
    "1 12 123 1234 12345678901234567890 1,234.5 \u0661\u0662\u0663\u0664 \u00bd\u2167\u00b2\u09ea",
    "snake_case camelCase kebab-case a.b.c //comment /* x */ #!/bin/sh {}[]()<>;:!?",
    "===== ----- ..... !!!!! ,,,\n ???\r\n ***\n\n",
    "\u00e9 e\u0301 \u1e69 s\u0323\u0307 s\u0307\u0323",
    "q\u0307\u0323\u0301\u0308\u0327\u0328", "\u0301 leading",
    "\u1100\u1161\u11a8 \uac01 \u1100\uac00\u11a8",
    "\u0958\u0929\u0928\u093c \u0f43 \u2126\u212b \uf900\ufa19 \U0002f800 \u0344\u0340",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f44d\U0001f3fd "
    "\U0001f1e9\U0001f1ea \u2764\ufe0f 1\ufe0f\u20e3 \U0001f3f4\U000e0067\U000e0062\U000e007f",
    "\ufffd\ufffe\uffff\U0010ffff",
    "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22",
    "\u65e5\u672c\u8a9e\u30c6\u30ad\u30b9\u30c8 \u4e2d\u6587",
    "\u05e2\u05d1\u05e8\u05d9\u05ea",
    "\u0627\u0644\u0639\u064e\u0631\u064e\u0628\u0650\u064a\u0629 \u202eRTL\u202c",
    "http://a.b/c?d=e&f=%20#g user@example.com 192.168.0.1 C:\\x\\y \\n\\u0041",
    "a" * 3000, " " * 700 + "x", "\n" * 700, " \n" * 300, "\t" * 99, "-" * 999, "1" * 999,
    "ab" * 999,
    "\u00e4" * 300, "\u4e2d" * 300, "e\u0301" * 300, "\U0001f600" * 99, "\r\n" * 99 + " " * 99,
    *(" " * n + "x" + " " * n for n in range(1, 34)),
)  # fmt: skip


class Choice(NamedTuple):
    """The library, its name with its version, and why it is not fastokens, if it is not."""

    library: Library
    name: str
    note: str | None


def choose(
    wanted: Literal["auto", "fastokens", "tokenizers"],
    tokenizer: TokenizerFile,
    sample: Sequence[str] = (),
    *,
    with_special: bool = False,
) -> Choice:
    """The library to encode with: fastokens if it agrees on our texts and the start of `sample`.

    `with_special` as in `encoder.load`. ConfigError if it is demanded and does not, or if not even
    `tokenizers` reads the file.
    """
    encoder.load(tokenizer.path, tokenizer.sha256, "tokenizers", with_special=with_special)
    note = None
    if wanted != "tokenizers":
        note = _fault(tokenizer, list(_bounded(sample)), with_special)
        if note is None:
            return Choice("fastokens", encoder.version("fastokens"), None)
        if wanted == "fastokens":
            raise ConfigError(f"{note}; use --encoder auto or tokenizers")
    return Choice("tokenizers", encoder.version("tokenizers"), note)


def _fault(tokenizer: TokenizerFile, sample: list[str], with_special: bool) -> str | None:
    """Why fastokens cannot stand in for the reference on our texts and the sample.

    That it can on ours, which follow from the tokenizer, is remembered in the cache folder.
    """
    try:
        names = [encoder.version("fastokens"), encoder.version("tokenizers")]
    except importlib.metadata.PackageNotFoundError:
        return fault_of_fastokens(tokenizer, sample, with_special)
    said = [VERSION, tokenizer.sha256, *names, with_special, unicodedata.unidata_version]
    name = hashlib.sha256(repr(said).encode()).hexdigest()
    note = os.path.join(downloads.cache_folder(), "self_check", name)
    if os.path.exists(note):
        return fault_of_fastokens(tokenizer, sample, with_special)
    texts = [*adversarial_texts(tokenizer), *sample]
    found = fault_of_fastokens(tokenizer, texts, with_special)
    if found is None:
        with contextlib.suppress(OSError):  # a home that cannot be written to
            os.makedirs(os.path.dirname(note), exist_ok=True)
            with files.write_atomically(note) as stream:
                stream.write(repr(said).encode() + b"\n")
    return found


def fault_of_fastokens(
    tokenizer: TokenizerFile, texts: Sequence[str], with_special: bool = False
) -> str | None:
    """Why fastokens cannot stand in for the reference on these texts; None where it can."""
    try:
        fast = encoder.load(
            tokenizer.path, tokenizer.sha256, "fastokens", with_special=with_special
        )
    except ModuleNotFoundError:
        return "fastokens is not installed"
    except ConfigError as error:
        return str(error)
    reference = encoder.load(
        tokenizer.path, tokenizer.sha256, "tokenizers", with_special=with_special
    )
    at = first_difference(reference.encode(texts), fast.encode(texts))
    if at is None:
        return None
    names = f"{fast.name} gives other ids than {reference.name} with {tokenizer.name}"
    return f"{names} for {_short(texts[at])}"


def first_difference(ours: encoder.Encoded, theirs: encoder.Encoded) -> int | None:
    """The first text whose ids differ, by its place; None where all are equal."""
    if np.array_equal(ours.ids, theirs.ids) and np.array_equal(ours.offsets, theirs.offsets):
        return None
    for i, (a, b) in enumerate(zip(pairwise(ours.offsets), pairwise(theirs.offsets), strict=True)):
        if not np.array_equal(ours.ids[slice(*a)], theirs.ids[slice(*b)]):
            return i
    raise AssertionError("offsets or ids differ, but no text's ids do")


def adversarial_texts(tokenizer: TokenizerFile) -> list[str]:
    """Some 15,000 short texts, the same for the same tokenizer and Python."""
    return [*HAND_MADE, *_around_added_tokens(tokenizer), *_code_point_texts()]


def _around_added_tokens(tokenizer: TokenizerFile) -> Iterator[str]:
    for token in tokenizer.added_tokens[:64]:
        t = token.content
        yield t
        yield f"a{t}b {t} c\n{t}\n{t}{t}  {t}  d{t[:-1]} {t[1:]} {t.upper()} {t.lower()}"
        yield f"{t[: len(t) // 2]}{t}{t[len(t) // 2 :]}. \t{t}\r\n1{t}2"


@functools.cache
def _code_point_texts() -> tuple[str, ...]:
    """Each edge of each run of code points of one category, and all that decompose."""
    return (
        *(f"a{c}'s 1{c}234 !{c}\n {c}{c}" for c in _edges()),
        *(f"{unicodedata.normalize('NFD', c)}{c} {c}\u0323\u0307" for c in _decomposable()),
    )


def _edges() -> list[str]:
    """The first and last code point of each run of one general category, and of the unassigned
    (by the Unicode tables of this Python, which both libraries' may be ahead of) every 16th."""
    found = []
    run_category = ""
    for n in (*range(0xD800), *range(0xE000, LAST_SCRIPT), *range(0xE0000, 0xE0200), 0x10FFFD):
        category = unicodedata.category(chr(n))
        if category != run_category or (category == "Cn" and n % UNASSIGNED_STEP == 0):
            found += [chr(n - 1), chr(n)] if n not in (0, 0xE000) else [chr(n)]
        run_category = category
    return list(dict.fromkeys(found))


def _decomposable() -> Iterator[str]:
    for n in range(min(sys.maxunicode, LAST_SCRIPT)):
        is_hangul = 0xAC00 <= n <= 0xD7A3
        if unicodedata.decomposition(chr(n)) and (not is_hangul or n % 97 == 0):
            yield chr(n)


def _bounded(sample: Sequence[str]) -> Iterator[str]:
    """The start of the sample: MAX_SAMPLE_CHARACTERS in all, MAX_TEXT_CHARACTERS of each text."""
    left = MAX_SAMPLE_CHARACTERS
    for text in sample:
        if left <= 0:
            return
        cut = text[: min(MAX_TEXT_CHARACTERS, left)]
        left -= len(cut)
        yield cut


def _short(text: str) -> str:
    return ascii(text) if len(text) <= 60 else f"{text[:60]!a} ... ({len(text)} characters)"
