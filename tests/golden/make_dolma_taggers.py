"""Makes what the taggers of the package `dolma` say of awkward documents.

    python tests/golden/make_dolma_taggers.py [FAMILY...]

runs in an environment of its own (Python 3.11, pip install "dolma[code]==1.2.1" blingfire). A text
is a list of [piece, how often]; `attributes` are by tagger and key, as `dolma tag` rounds and
writes them, or the reason why there are none.

Without arguments it makes `dolma_taggers.json`: there `ids` are all the names that Dolma has, and
`refused` JSON strings that Dolma's reader does not take. A family is a file `families/FAMILY.py`,
of which `families/FAMILY.json` is made. It defines `TAGGERS`, and may define `TEXTS`, documents
beside the awkward ones of here; `METADATA`, by document; `INSTEAD`, by tagger and document what
dolma-kit says where Dolma has no answer (else: nothing), in which a number is a score; and
`prepare()`, called before the taggers are made.
"""

from __future__ import annotations

import json
import runpy
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "benchmarks"))

import dolma_worker  # noqa: E402

TAGGERS = [
    "c4_v1",
    "c4_v2",
    "char_length_v1",
    "gopher_v1",
    "gopher_v2",
    "pii_regex_with_counts_fast_v2",
]
SECONDS = 15
MAIL = "Write to jane@example.com, or call (206) 555-0100 now; the host is 10.0.0.25 today.\n"
Text = list[tuple[str, int]]
TEXTS: dict[str, Text] = {
    "empty": [],
    "one space": [(" ", 1)],
    "white space": [(" \t\r\x0b\x0c\x1c\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u3000 ", 3)],
    "white space on lines": [(" \n\t\n", 3)],
    "a line break": [("\n", 1)],
    "line breaks": [("\n", 7)],
    "empty lines between": [("\n\none\n\n\ntwo\n\none\n\n", 1)],
    "no trailing newline": [("The first line is here.\nthe second is not", 1)],
    "trailing newline": [("The first line is here.\nthe second is too\n", 1)],
    "CRLF": [("- One, two, three.\r\nOne\r\n\r\n\r\nOne\r\nthe end…\r\n", 2)],
    "CR": [("one two three.\rfour\r\rfour\r", 1)],
    "other line separators": [("a b c.\u2028d\u2029a b c.\x85d\x0ba b c.\x0cd\x1e e", 2)],
    "5 MB on one line": [("the quick brown fox, and 12 more; ", 150_000)],
    "a word of 3 MB": [("x", 3_000_000)],
    "a word of 3 MB of three bytes each": [("中", 1_000_000)],
    "two long words": [("y", 1100), (" ", 1), ("z", 1023), (" #a the\n", 1)],
    "NUL": [("the\0 \0the \0\0 the\0cat the.\0\n\0\n\0\njavascript\0 javascript\n", 1)],
    "control characters": [("".join(map(chr, range(0x20))) + "\x7f", 2)],
    "right to left": [("שלום עולם, זה מבחן.\n\u200fمرحبا بالعالم ١٢٣\u202e abc\u202c؟\nשלום", 1)],
    "combining marks": [("e\u0301 \u0301 \u0301\u0302 a\u0308\u0323 ก็ กำ\n\u0301x", 1)],
    "emoji": [("👩‍👩‍👧 🇩🇪 👍🏽 #️⃣ 🖕\n🖕 x🖕\n", 1)],
    "no letters": [("123 ... ٣٤ — § 5 ½ Ⅷ ⓐ ª ・ ー\n", 1)],
    "10,000 question marks": [("?", 10_000), ("\n", 1), (MAIL, 1)],
    "10,001 question marks": [("?", 10_001), ("\n", 1), (MAIL, 1)],
    "U+0130": [("İstanbul\nİ, javascrİpt javascript.\nlorem ipsum İ {\nİİİİ", 1)],
    "U+0130 at the end": [("one two three.\n", 1), ("İ", 9)],
    "U+0130 alone": [("İ\n", 5)],
    "kelvin sign": [("fuc\u212a \u212aIN\u212aY \u212a\n\u212ail", 1)],
    "other capitals": [("ẞ ΑΣ Σ ǅ ﬁ ŉ ΐ ԵՒ\nSTRASSE.", 1)],
    "javascript": [("xjavascript\n", 1)],
    "JavaScript": [("Enable JavaScript, please.\n", 1)],
    "the word JavaScript": [("Enable\tJAVASCRIPT\u3000now.\n", 1)],
    "javascript at the ends": [("javascript\n\njavascript", 1)],
    "lorem ipsum": [("xLOREM IPSUMx {", 1)],
    "lorem ipsum on two lines": [("Lorem\nipsum, lorem  ipsum, lorem\u00a0ipsum", 1)],
    "naughty words": [("An ASS\nassess", 1)],
    "naughty word with a comma": [("an ass, a class", 1)],
    "naughty phrase": [("xBARELY LEGALx", 1)],
    "naughty phrase on two lines": [("barely\nlegal", 1)],
    "ends of lines": [('a b c. \na b c!"\u3000\na b c?\na b c”\na b c.)\n. . .\n"\n.\n', 1)],
    "bullets": [("* a\n- b\n • c\n -d\n*\n-\n—e\n*\n", 1)],
    "ellipses": [("a…\nb...\nc … \n…\n… #…# ##\na…", 1)],
    "required words": [("the The be to of and that have with them,the the.\n", 3)],
    "repeated n-grams": [("a b c a b c a b c d ", 7)],
    "nine words": [("one two three four five six seven eight nine", 1)],
    "ten words": [("one two three four five six seven eight nine ten", 1)],
    "one word repeated": [("na ", 500)],
    "ties of rounding": [("# ", 1), ("ab ", 63), ("\n", 31), ("*\n", 1), ("c…\n", 3)],
    "median of two": [("a bbb", 1)],
    "mail": [(MAIL, 1)],
    "more mail": [
        ("a@b.c d@e.f, <g@h.i> (@j.k (@l (l@m.n) o@p@q.r s@t ..u@v.w.. x@y.z", 1),
        (" \n", 1),
        ("é@ü.中 a@b.\u3000@ @@ @.@ a@.b c@d..e \n??!!f@g.h!!?? \ni@j.k", 1),
    ],
    "phones": [
        ("206-555-0100 206-555-0101\n (206)555.0102 x206-555-0103 \t\t206  555 0104", 1),
        (" 12065550105 +1 206-555-0106 ٢٠٦-٥٥٥-٠١٠٧ 206\n555-0108\u00a02065550109", 1),
    ],
    "addresses": [
        ("1.2.3.4 256.1.1.1 1.2.3.4.5 01.002.3.300 1.2.3 1.2.3.٤ 999.1.2.3 1.2.3.4567.8.9.1", 1),
    ],
    "a word of 3 MB with an @": [("x", 1_500_000), ("@example.com ", 1)],
    "3 MB with an @ and no space": [("x", 1_500_000), ("@", 1), ("x", 1_500_000)],
    "question marks before an address": [("?", 10_000), ("jane@example.com ", 1)],
    "question marks before an @": [("?", 10_000), ("@ ", 1)],
    "1 MB of spaces and a digit": [(" ", 1_000_000), ("1", 1)],
}  # fmt: skip
STRINGS = ['"\\ud800"', '"a\\udc00b"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\/"']


