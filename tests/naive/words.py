"""Plain twins of the kernels that count words: kernels.uax29, kernels.pre_tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from dolma_kit.kernels import pre_tokens, uax29

NAMES = {code: name for name, code in uax29.CODES.items()} | {uax29.OTHER: "Other"}
SKIPPED = ("Extend", "Format", "ZWJ")
NEWLINES = ("Newline", "CR", "LF")
LETTERS = ("ALetter", "Hebrew_Letter")
QUOTES = ("MidNumLet", "Single_Quote")


def is_boundary(text: str, at: int) -> bool:
    """Whether UAX #29 has a word boundary before `text[at]`, rule by rule."""
    table = uax29.word_break_table()
    classes = [NAMES[int(table[ord(c)]) & 31] for c in text]
    if at == 0:
        return True
    before, after = classes[at - 1], classes[at]
    if (before, after) == ("CR", "LF"):  # WB3
        return False
    if before in NEWLINES or after in NEWLINES:  # WB3a, WB3b
        return True
    if before == "ZWJ" and table[ord(text[at])] & uax29.PICTOGRAPHIC:  # WB3c
        return False
    if before == after == "WSegSpace":  # WB3d
        return False
    if after in SKIPPED:  # WB4
        return False
    behind = [c for c in classes[:at] if c not in SKIPPED]
    ahead = [c for c in classes[at + 1 :] if c not in SKIPPED]
    b = behind[-1] if behind else ""
    bb = behind[-2] if len(behind) > 1 else ""
    aa = ahead[0] if ahead else ""
    words = (*LETTERS, "Numeric", "Katakana", "ExtendNumLet")
    n_regional = len(behind)
    while n_regional and behind[n_regional - 1] == "Regional_Indicator":
        n_regional -= 1
    n_regional = len(behind) - n_regional
    return not (
        (b in LETTERS and after in LETTERS)  # WB5
        or (b in LETTERS and after in ("MidLetter", *QUOTES) and aa in LETTERS)  # WB6
        or (bb in LETTERS and b in ("MidLetter", *QUOTES) and after in LETTERS)  # WB7
        or (b == "Hebrew_Letter" and after == "Single_Quote")  # WB7a
        or (b == "Hebrew_Letter" and after == "Double_Quote" and aa == "Hebrew_Letter")  # WB7b
        or (bb == "Hebrew_Letter" and b == "Double_Quote" and after == "Hebrew_Letter")  # WB7c
        or (b == after == "Numeric")  # WB8
        or (b in LETTERS and after == "Numeric")  # WB9
        or (b == "Numeric" and after in LETTERS)  # WB10
        or (bb == "Numeric" and b in ("MidNum", *QUOTES) and after == "Numeric")  # WB11
        or (b == "Numeric" and after in ("MidNum", *QUOTES) and aa == "Numeric")  # WB12
        or (b == after == "Katakana")  # WB13
        or (b in words and after == "ExtendNumLet")  # WB13a
        or (b == "ExtendNumLet" and after in words)  # WB13b
        or (after == "Regional_Indicator" and n_regional % 2 == 1)  # WB15, WB16
    )


def uax29_words(text: str) -> list[str]:
    """kernels.uax29.words"""
    bounds = [i for i in range(len(text)) if is_boundary(text, i)] + [len(text)]
    return [text[a:b] for a, b in pairwise(bounds)]


def as_ascii(text: str, letter: Callable[[str], str]) -> str:
    """A text with each character as the letter of its class, for expressions that know letters."""
    return "".join(map(letter, text))


def runs(text: str) -> int:
    """kernels.pre_tokens.count_runs"""
    table = pre_tokens.word_table()
    classes = as_ascii(
        text, lambda c: {pre_tokens.WORD: "w", pre_tokens.SPACE: "s", 0: "o"}[int(table[ord(c)])]
    )
    return len(re.findall("w+|o+", classes))


def pieces(text: str) -> int:
    """kernels.pre_tokens.count_pieces: the three patterns, one after the other.

    `p` punctuation, `d` digit, `n` other number, `l` letter, ` ` the space, `s` other white space,
    `o` what else there is.
    """
    table = pre_tokens.piece_table()

    def letter(character: str) -> str:
        found = int(table[ord(character)])
        names = [(pre_tokens.PUNCT, "p"), (pre_tokens.DIGIT, "d"), (pre_tokens.BLANK, "s")]
        names += [(pre_tokens.LETTER, "l"), (pre_tokens.NUMBER, "n")]
        return (
            " " if character == " " else next((name for code, name in names if found & code), "o")
        )

    isolated = [p for p in re.split("( ?p)", as_ascii(text, letter)) if p]
    isolated = [q for p in isolated for q in re.split("( ?d)", p) if q]
    gpt2 = r" ?l+| ?[dn]+| ?[op]+|[ s]+(?![^ s])|[ s]+"
    return sum(len(re.findall(gpt2, p)) for p in isolated)
