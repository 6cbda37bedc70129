"""Lengths: texts that try the rules of UAX #29, of the pre-tokenizer and of added tokens."""

from __future__ import annotations

from itertools import product
from pathlib import Path

TAGGERS = [
    "bytes_length_v1",
    "doc_count_v1",
    "char_length_v1",
    "char_length_strip_ws_v1",
    "char_length_with_paragraphs_v1",
    "whitespace_tokenizer_v1",
    "whitespace_tokenizer_with_paragraphs_v1",
    "uniseg_length_v1",
    "uniseg_length_paragraphs_v1",
    "uniseg_length_paragraphs_with_empty_v1",
    "uniseg_length_paragraphs_with_doc_length_v1",
    "olmo_pretokenizer_v1",
    "olmo_pretokenizer_with_paragraphs_v1",
    "dolma_v1_tokenizer",
    "dolma_v2_tokenizer",
    "tokenizers_EleutherAI_GPT_NeoX_20B",
    "tokenizers_AI2_OLMo_v1",
]
#: one character of each class of Word_Break, and two that are Extended_Pictographic
CLASSES = "x\r\n\x0b\u0308\u200d\U0001f1e6\u00adカאa'\".:,1_ ⌚Ⓜ"
#: one of each class of the pre-tokenizer's patterns
PIECES = "a1½.$ \t\u3000é中\u0301\u0663'"

TEXTS = {
    "pairs of word-break classes": [("".join(a + b + a for a, b in product(CLASSES, repeat=2)), 1)],
    "pieces in a row": [("".join(a + b + c for a, b, c in product(PIECES, repeat=3)), 1)],
    "pieces on lines": [("\n".join(a + b for a, b in product(PIECES, repeat=2)), 1)],
    "words": [
        ('The quick ("brown") fox can\'t jump 32.3 feet, right? 1,234.5 a.b a..b a_b _1 x:y', 1),
        ("\nrock'n'roll l’été 10:30 3a4 .5 5. U.S.A. foo@bar.com don''t ’tis $5.00 ½ 2½", 1),
    ],
    "hebrew quotes": [('צה"ל ג\'ורג\' א\' א" א"א א\'א א\'1 א""א צה״ל ב״', 1)],
    "katakana": [("カタカナ_カナ ｶﾞ ーヽ カa カ1 ひらがな漢字カナ", 1)],
    "flags": [("🇩🇪🇫🇷🇯🇵🇩 🇩\u0301🇪🇫 🇩\u200d🇪 🇩a🇪", 1)],
    "emoji in sequences": [
        ("👩‍👩‍👧 👩\u200d\u200d👧 \u200d👧 a\u200d⌚", 1),
        (" Ⓜ\u200dⓂ 👍🏽👍 #️⃣ ☠\ufe0f 1\u200d⌚", 1),
    ],
    "format characters": [
        ("a\u00adb\u200e.\u200fc \u00ad\u0301", 1),
        (" a\u0301'\u0301b 1\u0301,\u00ad2", 1),
    ],
    "format characters first": [
        ("\u0301a\n\u200db\n\u00ad\n\u0301\u0308", 1),
        (" x\r\n\u0301\r\u0301\n", 1),
    ],
    "spaces of all kinds": [
        ("a \u0308 b  c \u2003 \u3000d \xa0 \xa0e", 1),
        (" \u202f\u2007f\u1680 \x1f \x85g", 1),
    ],
    "white space and marks": [
        ("", 1),
        (" \u0301\n\u3000\u0301\n\x1c\n \x1c \n\u2028x\u2029\u2028\n\u200b\n\x0b", 1),
    ],
    "thai, khmer, lao": [("ภาษาไทยง่ายนิดเดียว ខ្មែរ ພາສາລາວ မြန်မာ", 1)],
    "indic": [("नमस्ते दुनिया। தமிழ் ಕನ್ನಡ বাংলা १२३.४५ ൧", 1)],
    "numbers": [("½Ⅷ²③ ٣٤.٥ १२ 𝟗𝟗 1e5 0x1F 1_000 ៩ ㊿ 〇 一", 1)],
    "symbols": [
        ("a+b=c $x <y> ~z `w` ^v |u ¢£ ™© →→", 1),
        (" ∑∫ ¨ \ufffd\ue000 \U000e0041 ₠", 1),
    ],
    "letters since Unicode 11": [
        ("Ა ꟊ 𑄀 𐺰 ꟑ 𖩠 \u0870 𞤢 ᲊ 𐵐 \U00016d40", 1),
        (" \U000105c0 \u1c8a \ua7cb", 1),
    ],
    "joiners": [("a\u200cb \u200c a‿b ⁀ x\u2054y ＿ z\ufe33", 1)],
    "many combining marks": [("a:", 1), ("\u0301", 100_000), ("b", 1)],
    "special tokens": [
        ("<|endoftext|>the<|endoftext|> <|endoftext|>\n<|padding|> <|pad|>the <|end", 1),
        ("<|ENDOFTEXT|> |||EMAIL_ADDRESS||| x|||IP_ADDRESS|||y|||PHONE_NUMBER|||\n", 1),
    ],
    "a special token alone": [(" <|endoftext|>\n", 1)],
    "runs of spaces": [("".join(" " * n + "x" for n in range(1, 60)), 1), ("\t", 9), (" ", 30)],
    "code": [("def f(x):\n    return x['a'] + 12345\n\n\n\t\tif y:\r\n        pass # don't\n", 3)],
    "normalization": [
        ("e\u0301 \u0344 \u212b \uac00\u11a8 \u0958", 1),
        (" ﬁ \u1e9b\u0323 q\u0307\u0323", 1),
    ],
    "contractions": [
        ("I'm you're HE'S we'Ve THEY'LL 'S'T", 1),
        (" 's't're'll it’s it'\u017f", 1),
    ],
}  # fmt: skip