def ask(registry: Any, ids: list[str], texts: dict[str, Text], metadata: Any) -> list[Any]:
    """The documents with what Dolma's taggers say of them."""
    from dolma.core.data_types import InputSpecWithMetadata

    taggers = {name: registry.get(name)() for name in ids}
    documents = []
    for name, text in texts.items():
        document: dict[str, Any] = {"id": name, "text": text}
        if name in metadata:
            document["metadata"] = metadata[name]
        row = InputSpecWithMetadata(
            id=name,
            text="".join(piece * n for piece, n in text),
            metadata=metadata.get(name),
        )
        found = {key: dolma_worker.measure(made, row, SECONDS) for key, made in taggers.items()}
        documents.append(document | {"attributes": found})
        for key, value in found.items():
            if isinstance(value, str):
                print(f"{name}: {key}: {value}")
    return documents


def write(path: Path, head: dict[str, Any], documents: list[Any]) -> None:
    lines = ",\n".join(json.dumps(document, ensure_ascii=True) for document in documents)
    path.write_text(json.dumps(head)[:-1] + f', "documents": [\n{lines}\n]}}\n', encoding="utf-8")


def make_family(registry: Any, name: str) -> None:
    family = runpy.run_path(str(HERE / "families" / f"{name}.py"))
    family.get("prepare", lambda: None)()
    texts = TEXTS | family.get("TEXTS", {})
    documents = ask(registry, family["TAGGERS"], texts, family.get("METADATA", {}))
    head = {"dolma": version("dolma"), "instead": family.get("INSTEAD", {})}
    write(HERE / "families" / f"{name}.json", head, documents)


def make_own(registry: Any) -> None:
    import msgspec
    from dolma.core.data_types import InputSpec

    documents = ask(registry, TAGGERS, TEXTS, {})
    refused = []
    for string in STRINGS:
        try:
            msgspec.json.decode(f'{{"id": "x", "text": {string}}}', type=InputSpec)
        except msgspec.DecodeError:
            refused.append(string)
    head = {
        "dolma": version("dolma"),
        "ids": [name for name, _ in registry.items()],
        "taken": [string for string in STRINGS if string not in refused],
        "refused": refused,
    }
    write(HERE / "dolma_taggers.json", head, documents)


def main() -> None:
    registry = dolma_worker.registry()
    for name in sys.argv[1:]:
        make_family(registry, name)
    if not sys.argv[1:]:
        make_own(registry)


if __name__ == "__main__":
    main()
