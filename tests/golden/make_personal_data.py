"""Makes the tables that `pii_v3` decides by, and the examples that its tests hold it to.

    python tests/golden/make_personal_data.py [FOLDER ...]

Each FOLDER holds an older `phonenumbers`, whose lengths stay in the table of calling codes, as they
stay in texts: 8.8.0 of 2017. Needs `phonenumbers==9.0.43` (numbering plans; Apache-2.0),
`python-stdnum==2.2` (its `iban.dat`, lines of the ISO 13616 registry) and `tldextract==5.4.0` (its
list of top-level domains); none of them is needed to run or to test dolma-kit. Writes

    taggers/data/calling_codes.csv              code, then `length:first digits` of its numbers
    taggers/data/north_american_area_codes.txt  those in use
    taggers/data/iban.csv                       country, structure of what follows the check digits
    taggers/data/top_level_domains.txt          as they are written, and as `xn--`
    tests/golden/personal_data/phone_numbers.csv  the library's example numbers of every region

Tables are made once and then kept: a later edition of a numbering plan would change what an id
finds.
"""

from __future__ import annotations

import csv
import os
import re
import re._parser as parser
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType

ROOT = Path(__file__).parents[2]
DATA = ROOT / "taggers" / "data"
Shapes = set[tuple[str, int]]  # (first digit, length)


def shapes(pattern: str, limit: int = 18) -> Shapes:
    """The first digits and lengths of what a pattern matches."""

    def of(items: parser.SubPattern | list[object]) -> Shapes:
        made: Shapes = {("", 0)}
        for code, value in items:  # type: ignore[misc]
            made = joined(made, of_item(str(code), value))
        return made

    def joined(left: Shapes, right: Shapes) -> Shapes:
        return {
            (first or first_right, n + n_right)
            for first, n in left
            for first_right, n_right in right
            if n + n_right <= limit
        }

    def of_item(code: str, value: object) -> Shapes:
        if code == "LITERAL":
            return {(chr(value), 1)}
        if code == "IN":
            found: Shapes = set()
            for kind, what in value:
                if str(kind) == "LITERAL":
                    found.add((chr(what), 1))
                elif str(kind) == "RANGE":
                    found |= {(chr(c), 1) for c in range(what[0], what[1] + 1)}
                else:
                    assert str(what) == "CATEGORY_DIGIT", what
                    found |= {(d, 1) for d in "0123456789"}
            return found
        if code == "BRANCH":
            return set().union(*(of(branch) for branch in value[1]))
        if code == "SUBPATTERN":
            return of(value[3])
        if code == "MAX_REPEAT":
            least, most, body = value
            once, made, total = of(body), {("", 0)}, set()
            for n in range(min(most, limit) + 1):
                if n >= least:
                    total |= made
                made = joined(made, once)
            return total
        raise ValueError(code)

    return of(parser.parse(pattern))


def all_calling_codes(folders: list[str]) -> list[list[str]]:
    """Those of the library as installed, and the lengths that only older ones have.

    Older plans say little about first digits: 0 is left out where the new one has none.
    """
    plans: dict[str, dict[str, str]] = {}
    for folder in ["", *folders]:
        variables = os.environ | {"PYTHONPATH": os.pathsep.join([folder, *sys.path])}
        command = [sys.executable, __file__, "--calling-codes"]
        made = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
        for code, plan in csv.reader(made.stdout.splitlines()):
            known = plans.setdefault(code, {})
            has_zero = not known or any("0" in firsts for firsts in known.values())
            for length, _, firsts in (item.partition(":") for item in plan.split()):
                known.setdefault(length, firsts if has_zero else firsts.replace("0", ""))
    return [
        [code, " ".join(f"{n}:{plan[n]}" for n in sorted(plan, key=int))]
        for code, plan in sorted(plans.items())
    ]


def calling_codes() -> list[list[str]]:
    """Code, and its plan, of the library as installed."""
    rows = []
    for code, regions in sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items(), key=str):
        found: Shapes = set()
        for region in regions:
            metadata = (
                PhoneMetadata.metadata_for_nongeo_region(code)
                if region == "001"
                else PhoneMetadata.metadata_for_region(region)
            )
            general = metadata.general_desc
            found |= {
                (first, n)
                for first, n in shapes(general.national_number_pattern)
                if n in general.possible_length
            }
        lengths = sorted({n for _, n in found})
        plan = [f"{n}:{''.join(sorted(f for f, m in found if m == n))}" for n in lengths]
        rows.append([str(code), " ".join(plan)])
    return rows


def area_codes() -> list[str]:
    """North American area codes under which some number is valid."""
    return [
        str(n)
        for n in range(200, 1000)
        if any(
            phonenumbers.is_valid_number(phonenumbers.parse(f"+1{n}{line}"))
            for line in ("5550100", "2345678", "9765432", "4567890")
        )
    ]


def examples() -> list[list[str]]:
    rows = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for name in ("FIXED_LINE", "MOBILE"):
            number = phonenumbers.example_number_for_type(region, getattr(PhoneNumberType, name))
            if number is not None:
                forms = ("E164", "INTERNATIONAL", "NATIONAL")
                written = [
                    phonenumbers.format_number(number, getattr(PhoneNumberFormat, form))
                    for form in forms
                ]
                rows.append([region, name.lower(), *written])
    return rows


def ibans() -> list[list[str]]:
    text = (files("stdnum") / "iban.dat").read_text(encoding="utf-8")
    return [
        list(pair) for pair in re.findall(r'^([A-Z]{2}) country=".*?" bban="(.*?)"', text, re.M)
    ]


def top_level_domains() -> list[str]:
    text = (files("tldextract") / ".tld_set_snapshot").read_text(encoding="utf-8")
    official = text.split("// ===BEGIN ICANN DOMAINS===")[1].split("// ===END ICANN")[0]
    rules = [line.split()[0] for line in official.splitlines() if re.match(r"[^/\s]", line)]
    names = {rule.lstrip("*!.").rsplit(".", 1)[-1] for rule in rules}
    return sorted(names | {name.encode("idna").decode() for name in names})


def write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([header, *rows])


def main() -> None:
    if sys.argv[1:] == ["--calling-codes"]:
        csv.writer(sys.stdout, lineterminator="\n").writerows(calling_codes())
        return
    write(DATA / "calling_codes.csv", ["code", "plan"], all_calling_codes(sys.argv[1:]))
    write(DATA / "iban.csv", ["country", "structure"], ibans())
    for name, lines in (
        ("north_american_area_codes.txt", area_codes()),
        ("top_level_domains.txt", top_level_domains()),
    ):
        (DATA / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    folder = Path(__file__).with_name("personal_data")
    folder.mkdir(exist_ok=True)
    header = ["region", "kind", "e164", "international", "national"]
    write(folder / "phone_numbers.csv", header, examples())


if __name__ == "__main__":
    main()
