"""`docs/taggers.md`: the taggers, made from their code and from what the benchmarks wrote.

    python -m dolma_kit.cli.catalogue

Of each tagger: id, keys and their kinds, and from its docstring the first sentence, what differs
from Dolma (after `Differs from Dolma:`) and the source (after `Source:`). `docs/parity.json` and
`docs/costs.json` are written by `benchmarks/parity_dolma.py` and `benchmarks/taggers.py`, and
`tests/golden/` has Dolma's names and its answers about awkward documents. A test fails while the
page differs.
"""

from __future__ import annotations

import inspect
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dolma_kit import registry
from dolma_kit.registry import Tagger

ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "tests" / "golden"
SHOWN_KEYS = 20

#: what Dolma's names begin with that are not offered -> why, and what to take instead
NOT_OFFERED = {
    "cld2_": ("not yet", "`language_v1`, `language_paragraphs_v1`"),
    "cld3_": ("not yet", "`language_en_v1`, `language_paragraphs_v1`"),
    "langdetect_": ("not yet", "`language_v1`, `language_paragraphs_v1`"),
    "lingua_": ("not yet", "`language_v1`, `language_paragraphs_v1`"),
    "pii_presidio_v1": ("not yet", "`pii_v3`"),
    "random_number_v1": ("depends on the process: no run gives its values again", "`random_v2`"),
}

HEAD = """# Taggers

Made from the code by `make docs`. `dolma-kit list taggers` prints the ids, `tag --profile` what
each costs on your texts.

A key is a **score**, one number a document, or **spans** of its text, each with a score; its column
is `experiment__id__key`. An id never changes its meaning: one of Dolma's gives the keys and values
of the package `dolma` 1.2.1, accidents included, but for what stands under *differs*; a corrected
rule has an id of its own.

*Parity* says of how many real documents all values were equal (`benchmarks/parity_dolma.py`), and
about how many awkward ones Dolma's own answers are kept in `tests/golden`, which the tests compare.
Where Dolma has a model or a list that has to be fetched, small ones of the same form stand for it
on both sides; [parity.md](parity.md) tells how. *ns/byte* is what one core takes for a byte of
text, ours / Dolma's, over real texts (`benchmarks/taggers.py`).
"""


class Words(NamedTuple):
    """What a docstring says: the first sentence, what differs from Dolma, the source."""

    about: str
    differs: str
    source: str


def words_of(part: type[Tagger]) -> Words:
    """The sentences of a docstring that the page shows, each without its end."""
    text = " ".join(inspect.cleandoc(part.__doc__ or "").split())
    about = re.split(r"(?<=[.:]) ", text, maxsplit=1)[0]
    differs = re.search(r"Differs from Dolma: (.*?)(?= Source: |$)", text)
    source = re.search(r"Source: (.*)$", text)
    return Words(
        about.rstrip(".:"),
        differs[1].rstrip(".") if differs else "",
        source[1].rstrip(".") if source else "",
    )


def keys_of(part: type[Tagger]) -> str:
    """The keys by kind; of a tagger that cannot be made without a model, where they come from."""
    if any(field.required for field in msgspec.structs.fields(part)):
        return "the model's labels"
    made = registry.tagger(part.id)
    shown = []
    for kind in ("score", "spans"):
        names = [f"`{key}`" for key, k in made.keys.items() if k == kind]
        if names:
            if len(names) > SHOWN_KEYS:
                names = [*names[:3], f"{len(names) - 3} more"]
            shown.append(f"{kind}: {', '.join(names)}")
    return "<br>".join(shown)


def dolmas_names() -> list[str]:
    return sorted(_read(GOLDEN / "dolma_taggers.json")["ids"])


def awkward_documents() -> dict[str, int]:
    """Id -> how many awkward documents Dolma was asked about under it."""
    found: dict[str, int] = {}
    for path in [GOLDEN / "dolma_taggers.json", *sorted((GOLDEN / "families").glob("*.json"))]:
        documents = _read(path)["documents"]
        for part_id in documents[0]["attributes"]:
            found[part_id] = found.get(part_id, 0) + len(documents)
    for part_id, answers in _read(GOLDEN / "dolma_models.json")["answers"].items():
        found[part_id] = found.get(part_id, 0) + len(answers)
    return found


def parity_of(part_id: str, real: Mapping[str, Any], awkward: Mapping[str, int]) -> str:
    shown = []
    if found := real.get(part_id):
        shown.append(f"{found['equal']:,} of {found['documents']:,}")
    if part_id in awkward:
        shown.append(f"{awkward[part_id]} awkward")
    return ", ".join(shown)


def cost_of(part_id: str, costs: Mapping[str, Any]) -> str:
    found = costs.get(part_id)
    if not found:
        return ""
    theirs = f" / {found['dolma']:,}" if found["dolma"] else ""
    return f"{found['ours']:,}{theirs}"


def page() -> str:
    real, costs = _read(ROOT / "docs" / "parity.json"), _read(ROOT / "docs" / "costs.json")
    awkward = awkward_documents()
    parts = registry.parts("taggers")
    names = dolmas_names()
    lines = [HEAD]

    def file_of(part: Any) -> str:
        return f"{part.__module__.replace('.', '/')}.py"

    by_file = sorted(parts.values(), key=lambda part: (file_of(part), part.id))
    for file, members in itertools.groupby(by_file, key=file_of):
        lines += [f"## {file}", ""]
        lines += ["| id | what | keys | differs from Dolma | parity | ns/byte | source |",
                  "|---|---|---|---|---|---|---|"]  # fmt: skip
        for part in members:
            assert issubclass(part, Tagger)
            said = words_of(part)
            differs = said.differs or ("nothing" if part.id in names else "an id of our own")
            parity, cost = parity_of(part.id, real, awkward), cost_of(part.id, costs)
            row = [f"`{part.id}`", said.about, keys_of(part), differs, parity, cost, said.source]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
        lines.append("")
    lines += ["## Dolma's names that are not offered", ""]
    lines += ["| names | why | instead |", "|---|---|---|"]
    lines += [f"| {ids} | {why} | {instead} |" for ids, why, instead in not_offered(names, parts)]
    offered = sum(name in parts for name in names)
    lines += ["", f"{offered} of Dolma's {len(names)} names are offered."]
    return "\n".join(lines) + "\n"


def not_offered(names: list[str], parts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Dolma's names that there is no tagger for, why, and what to take."""
    for prefix, (why, instead) in NOT_OFFERED.items():
        found = [name for name in names if name.startswith(prefix) and name not in parts]
        if found:
            yield ", ".join(f"`{name}`" for name in found), why, instead


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def main() -> None:
    (ROOT / "docs" / "taggers.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
