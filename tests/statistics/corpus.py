"""A small corpus with a bit of everything, in four files of four formats, and what it stands for.

`build` writes it with attributes beside; what a URL, a date or a licence means is in the tables
here, written by hand.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dolma_kit import files

from .oracle import MISSING, PII, Dated, Licensed, Placed, Url, phrases, pii

N_DOCUMENTS = 208
NAMES = ("web/documents/a.jsonl", "web/documents/b.jsonl.gz", "books/documents/c.jsonl.zst",
         "books/documents/d.parquet")  # fmt: skip
SPIKE = 61  # characters of a template's pages

URLS = [
    Url("https://www.bbc.co.uk/news?x=1", "url", "https", "www.bbc.co.uk", "bbc.co.uk", "co.uk"),
    Url("HTTP://Example.COM:80/a#b", "url", "http", "example.com", "example.com", "com"),
    Url("http://u:p@sub.example.com./", "url", "http", "sub.example.com", "example.com", "com"),
    Url("https://Bücher.example.de/ä", "url", "https", "xn--bcher-kva.example.de", "example.de",
        "de"),
    Url("https://münchen.de", "url", "https", "xn--mnchen-3ya.de", "xn--mnchen-3ya.de", "de"),
    Url("//cdn.example.org/x.js", "url", "", "cdn.example.org", "example.org", "org"),
    Url("example.net/path", "url", "", "example.net", "example.net", "net"),
    Url("ftp://ftp.example.com/f", "url", "ftp", "ftp.example.com", "example.com", "com"),
    Url("http://127.0.0.1:8080/", "url", "http", "127.0.0.1", "127.0.0.1", "(address)"),
    Url("http://[2001:DB8::1]/x", "url", "http", "[2001:db8::1]", "[2001:db8::1]", "(address)"),
    Url("http://localhost/x", "url", "http", "localhost", "localhost", "(unlisted)"),
    Url("http://intra.corp-net/", "url", "http", "intra.corp-net", "intra.corp-net", "(unlisted)"),
    Url("https://someone.github.io/p", "url", "https", "someone.github.io", "github.io", "io"),
    Url("https://co.uk/", "url", "https", "co.uk", "co.uk", "co.uk"),
    Url("  https://www.bbc.co.uk/sport\n", "url", "https", "www.bbc.co.uk", "bbc.co.uk", "co.uk"),
    Url("mailto:a@b.com", "not a URL"),
    Url("man page", "not a URL"),
    Url("word", "not a URL"),
    Url("   ", "not a URL"),
    Url("http://", "not a URL"),
    Url("http://exa mple.com/", "not a URL"),
    Url("data:text/plain,hello", "not a URL"),
    Url(7, "not a string"),
    Url(["https://a.com"], "not a string"),
    Url({"u": 1}, "not a string"),
    Url(True, "not a string"),
    Url(None),
    Url(""),
]  # fmt: skip

DATES = [
    ("2023", 2023, 0),
    ("2022-05", 2022, 5),
    ("2023-05-17", 2023, 5),
    ("2023/05/17", 2023, 5),
    ("2023-05-17T10:00:00.000Z", 2023, 5),
    ("2021-12-31 23:59:59.5+02:00", 2021, 12),
    ("20230517", 2023, 5),
    ("20191117100000", 2019, 11),
    ("1684317600", 2023, 5),
    (1684317600, 2023, 5),
    (1684317600.5, 2023, 5),
    (1684317600000, 2023, 5),
    (1999, 1999, 0),
    ("Wed, 17 May 2023 10:00:00 GMT", 2023, 5),
    ("Wed May 17 10:00:00 2023", 2023, 5),
    ("17 May 2023", 2023, 5),
    ("May 17th, 2023", 2023, 5),
    ("Sept. 2011", 2011, 9),
    ("05/17/2023", 2023, 5),
    ("05/06/2023", 2023, 0),
    ("17.05.2023", 2023, 5),
    ("2023-W20-3", 2023, 5),
    ("yesterday", None, 0),
    ("2021-02-30", None, 0),
    ("12345", None, 0),
    (True, None, 0),
    ([2023], None, 0),
    ({"year": 2023}, None, 0),
    (-5, None, 0),
    (None, None, 0),
    ("", None, 0),
]
DATE_KEYS = ("created", "metadata.date", "metadata.created", "metadata.timestamp",
             "metadata.warc_date", "metadata.published", "metadata.year")  # fmt: skip

LICENSES = [
    Licensed("MIT", names=("MIT",)),
    Licensed(" MIT \n", names=("MIT",)),
    Licensed("mit", names=("mit",)),
    Licensed(["MIT", "Apache-2.0", " MIT"], names=("MIT", "Apache-2.0")),
    Licensed(["CC BY 4.0"], names=("CC BY 4.0",)),
    Licensed([]),
    Licensed([" ", ""]),
    Licensed("  "),
    Licensed({"name": "MIT"}, readable=False),
    Licensed(["MIT", 3], readable=False),
    Licensed(7, readable=False),
    Licensed(None),
    Licensed(""),
]
LICENSE_KEYS = ("metadata.license", "metadata.licence", "metadata.max_stars_repo_licenses",
                "license")  # fmt: skip

TEXTS = [
    "",
    " \n\t ",
    "\u3000\u2028\x85",
    "The quick (“brown”) fox can’t jump 32.3 feet, right?",
    "family 👩‍👩‍👧‍👦 flags 🇩🇪🇫🇷🇨🇭 and 😀😀 🏳️‍🌈",
    "中文字符测试。日本語のテキスト、カタカナ",
    "ภาษาไทยไม่มีช่องว่าง สวัสดี",
    "e\u0301a\u0308 n\u0303 \u0301 x\u200by z\u200dw \u00e9\u00e4",
    "line one\r\nline two\r\n\r\nline three\rline four\n",
    "zero \x00 byte\x00\x00 and \x01 \x1f controls",
    "x" * 400,
    "word " + "Rindfleischetikettierungsüberwachungs" * 8,
    "א\"ב ג'ד العربية हिन्दी देवनागरी",
    "first\n\n\nsecond\n \nfirst\n",
    "mail bob@example.com now, or (206) 430-7757\ncall 206 430 7757 or 10.0.0.1\n",
    "Kittens are damn cute, DAMN it; hell no, what the Hell. Assess the ass.\n",
    "Copyright. Subscribe to our newsletter\nAll rights reserved\n",
    "\ufeffbom and \ufffd and \U0010ffff",
    "?" * 10_001,
    "no end of line",
]
VOCABULARY = [
    "the", "a", "of", "cat", "dog", "sat", "on", "mat", "house", "tree", "river", "it's", "runs",
    "3.14", "10,000", "ran,", "stop.", "and", "Then", "she", "said:", "“no”", "Straße", "naïve",
]  # fmt: skip
FOOTER = "Subscribe to our newsletter\nAll rights reserved\n"
LONG = " ".join(f"w{i % 17}" for i in range(130))
LEXICON = {"profane": ["damn", "what the hell", "ass"], "mild": ["hell", "cute", "missing"]}


@dataclass(frozen=True)
class Corpus:
    """The documents in canonical order, and what stands where in each of them."""

    folder: Path
    documents: list[Placed]
    urls: list[Url]
    dates: list[Dated]
    licenses: list[Licensed]
    scores: dict[str, list[Any]]  # column -> of each document
    spans: dict[str, list[Any]]

    @property
    def arguments(self) -> list[str]:
        return [str(self.folder / "web"), str(self.folder / "books")]

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(document.file for document in self.documents))

    def url_values(self) -> list[Any]:
        """What `duplicates` and `overlap` take for URLs."""
        return [url.value for url in self.urls]

    def languages(self) -> list[Any]:
        """The scores of each document by language, or MISSING."""
        labels = [name for name in self.scores if name.startswith("lang__")]
        return [
            MISSING
            if all(self.scores[name][i] is MISSING for name in labels)
            else {name.split("__")[-1]: self.scores[name][i] for name in labels}
            for i in range(len(self.documents))
        ]


def build(folder: Path) -> Corpus:
    """Write the corpus and its attributes below a folder."""
    rng = random.Random(20230517)
    rows, urls, dates, licenses = [], [], [], []
    for i in range(N_DOCUMENTS):
        in_parquet = i % len(NAMES) == 3
        row: dict[str, Any] = {"id": f"d{i:03d}", "text": _text(i, rng)}
        if i % 5 < 3:  # of the others some have null, some have none at all
            row["source"] = ("web", "books", "код")[i % 5]
        elif i % 5 == 3:
            row["source"] = None
        if i % 11 == 10 and not in_parquet:  # metadata that is no object, or not there
            odd: Any = ["words", [1, 2.5], 5, None][i // 11 % 4]
            row["metadata"] = odd
        elif i % 13 != 12:
            row["metadata"] = {"n": i, "nested": {"deep": [i]}}
        urls.append(_put_url(row, i, in_parquet))
        dates.append(_put_date(row, i, in_parquet))
        licenses.append(_put_license(row, i, in_parquet))
        rows.append(row)
    order = [i for k in range(len(NAMES)) for i in range(k, N_DOCUMENTS, len(NAMES))]
    documents = []
    for k, name in enumerate(NAMES):
        own = rows[k :: len(NAMES)]
        write_documents(folder / name, own)
        first = 2 if name.endswith(".gz") else 1  # a blank line stands first
        documents += [Placed(name, line, row) for line, row in enumerate(own, first)]
    scores, spans = _attributes(documents, rng)
    for name in NAMES:
        _write_attributes(folder, name, documents, {**scores, **spans}, spans.keys())
    pick = lambda values: [values[i] for i in order]  # noqa: E731
    return Corpus(folder, documents, pick(urls), pick(dates), pick(licenses), scores, spans)


def _text(i: int, rng: random.Random) -> str:
    kind = i % 8
    if kind == 0 or i == 91:
        text = TEXTS[i // 8 % len(TEXTS)]
        return text if i < 8 * len(TEXTS) or len(text) < 100 else text[:50]
    if kind == 1:  # the pages of a template
        return f"Page {i:04d} of a template with words that fill it up to".ljust(SPIKE - 1) + "."
    if kind == 2:
        return ("Equal in several files.\nSubscribe to our newsletter\n", LONG)[i % 16 == 2]
    words = " ".join(rng.choice(VOCABULARY) for _ in range(rng.randint(1, 25)))
    return f"{words}\n{FOOTER}" if kind == 3 else words


def _has_object(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("metadata"), dict)


def _put_url(row: dict[str, Any], i: int, in_parquet: bool) -> Url:
    url = URLS[i % len(URLS)]
    key = ("metadata.url", "url", "metadata.warc_url")[i % 3]
    if key != "url" and not _has_object(row):
        key = "url"
    if key == "url":
        if in_parquet and not isinstance(url.value, str | None):
            return Url(None)
        row["url"] = url.value
    else:
        row["metadata"][key.split(".")[1]] = url.value
        if key == "metadata.url" and i % 2:  # what comes later does not count, if there is one
            row["url"] = "https://later.example.com/"
            if url.value in (None, ""):
                return Url(row["url"], "url", "https", "later.example.com", "example.com", "com")
    return url


def _put_date(row: dict[str, Any], i: int, in_parquet: bool) -> Dated:
    value, year, month = DATES[i * 3 % len(DATES)]
    key = DATE_KEYS[i % len(DATE_KEYS)]
    if key != "created" and not _has_object(row):
        key = "created"
    if key == "created":
        if in_parquet and not isinstance(value, str | None):
            return Dated(None)
        row["created"] = value
    else:
        row["metadata"][key.split(".")[1]] = value
    row["added"] = "2024-01-01"  # not when it was written
    if value in (None, ""):
        return Dated(value)
    if year is None:
        return Dated(value, key, "unreadable")
    return Dated(value, key, "dated", year, month)


def _put_license(row: dict[str, Any], i: int, in_parquet: bool) -> Licensed:
    one = LICENSES[i * 5 % len(LICENSES)]
    key = LICENSE_KEYS[i % len(LICENSE_KEYS)]
    if key != "license" and not _has_object(row):
        key = "license"
    if key == "license":
        if in_parquet and not isinstance(one.value, str | None):
            return Licensed(None)
        row["license"] = one.value
    else:
        row["metadata"][key.split(".")[1]] = one.value
    return one._replace(key="" if one.value in (None, "") else key)


def write_documents(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """As the name's end says; in Parquet metadata is JSON, the other fields are strings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        names = ("id", "text", "source", "metadata", "url", "created", "license")
        values = {
            name: [
                json.dumps(row[name]) if name == "metadata" and name in row else row.get(name)
                for row in rows
            ]
            for name in names
        }
        table = pa.table({name: pa.array(values[name], pa.string()) for name in names})
        pq.write_table(table, path, row_group_size=17)
        return
    lines = [json.dumps(row, ensure_ascii=i % 2 == 0) for i, row in enumerate(rows)]
    data = "".join(f"{line}\n" for line in lines).encode()
    if path.suffix == ".gz":  # two members, the first of which ends within a line
        data = b"\n" + data
        data = gzip.compress(data[:3000], mtime=0) + gzip.compress(data[3000:], mtime=0)
    elif path.suffix == ".zst":
        data = files.compress(data, "zst")
    path.write_bytes(data)