#: documents for which uniseg, which takes 5 microseconds a character or more, has no answer in the
#: time that is given: words, words that are not white space, characters
SLOW = {
    "5 MB on one line": (2_399_999.0, 1_350_000.0, 5_100_000),
    "a word of 3 MB": (1.0, 1.0, 3_000_000),
    "a word of 3 MB of three bytes each": (1_000_000.0, 1_000_000.0, 1_000_000),
    "a word of 3 MB with an @": (3.0, 3.0, 1_500_013),
    "3 MB with an @ and no space": (3.0, 3.0, 3_000_001),
}
BY_PARAGRAPH = {
    name: {"paragraph": [[0, size, visible]], "negative_paragraph": [[0, size, -visible]]}
    for name, (_, visible, size) in SLOW.items()
}
INSTEAD = {
    "uniseg_length_v1": {name: {"length": words} for name, (words, _, _) in SLOW.items()},
    "uniseg_length_paragraphs_v1": BY_PARAGRAPH,
    "uniseg_length_paragraphs_with_empty_v1": BY_PARAGRAPH,
    "uniseg_length_paragraphs_with_doc_length_v1": {
        name: BY_PARAGRAPH[name] | {"document": visible, "negative_document": -visible}
        for name, (_, visible, _) in SLOW.items()
    },
    # Dolma may take longer than that, too, on a machine that has other work.
    "olmo_pretokenizer_v1": {"5 MB on one line": {"length": 1_500_001.0}},
    "olmo_pretokenizer_with_paragraphs_v1": {
        "5 MB on one line": {"paragraph": [[0, 5_100_000, 1_500_001.0]], "document": 1_500_001.0}
    },
}

FOLDER = Path(__file__).parents[1] / "tokenizers"
TOKENIZERS = {
    "allenai/gpt-neox-olmo-dolma-v1_5": "neox.json",
    "allenai/dolma2-tokenizer": "dolma2.json",
    "EleutherAI/gpt-neox-20B": "neox.json",
    "allenai/eleuther-ai-gpt-neox-20b-pii-special": "dolma2.json",
}


class Local:
    """Stands for `tokenizers.Tokenizer` in Dolma's modules, which only ask it for hub ids."""

    @staticmethod
    def from_pretrained(name: str) -> object:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(FOLDER / TOKENIZERS[name]))


def prepare() -> None:
    """Give Dolma small tokenizers, made by `make_tokenizers.py`, in place of those of its hub."""
    import dolma.taggers.length
    import dolma.taggers.tokenizers

    dolma.taggers.length.Tokenizer = Local
    dolma.taggers.tokenizers.Tokenizer = Local
