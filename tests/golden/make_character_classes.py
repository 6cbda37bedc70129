"""Makes dolma_kit/kernels/data/*.txt: what the libraries of Dolma's taggers say of each code point.

    python tests/golden/make_character_classes.py

runs in the environment of `make_dolma_taggers.py`, which has uniseg 0.10.1, regex 2026.11.19 and
tokenizers 0.19.1. `dolma_kit/kernels/character_classes.py` describes the format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "dolma_kit" / "kernels" / "data"
CODE_POINTS = range(0x110000)
SURROGATES = range(0xD800, 0xE000)
PORTION = 1 << 12

Classes = Callable[[int], str]


def word_break() -> Classes:
    """Word_Break of Unicode's UAX #29, and Extended_Pictographic of UTS #51."""
    from uniseg.emoji import extended_pictographic
    from uniseg.wordbreak import word_break

    def classes(n: int) -> str:
        named = word_break(chr(n)).value.replace("Other", "")
        return f"{named} {'Extended_Pictographic' if extended_pictographic(chr(n)) else ''}".strip()

    return classes


def word_characters() -> Classes:
    """`\\w` and `\\s` of the library regex."""
    import regex

    word, space = regex.compile(r"\w"), regex.compile(r"\s")
    return lambda n: "word" if word.match(chr(n)) else "space" if space.match(chr(n)) else ""


def pre_tokens() -> Classes:
    """The classes in the patterns of Dolma's pre-tokenizer, as Oniguruma has them."""
    patterns = {
        "punct": "[[:punct:]]",
        "digit": r"\d",
        "space": r"\s",
        "letter": r"\p{L}",
        "number": r"\p{N}",
    }
    found = {name: matching(pattern) for name, pattern in patterns.items()}
    return lambda n: " ".join(name for name, holds in found.items() if n in holds)


def matching(pattern: str) -> set[int]:
    """The code points that a pattern of `tokenizers` matches."""
    from tokenizers import Regex, pre_tokenizers

    remove = pre_tokenizers.Split(Regex(pattern), "removed")
    code_points = [n for n in CODE_POINTS if n not in SURROGATES]
    found = set(code_points)
    for start in range(0, len(code_points), PORTION):
        portion = code_points[start : start + PORTION]
        for _, (a, b) in remove.pre_tokenize_str("".join(map(chr, portion))):
            found.difference_update(portion[a:b])
    return found


def runs(classes: Classes) -> Iterable[str]:
    """A line for each run of code points that have the same classes, but for those with none."""
    first, named = 0, classes(0)
    for n in [*CODE_POINTS, None]:
        now = None if n is None else classes(n)
        if now != named:
            last = (0x110000 if n is None else n) - 1
            if named:
                yield f"{first:04X}..{last:04X} {named}\n"
            first, named = (0 if n is None else n), now


FILES: dict[str, tuple[str, Callable[[], Classes]]] = {
    "word_break": ("uniseg", word_break),
    "word_characters": ("regex", word_characters),
    "pre_tokens": ("tokenizers", pre_tokens),
}


def main() -> None:
    for name, (library, make) in FILES.items():
        head = f"# {make.__doc__} By {library} {version(library)}.\n"
        path = FOLDER / f"{name}.txt"
        path.write_text(head + "".join(runs(make())), encoding="ascii", newline="\n")


if __name__ == "__main__":
    main()
