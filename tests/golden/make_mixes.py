"""Makes `mixes.json`: what the mixer of `dolma` 1.2.1, in its Python, writes for many streams.

    python tests/golden/make_mixes.py

Documents, their attributes as JSONL has them, streams, and the ids and texts that Dolma writes for
each stream. No two spans overlap, as Dolma would leave a part of the second in the text.
"""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RANDOM = random.Random(11)
WORDS = ["alpha", "beta", "é", "日本", "x@y.org", "1.2.3.4", "😀", "line\n", "tail\n", "a b"]


def rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    documents, attributes = [], []
    for i in range(60):
        words = [RANDOM.choice(WORDS) for _ in range(RANDOM.randrange(0, 9))]
        text = " ".join(words)
        own: dict[str, Any] = {"t__len__length": [[0, len(text), float(len(text))]]}
        at, mails, numbers = 0, [], []
        for word in words:
            span = [at, at + len(word), round(RANDOM.random(), 2)]
            if "@" in word:
                mails.append(span)
            if word[0].isdigit():
                numbers.append(span)
            at += len(word) + 1
        if mails:
            own["t__pii__EMAIL_ADDRESS"] = mails
        if numbers:
            own["t__pii__IP_ADDRESS"] = numbers
        own["t__pii__doc_count"] = [[0, len(text), float(len(mails) + len(numbers))]]
        if RANDOM.random() < 0.7:
            own["dup"] = [[0, 5, 1]] if RANDOM.random() < 0.4 else []
        metadata: dict[str, Any] = {"n": i, "name": f"<n{i}>", "lang": RANDOM.choice(["en", "de"])}
        documents.append({"id": f"d{i}", "text": text, "source": "s", "metadata": metadata})
        attributes.append(own)
    return documents, attributes


FILTERS: list[dict[str, Any]] = [
    {"exclude": ["$.attributes[?(@.t__len__length[0][2] < 20)]"]},
    {"include": ["$.attributes[?(@.t__len__length[0][2] >= 10.0)]"],
     "exclude": ["$@.attributes[?(@.dup && @.dup[0] && @.dup[0][2] >= 1.0)]"]},
    {"exclude": ["$@.attributes[?(@.dup && @.dup[0] && @.dup[0][2] >= 1)]"]},
    {"exclude": ["$.attributes.dup"]},
    {"include": ["$.attributes.dup[0]", "$.metadata[?(@.n > 50)]"]},
    {"exclude": ["$.attributes[?(@.t__pii__doc_count[0][2] > 2)]",
                 "$.metadata[?(@.lang == 'de')]", "$.attributes[?(@.nobody[0][2] > 1)]"]},
    {"include": ["$.attributes.t__pii__IP_ADDRESS[?(@[2] > 0.5)]"]},
    {"include": [".metadata.lang == \"en\""], "syntax": "jq"},
    {"exclude": [".attributes.dup | length > 0", ".attributes.t__len__length[0][2] < 10"],
     "syntax": "jq"},
    {"exclude": ["[.attributes.t__pii__IP_ADDRESS[]?[2]] | add > 1"], "syntax": "jq"},
    {"include": [".attributes.dup", ".metadata.n % 7"], "syntax": "jq"},
    {"include": [".attributes.t__pii__EMAIL_ADDRESS[]?[2] > 0.3"], "syntax": "jq"},
    {"exclude": [".metadata | select(.n < 10) | .lang"], "syntax": "jq"},
]  # fmt: skip
REPLACEMENTS: list[list[dict[str, Any]]] = [
    [{"span": "$.attributes.t__pii__EMAIL_ADDRESS", "min_score": 0.5,
      "replacement": " |||EMAIL_ADDRESS||| "}],
    [{"span": "$.attributes.t__pii__EMAIL_ADDRESS", "max_score": 0.5, "replacement": ""},
     {"span": "$.attributes.t__pii__IP_ADDRESS", "min_score": 0.2, "max_score": 0.9,
      "replacement": "<{}>"}],
    [{"span": ".attributes.t__pii__IP_ADDRESS", "min_score": 0.0, "replacement": "$.metadata.name",
      "syntax": "jq"}],
    [{"span": "$.attributes.nobody", "min_score": 0.0, "replacement": "x"}],
]  # fmt: skip


def streams() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"filter": one} for one in FILTERS]
    made += [{"span_replacement": one} for one in REPLACEMENTS]
    made.append({"filter": FILTERS[0], "span_replacement": REPLACEMENTS[1]})
    made.append({"span_replacement": REPLACEMENTS[0], "min_text_length": 12})
    return made


def main() -> None:
    documents, attributes = rows()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for kind in ("documents", "attributes/t"):
            (folder / "s" / kind).mkdir(parents=True)
        with gzip.open(folder / "s/documents/a.jsonl.gz", "wt") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in documents)
        with gzip.open(folder / "s/attributes/t/a.jsonl.gz", "wt") as stream:
            stream.writelines(
                json.dumps({"id": row["id"], "attributes": own}) + "\n"
                for row, own in zip(documents, attributes, strict=True)
            )
        full = []
        for i, one in enumerate(streams()):
            output = {"path": f"{place}/{i}/documents", "max_size_in_bytes": 10**9,
                      "min_text_length": one.get("min_text_length", 0)}  # fmt: skip
            rules = {k: v for k, v in one.items() if k != "min_text_length"}
            full.append({"name": f"s{i}", "documents": [f"{place}/s/documents/*.gz"],
                         "attributes": ["t"], "output": output, **rules})  # fmt: skip
        (folder / "config.json").write_text(json.dumps({"streams": full, "processes": 1}))
        command = [sys.executable, "-I", "-m", "dolma.cli", "-c", f"{place}/config.json", "mix"]
        subprocess.run(command, check=True, capture_output=True)
        written = []
        for i in range(len(full)):
            (path,) = (folder / f"{i}/documents").glob("*.gz")
            with gzip.open(path, "rt") as lines:
                kept = map(json.loads, lines)
                written.append([[row["id"], row["text"]] for row in kept])
    golden = {"documents": documents, "attributes": attributes, "streams": streams(),
              "written": written}  # fmt: skip
    text = json.dumps(golden, ensure_ascii=False, indent=0)
    Path(__file__).with_name("mixes.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
