"""Makes tests/golden/tokenizers/*.json: small tokenizers that stand for those of Dolma's taggers.

    python tests/golden/make_tokenizers.py

runs in the environment of `make_dolma_taggers.py`. `neox.json` is built like GPT-NeoX's (NFC,
GPT-2's pattern, runs of spaces and masked data as added tokens), but adds EOS to a text where asked
to add special tokens; `dolma2.json` is built like OLMo 2's and adds none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

FOLDER = Path(__file__).parent / "tokenizers"
MERGES = (
    "t h|th e|Ġ the|i n|a n|e r|Ġ a|o n|r e|an d|Ġ and|Ġ t|o u|Ġ c|Ġ w|a t|in g|' s|Ċ Ċ|Ġ Ġ|ĠĠ ĠĠ|"
    "1 2|12 3|č Ċ|Ì ģ|e Ì|Ã ©|ä ¸|. .|.. .|- -|Ġ 1|= =|na na|n a|Ġ na|Ċ Ġ"
)
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
EOS = "<|endoftext|>"
MASKS = ["|||IP_ADDRESS|||", "|||EMAIL_ADDRESS|||", "|||PHONE_NUMBER|||"]


def bytes_and_merges() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(a, b) for a, b in (merge.split(" ") for merge in MERGES.split("|"))]
    known = set(alphabet)
    usable = []
    for a, b in merges:
        if {a, b} <= known and a + b not in known:
            known.add(a + b)
            usable.append((a, b))
    vocab = {token: i for i, token in enumerate([*alphabet, *(a + b for a, b in usable)])}
    return Tokenizer(models.BPE(vocab=vocab, merges=usable))


def neox() -> dict[str, Any]:
    tokenizer = bytes_and_merges()
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    spaces = [AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)]
    tokenizer.add_tokens([*(AddedToken(mask, normalized=True) for mask in MASKS), *spaces])
    tokenizer.add_special_tokens([AddedToken("<|padding|>"), AddedToken(EOS)])
    made: dict[str, Any] = json.loads(tokenizer.to_str())
    eos = tokenizer.token_to_id(EOS)
    made["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": EOS, "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {EOS: {"id": EOS, "ids": [eos], "tokens": [EOS]}},
    }
    return made


def dolma2() -> dict[str, Any]:
    tokenizer = bytes_and_merges()
    split = pre_tokenizers.Split(Regex(CL100K), behavior="removed", invert=True)
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_only])
    tokenizer.add_tokens([AddedToken(mask, normalized=False) for mask in MASKS])
    tokenizer.add_special_tokens([AddedToken(EOS), AddedToken("<|pad|>")])
    made: dict[str, Any] = json.loads(tokenizer.to_str())
    return made


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for make in (neox, dolma2):
        line = json.dumps(make(), ensure_ascii=True)
        (FOLDER / f"{make.__name__}.json").write_text(line + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