# Attributes: the last file has none, the third has them in Dolma's JSONL


def _attributes(
    documents: Sequence[Placed], rng: random.Random
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    n = len(documents)

    def some(low: float, high: float) -> list[Any]:
        return [None if rng.random() < 0.1 else rng.uniform(low, high) for _ in range(n)]

    def several(i: int) -> list[Any]:
        size = len(documents[i].text)
        starts = sorted(rng.randrange(size) for _ in range(rng.randrange(4))) if size else []
        return [(start, min(start + 5, size), rng.random()) for start in starts]

    q = ["q__gopher_v2__word_count", "q__own__signed", "q__own__wide"]
    scores = {
        q[0]: [float(len(document.text.split())) for document in documents],
        q[1]: [rng.choice([None, 0.0, -0.0, -1.5, 2.25, -1e-30, 1e30]) for _ in range(n)],
        q[2]: [None if i % 9 == 0 else 10 ** rng.uniform(-8, 8) for i in range(n)],
        **{f"lang__language_v1__{name}": some(0, 1) for name in ("en", "de", "fr")},
        "dec_contaminated": [float(i % 10 == 3) for i in range(n)],
        "dec_score": some(0, 1),
    }
    for i, document in enumerate(documents):  # of equal scores the first by name counts
        for name in ("en", "de", "fr"):
            if not document.text:
                scores[f"lang__language_v1__{name}"][i] = None
            elif i % 12 == 5:
                scores[f"lang__language_v1__{name}"][i] = 0.25
    found = [pii(document.text) for document in documents]
    hate = "tox__jigsaw_hatespeech_sentence_v2____label__"
    spans: dict[str, list[Any]] = {
        "q__own__places": [several(i) for i in range(n)],
        **{f"pii__pii_regex_v2__{kind}": [one[kind] for one in found] for kind in PII},
        f"{hate}hate": [several(i) for i in range(n)],
        f"{hate}non_hate": [several(i) for i in range(n)],
        "dec": [[(0, 3, 1.0)] if i % 10 == 3 else [] for i in range(n)],
    }
    for i, document in enumerate(documents):
        if document.file == NAMES[3]:
            for values in (*scores.values(), *spans.values()):
                values[i] = MISSING
    return scores, spans


def _write_attributes(
    folder: Path,
    name: str,
    documents: Sequence[Placed],
    columns: Mapping[str, list[Any]],
    spans: Any,
) -> None:
    rows = [i for i, document in enumerate(documents) if document.file == name]
    if columns[next(iter(columns))][rows[0]] is MISSING:
        return
    place = folder / name
    experiments: dict[str, list[str]] = {}
    for column in columns:
        experiments.setdefault(column.split("_")[0], []).append(column)
    for experiment, own in experiments.items():
        path = place.parents[1] / "attributes" / experiment / place.name.split(".")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        ids = [documents[i].row["id"] for i in rows]
        if name == NAMES[2]:
            write_jsonl_attributes(
                path.with_suffix(".jsonl.gz"), ids, [documents[i].text for i in rows],
                {column: [columns[column][i] for i in rows] for column in own}, spans,
            )  # fmt: skip
        else:
            write_attributes(
                path.with_suffix(".parquet"), ids,
                {column: [columns[column][i] for i in rows] for column in own}, spans,
            )  # fmt: skip


SPANS = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("score", pa.float64())]))


