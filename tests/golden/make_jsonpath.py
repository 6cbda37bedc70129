"""Makes `jsonpath.json`: which documents the mixer of `dolma` 1.2.1, in its Python, finds.

    python tests/golden/make_jsonpath.py

Each expression is the only `exclude` of a stream of its own over the same documents; what the
stream leaves out, it found. An expression that Dolma cannot read has null.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

DOCUMENTS: list[dict[str, Any]] = [
    {"attributes": {},
     "metadata": {"length": 5, "lang": "en", "l": 1, "s": "it's", "k": {"a b": 1}}},
    {"attributes": {"x": [[0, 5, 0.7]], "n": 1}, "metadata": {"length": 50, "s": "abc", "l": 2}},
    {"attributes": {"x": [[0, 5, 0.2], [1, 2, 0.9]], "n": 1.0}, "metadata": {"s": "é", "l": "x"}},
    {"attributes": {"x": [], "n": "1"}, "metadata": {"b": True, "l": None, "m": [1, 2]}},
    {"attributes": {"x": [[0, 5, 1.0]], "y": [[0, 11, 3.0]], "n": None}},
    {"attributes": {"y": [[0, 11, 1.0]], "n": True},
     "metadata": {"lang": "de", "tags": ["p", "q"]}},
    {"attributes": {"x": [[0, 5, 1]], "my-key": [[0, 1, 2.5]], "n": [1, 2]}, "metadata": {}},
    {"attributes": {"z": [[0, 5, 2.0]]},
     "metadata": {"length": None, "a": {"length": 2, "b": [{"c": 1}, {"c": 5}]}}},
    {"attributes": {"x": [[0, 5, 2.0], [5, 6, 3.0]], "z": [[0, 5, 2.0]]},
     "metadata": {"s": "", "b": False, "e": {}, "l": True, "m": [[1]]}},
    {"attributes": {"x": [[0, 11, 0.5], [3, 4, 0.7]]}, "source": "other",
     "metadata": {"l": [1, 2], "t": ["p", "q"], "u": ["p"], "s": "tab\there"}},
]  # fmt: skip


def main() -> None:
    here = Path(__file__).parent
    expressions = (here / "jsonpath.txt").read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "s/documents").mkdir(parents=True)
        with gzip.open(folder / "s/documents/a.jsonl.gz", "wt") as stream:
            for i, document in enumerate(DOCUMENTS):
                row = {"id": f"{i}", "text": "hello world", "source": "s", **document}
                stream.write(json.dumps(row) + "\n")
        streams = [
            {
                "name": f"e{i}",
                "documents": [f"{place}/s/documents/*.gz"],
                "filter": {"include": [], "exclude": [expression], "syntax": "jsonpath"},
                "output": {"path": f"{place}/{i}", "max_size_in_bytes": 10**9},
            }
            for i, expression in enumerate(expressions)
        ]
        config = folder / "config.json"
        config.write_text(json.dumps({"streams": streams, "processes": 1}))
        command = [sys.executable, "-I", "-m", "dolma.cli", "-c", str(config), "mix"]
        subprocess.run(command, check=False, capture_output=True)
        golden: dict[str, list[int] | None] = {}
        for i, expression in enumerate(expressions):
            found = list((folder / str(i)).glob("*.gz"))
            if not found:
                golden[expression] = None
                continue
            kept = {int(json.loads(line)["id"]) for path in found for line in gzip.open(path, "rt")}
            golden[expression] = [k for k in range(len(DOCUMENTS)) if k not in kept]
    text = json.dumps({"documents": DOCUMENTS, "found": golden}, ensure_ascii=False, indent=0)
    (here / "jsonpath.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
