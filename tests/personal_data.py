"""A labelled set of personal data: forms from the standards, at every place of a text.

`golden/personal_data/forms.json` has, written from the specifications and not from the rules: forms
of each type (documentation addresses of RFC 2606, 3849 and 5737, published test cards, example
IBANs of the registry, numbers set aside for fiction), the places where they may stand, and texts
in which there is nothing. `phone_numbers.csv` has libphonenumber's example numbers of all regions;
IBANs of all countries are made here, with a seed.
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "golden" / "personal_data"
IBAN_TABLE = Path(__file__).parents[1] / "taggers" / "data" / "iban.csv"
SEED = 20_231
TYPES = ("EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS", "PAYMENT_CARD", "IBAN")
FAMILIES = {"IPv4": "IP_ADDRESS", "IPv6": "IP_ADDRESS"}

Span = tuple[str, int, int]


class Labelled(NamedTuple):
    """A text, and the true spans in it: type, start and end in code points."""

    text: str
    spans: frozenset[Span]


def forms() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "forms.json").read_text(encoding="utf-8"))
    return loaded


def put(template: str, datum: str, type_: str) -> Labelled:
    """A template with the datum in place of each `{}`."""
    spans, text = set(), ""
    for i, piece in enumerate(template.split("{}")):
        if i:
            spans.add((type_, len(text), len(text) + len(datum)))
            text += datum
        text += piece
    return Labelled(text, frozenset(spans))


def made_ibans(rng: random.Random) -> Iterator[str]:
    """An IBAN of each country of the registry, in one row and in groups of four in turn."""
    alphabets = {"n": "0123456789", "a": "ABCDEFGHJKLMNPQRSTUVWXYZ", "c": "0123456789ABCDEFGHXYZ"}
    with IBAN_TABLE.open(encoding="utf-8", newline="") as file:
        for i, row in enumerate(csv.DictReader(file)):
            rest = "".join(
                rng.choice(alphabets[kind])
                for n, kind in re.findall(r"(\d+)!([nac])", row["structure"])
                for _ in range(int(n))
            )
            digits = "".join(str(int(c, 36)) for c in rest + row["country"] + "00")
            made = f"{row['country']}{98 - int(digits) % 97:02}{rest}"
            yield " ".join(re.findall(".{1,4}", made)) if i % 2 else made


def example_phones() -> Iterator[tuple[str, dict[str, str]]]:
    """Region, and how an example number of it is written."""
    with (FOLDER / "phone_numbers.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["region"], row


def documents(seed: int = SEED) -> list[Labelled]:
    """The set: every form at some places, every place with some forms, and nothing at all."""
    rng = random.Random(seed)
    given = forms()
    made: list[Labelled] = []
    for family in ("EMAIL_ADDRESS", "IPv4", "IPv6", "PAYMENT_CARD", "IBAN", "PHONE_NUMBER"):
        type_ = FAMILIES.get(family, family)
        data = list(given[family])
        if family == "IBAN":
            data += made_ibans(rng)
        if family == "PHONE_NUMBER":
            for _, row in example_phones():
                data += [row["international"], row["e164"]]
        places = given["positions"] + given["only"][family]
        rng.shuffle(places)
        for i, datum in enumerate(data):
            n_places = 3 if len(data) < 200 else 1
            made += [
                put(places[(n_places * i + k) % len(places)], datum, type_) for k in range(n_places)
            ]
        made += [put(place, rng.choice(data), type_) for place in places for _ in range(2)]
    made += national_phones(given["cues"], rng)
    made += [Labelled(text, frozenset()) for texts in given["nothing"].values() for text in texts]
    made += [
        Labelled(place.replace("{}", text), frozenset())
        for texts in given["nothing"].values()
        for text in texts
        for place in rng.sample(["it is {}", "{} is it", "see\n{}\nand", "({})", "| {} |"], 1)
    ]
    made += [Labelled(text, frozenset()) for text in noise(rng)]
    return made + [joined(rng.sample(made, 5)) for _ in range(200)]


def national_phones(cues: dict[str, list[str]], rng: random.Random) -> Iterator[Labelled]:
    """Numbers as they are written at home, behind the word for a telephone."""
    for region, row in example_phones():
        for cue in cues.get(region, ()):
            place = rng.choice(["{}", "Paris, {}", "x\n{}\ny", "{} (9-17)", "jane, {}, Paris"])
            yield put(place.replace("{}", cue, 1), row["national"], "PHONE_NUMBER")


def noise(rng: random.Random) -> Iterator[str]:
    """Numbers at random in the shapes of tables, prices, times, hashes and code."""
    shapes: list[Callable[[], str]] = [
        lambda: " ".join(str(rng.randrange(10_000)) for _ in range(8)),
        lambda: "\t".join(f"{rng.random():.6f}" for _ in range(5)),
        lambda: f"{rng.randrange(10**9):,}.{rng.randrange(100):02}",
        lambda: f"{rng.randrange(1900, 2100)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}",
        lambda: (
            f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.random():.6f}"
        ),
        lambda: f"{rng.getrandbits(160):040x} {rng.getrandbits(64):#x}",
        lambda: ":".join(f"{rng.getrandbits(8):02x}" for _ in range(rng.choice([6, 8, 16, 20]))),
        lambda: f"x = {rng.randrange(10**6)} + {rng.randrange(10**6)} - {rng.randrange(10**6)}",
        lambda: f"({rng.uniform(-90, 90):.6f}, {rng.uniform(-180, 180):+.6f})",
        lambda: f"{rng.randrange(10)}.{rng.randrange(30)}.{rng.randrange(300)}",
        lambda: f"+{rng.random() * 100:.4f}% -{rng.random() * 100:.4f}%",
        lambda: (
            f"ISBN 978-{rng.randrange(10)}-{rng.randrange(10**4):04}-{rng.randrange(10**4):04}-0"
        ),
    ]
    for _ in range(25):
        for shape in shapes:
            yield shape()


def joined(parts: Iterable[Labelled]) -> Labelled:
    """Texts as the paragraphs of one."""
    text, spans = "", set()
    for part in parts:
        spans |= {(type_, start + len(text), end + len(text)) for type_, start, end in part.spans}
        text += part.text + "\n\n"
    return Labelled(text, frozenset(spans))


class Measure(NamedTuple):
    """How many spans of a type are true, were found, and were found exactly."""

    n_true: int
    n_found: int
    n_right: int

    @property
    def precision(self) -> float:
        return self.n_right / self.n_found if self.n_found else 1.0

    @property
    def recall(self) -> float:
        return self.n_right / self.n_true if self.n_true else 1.0


def measure(labelled: Iterable[Labelled], found: Iterable[set[Span]]) -> dict[str, Measure]:
    """By type; a span counts as right where its start and end are."""
    n_true, n_found, n_right = Counter[str](), Counter[str](), Counter[str]()
    for document, spans in zip(labelled, found, strict=True):
        n_true.update(type_ for type_, _, _ in document.spans)
        n_found.update(type_ for type_, _, _ in spans)
        n_right.update(type_ for type_, _, _ in spans & document.spans)
    return {type_: Measure(n_true[type_], n_found[type_], n_right[type_]) for type_ in TYPES}


def without_surroundings(document: Labelled, spans: set[Span]) -> set[Span]:
    """Spans less the white space and punctuation at their ends: what Dolma's take along."""
    trimmed = set()
    for type_, start, end in spans:
        datum = document.text[start:end]
        start += len(datum) - len(datum.lstrip(" \t\r\n.,?!;:)(@"))
        end -= len(datum) - len(datum.rstrip(" \t\r\n.,?!;:)(@"))
        trimmed.add((type_, start, end))
    return trimmed


def table(measures: dict[str, dict[str, Measure]]) -> str:
    """Name of a rule -> its measures, as lines of text."""
    lines = [f"{'type':<14} {'true':>6}" + "".join(f"{name:>34}" for name in measures)]
    lines.append(" " * 21 + f"{'found':>10} {'precision':>10} {'recall':>11}" * len(measures))
    for type_ in TYPES:
        rows = [found[type_] for found in measures.values()]
        cells = (f"{m.n_found:>11} {m.precision:>10.4f} {m.recall:>11.4f}" for m in rows)
        lines.append(f"{type_:<14} {rows[0].n_true:>6}" + "".join(cells))
    return "\n".join(lines)