def write_attributes(
    path: Path, ids: Sequence[str], columns: Mapping[str, Sequence[Any]], spans: Any = ()
) -> None:
    """Attributes as our own taggers write them; the columns that `spans` names hold spans."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = [pa.array(ids, pa.string())]
    for name, values in columns.items():
        if name in spans:
            parts = [[dict(zip(("start", "end", "score"), s, strict=True)) for s in v]
                     for v in values]  # fmt: skip
            arrays.append(pa.array(parts, SPANS))
        else:
            arrays.append(pa.array(values, pa.float64()))
    pq.write_table(pa.table(arrays, names=["id", *columns]), path)


def write_jsonl_attributes(
    path: Path,
    ids: Sequence[str],
    texts: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
    spans: Any = (),
) -> None:
    """The same in Dolma's form, in which a key without a value is left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for i, id_ in enumerate(ids):
        own = {
            name: values[i] if name in spans else [(0, len(texts[i]), values[i])]
            for name, values in columns.items()
            if values[i] is not None and (name not in spans or values[i])
        }
        lines.append(json.dumps({"id": id_, "attributes": own, "source": ""}) + "\n")
    path.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))


def write_lexicon(path: Path) -> Path:
    lines = ["# by category", ""]
    lines += [f"{category}\t{word}" for category, words in LEXICON.items() for word in words]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def lexicon_hits(text: str) -> dict[str, list[Any]]:
    return {category: phrases(text, words) for category, words in LEXICON.items()}
