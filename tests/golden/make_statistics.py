"""Makes `statistics/`: partials of a small corpus, as version 1 of the format is.

    python tests/golden/make_statistics.py

`<statistic>.parquet` is its `whole.parquet`; `rows.jsonl` has the notes and rows of each, a line a
statistic. Made once; a later version of the format gets files of its own beside these.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dolma_kit.statistics.stage import stats

GOLDEN = Path(__file__).parent / "statistics"
NAMES = ("summary", "lengths", "urls", "dates", "licenses", "ngrams", "duplicates")
DOCUMENTS: list[dict[str, Any]] = [
    {"id": "1", "text": "a b a b c 😀", "source": "web", "created": "2023-05-17",
     "metadata": {"url": "https://www.bbc.co.uk/a", "license": "CC-BY-4.0"}},
    {"id": "2", "text": "", "source": "web", "metadata": {"url": "man page"}},
    {"id": "3", "text": "a b\nÜber", "created": "02/03/2021", "metadata": {"url": 7}},
    {"id": "4", "text": "a b\nÜber", "created": "?", "metadata": None},
    {"id": "5", "text": " \n", "source": "books",
     "metadata": {"url": "http://Bücher.de", "license": ["MIT", "mit"]}},
]  # fmt: skip


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    found = []
    with tempfile.TemporaryDirectory() as place:
        documents = Path(place) / "documents"
        documents.mkdir()
        for name, some in (("a.jsonl", DOCUMENTS[:3]), ("b.jsonl", DOCUMENTS[3:])):
            lines = [json.dumps(document, ensure_ascii=False) + "\n" for document in some]
            (documents / name).write_text("".join(lines))
        out = Path(place) / "stats"
        stats(names=list(NAMES), documents=[str(place)], out=str(out), n=[1, 2, 3], workers=1)
        for name in NAMES:
            path = GOLDEN / f"{name}.parquet"
            shutil.copyfile(out / name / "whole.parquet", path)
            table = pq.read_table(path)
            header = json.loads(table.schema.metadata[b"dolma_kit_statistics"])
            assert (header["version"], header["statistic"]) == (1, name)
            made = {
                "statistic": name,
                "notes": header["notes"],
                "columns": [[field.name, str(field.type)] for field in table.schema],
                "rows": [list(row.values()) for row in table.to_pylist()],
            }
            found.append(json.dumps(made, ensure_ascii=False) + "\n")
    (GOLDEN / "rows.jsonl").write_text("".join(found))


if __name__ == "__main__":
    main()
