"""Repetitions and paragraphs of punctuation; see `make_dolma_taggers.py`.

    python tests/golden/families/repetition.py

makes the small tokenizer that stands for Dolma's: of the same kind as GPT-NeoX's, learned from the
LICENSE of this repository.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
TOKENIZER = HERE.parent / "repetition_tokenizer.json"
LICENSE = HERE.parents[2] / "LICENSE"
VOCAB_SIZE = 800
TAGGERS = [
    "repetitions_v1",
    "paragraph_repetitions_v1",
    "tokenizer_repetitions_v1",
    "paragraph_tokenizer_repetitions_v1",
    "tokenizer_repetitions_v2r2",
    "not_alphanum_paragraph_v1",
]
TEXTS = {
    "three times": [("abc", 3), ("\n", 1), ("x yz ", 3), ("\n", 1), ("the ", 3)],
    "four times": [("abc", 4), ("\n", 1), ("x yz ", 4), ("\n", 1), ("the ", 4)],
    "four times less a space": [("x yz ", 3), ("x yz\n", 1), ("of the ", 3), ("of the", 1)],
    "gaps of all kinds": [("ab ab\tab\u3000ab\x1fab\u2028ab abab  ab\nab ab ab", 1)],
    "gaps here and not there": [("abab ab ab\nab abab ab\nab ababab\nababab ab\nab ab  ab ab", 1)],
    "lines repeated": [("foo bar\n", 4), ("x\n\n", 4), ("\ny", 4)],
    "a unit across lines": [("a\nb", 5), ("\n", 1), ("c d\ne f\n", 5)],
    "line breaks for gaps": [("wow\n", 3), ("wow", 1), ("wow\n", 5), (" wow", 2)],
    "white space repeated": [("a", 1), (" ", 7), ("b \t \t \t \t\tc", 1), ("\t\x1f", 6), ("\n", 2)],
    "spaces between spaces": [("  \t  \t  \t  x\u3000 \u3000 \u3000 \u3000 \n", 2), (" ", 3)],
    "a shorter unit first": [("aab", 5), ("abab", 3), ("xyxyxyx", 2)],
    "a unit with spaces": [("a b ", 9), ("\n", 1), ("a  b ", 4), ("  c", 4)],
    "all but one": [("abcdefgh" * 3 + "abcdefg", 1), ("\n", 1), ("ab" * 3 + "a", 1)],
    "characters of many bytes": [
        ("é", 4), ("日本語", 4), (" 👍🏽", 5), ("e\u0301", 6), ("\u0301", 6),
    ],
    "one after the other": [("a", 5), ("b", 5), ("ab", 5), ("ba ", 5), ("a", 3)],
    "a rule and a table": [("-" * 60 + "\n| a | b |\n" + "=" * 7 + " " * 9 + "+---+---+---+\n", 4)],
    "long units": [("the quick brown fox and the lazy dog, twelve of them; ", 6), ("\n", 3)],
    "periods of 13 and 14": [
        ("a b c d e f g h i j k l m ", 4), ("a b c d e f g h i j k l m n ", 4),
    ],
    "periods within periods": [("a a a a b ", 5), ("x y x y x y z ", 5)],
    "words thrice": [("no no no yes yes yes\nhow how how are are are", 1)],
    "lone tokens": [("license", 4), (" license", 4), ("\n\n", 5), ("\t", 5), ("  ", 5), (" ", 9)],
    "special tokens": [("<|endoftext|>", 4), ("a<|endoftext|> ", 4), ("|||EMAIL_ADDRESS|||", 4)],
    "parts of special tokens": [("<|endoftext|", 4), (">", 1), ("|||EMAIL_ADDRESS|| ", 4)],
    "not normalized": [("e\u0301", 4), (" e\u0301a", 4), ("\u212b", 4), ("a\u0323\u0307", 5)],
    "normalized": [("\u00e9", 4), (" \u00e9a", 4), ("\u00c5", 4), ("\uac01", 5)],
    "a space before each line": [(" a a a a\n", 3), ("  a  a  a\n", 2), (" ", 4), ("\n ", 4)],
    "blocks of 100,000 characters": [("abc ", 24_999), ("xyz ", 9), ("n", 1), ("é ", 60_000)],
    "a block's end within a repetition": [("w ", 49_998), ("the the the the the the the", 1)],
    "exactly one block": [("v", 99_994), (" to to", 1)],
    "nested spans": [("la la la la la la la la la, la la la la. ", 4)],
    "punctuation": [("!!!\n...\n* * *\n\n--- \n?a\n¿?\n1.\n$+<=>^`|~\n§ © € ™\n—–… «»\n", 1)],
    "symbols of all kinds": [("₿\n∑∫\n♥\n⓪\nⒶ\nⓩ\n①\n②½\n℃\n№\n℠\n゠・\n〃\n々\n—\u00ad\n", 1)],
    "emoji alone": [("😀\n👍🏽\n❤\n❤\ufe0f\n👩\u200d👩\n🇩🇪\n#️⃣\n🥰🫠\n☃ ✂\n🚀 !\n🀄\n🃏\n", 1)],
    "newer than other tables": [("\u20c1\n\U0001fadc\n\U0001f8d0\n\U0001ccfa\n\U0001fae0 !\n", 1)],
    "unassigned": [("\U0001f6d8\n\U0001f6ed\n\U0001f6fd !\n\u0378\n\ufdd0\n", 1)],
    "a row of emoji and a letter": [("😀", 12), ("é\n", 1), ("!", 1000), ("é", 1)],
    "white space of two kinds": [
        ("!\x1c\n.\x1f?\n.\x85.\n.\u3000.\n.\u180e.\n.\u200b.\n.\ufeff.\n", 1),
    ],
    "not ASCII and no letters": [("٣٤\n中文\nпривет!\n＃＄％\nＡ！\n１\n！？\n", 1)],
    "punctuation with returns": [("...\r\n***\r\n\r\n??\r", 1)],
    "no paragraph of punctuation": [("a.\n\n b! \n", 1)],
}  # fmt: skip


def stretches(start: int, end: int, n_periods: int = 13) -> list[list[float]]:
    """A span for each period, in characters, of equal characters."""
    return [[start, end, float((end - start) // p)] for p in range(1, n_periods + 1)]


def blocks(start: int, end: int) -> list[list[float]]:
    """The same in blocks, of the nested spans the outermost."""
    starts = [start, *range(start - start % 100_000 + 100_000, end, 100_000)]
    return [[a, b, float(b - a)] for a, b in zip(starts, [*starts[1:], end], strict=True)]


def answer(spans: list[list[float]], n_characters: int) -> dict[str, object]:
    """All that a tagger says of a document."""
    lengths = [end - start for start, end, _ in spans]
    return {
        **({"repetition": spans} if spans else {}),
        "doc_max_score_repetition": max((score for _, _, score in spans), default=0.0),
        "doc_max_length_repetition": float(max(lengths, default=0)),
        "doc_frac_repetition": round(sum(lengths) / n_characters, 5),
    }


# Dolma takes 25 to 80 seconds for these, in which it says the same, and more for the last.
M, N = 1_000_000, 1_500_000
BOTH = sorted(
    [*stretches(0, N), *stretches(N + 1, 2 * N + 1)], key=lambda span: (-span[2], span[0])
)
BY_DOCUMENT = {
    "5 MB on one line": answer([], 5_100_000),
    "a word of 3 MB": answer(stretches(0, 3 * M), 3 * M),
    "a word of 3 MB of three bytes each": answer(stretches(0, M, 13 // 3), M),
    "a word of 3 MB with an @": answer(stretches(0, N), N + 13),
    "3 MB with an @ and no space": answer(BOTH, 2 * N + 1),
}
INSTEAD = {
    "tokenizer_repetitions_v1": BY_DOCUMENT,
    "paragraph_tokenizer_repetitions_v1": BY_DOCUMENT,
    "tokenizer_repetitions_v2r2": {
        "a word of 3 MB": answer(blocks(0, 3 * M), 3 * M),
        "a word of 3 MB of three bytes each": answer(blocks(0, M), M),
        "a word of 3 MB with an @": answer(blocks(0, N), N + 13),
        "3 MB with an @ and no space": answer([*blocks(0, N), *blocks(N + 1, 2 * N)], 2 * N + 1),
    },
}


def prepare() -> None:
    """Give Dolma the small tokenizer for the one that it would fetch."""
    from types import SimpleNamespace

    from dolma.taggers.repetitions import repetitions_taggers
    from tokenizers import Tokenizer

    repetitions_taggers.Tokenizer = SimpleNamespace(
        from_pretrained=lambda name: Tokenizer.from_file(str(TOKENIZER))
    )


def main() -> None:
    import json

    from tokenizers import AddedToken, Tokenizer, models, normalizers, trainers
    from tokenizers.pre_tokenizers import ByteLevel

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(LICENSE)], trainer)
    spaces = [" " * n for n in range(24, 1, -1)]
    tokenizer.add_tokens([AddedToken(s, normalized=True) for s in [*spaces, "|||EMAIL_ADDRESS|||"]])
    content = json.loads(tokenizer.to_str())
    content["post_processor"] = content["pre_tokenizer"]  # trims the places of tokens
    TOKENIZER.write_text(json.dumps(content) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
