"""What `dolma tokens` makes of awkward documents; run in an environment that has dolma 1.2.1.

    python -I tests/golden/make_dolma_tokens.py

Writes dolma_tokens.json beside itself: the documents, and by setting the ids of those that are
written, as the package's `tokenize_file` gives them with tests/golden/tokenizers/dolma2.json, or
`neox.json`.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

from dolma.tokenizer.tokenizer import tokenize_file

HERE = Path(__file__).parent
TEXTS = [
    "plain words, and a number 12345",
    "  white space around \n\n",
    "\u2003\u00a0\x1c inner \x85 ends \u3000",
    "", "   \n\t ", "\u200b",
    "<|endoftext|>", "ends itself<|endoftext|>", "<|endoftext|>begins",
    "in the <|endoftext|> middle", "two<|endoftext|><|endoftext|>", "<|endoftext|>  ",
    "mail |||EMAIL_ADDRESS||| and |||IP_ADDRESS|||", "<|fim_prefix|>x<|pad|>", "e\u0301\u0323 NFC",
    "a\r\nb\rc", "I'm HE'S they'LL",
]  # fmt: skip


def ids_of(path: Path, tokenizer: str, **settings: Any) -> list[list[int]]:
    name = str(HERE / "tokenizers" / tokenizer)
    return [list(map(int, out.tokens)) for out in tokenize_file(name, str(path), **settings)]


def main() -> None:
    found: dict[str, Any] = {"texts": TEXTS, "cases": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl.gz"
        lines = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(TEXTS)]
        path.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
        for tokenizer in ("dolma2.json", "neox.json"):
            added = json.loads((HERE / "tokenizers" / tokenizer).read_text())["added_tokens"]
            eos = next(a["id"] for a in added if a["content"] == "<|endoftext|>")
            for settings in ({"eos_token_id": eos}, {"eos_token_id": eos, "bos_token_id": eos}):
                ids = ids_of(path, tokenizer, **settings)
                found["cases"].append({"tokenizer": tokenizer, "settings": settings, "ids": ids})
    (HERE / "dolma_tokens.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
