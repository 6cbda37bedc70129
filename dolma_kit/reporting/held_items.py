"""Items of evaluations that documents hold: what `decontaminate` has listed, masked and cut.

Beside the attributes of an experiment lie `NAME.items.parquet`, each contaminated item with the
document that has most of it, and `NAME.sheet.csv`, a sample with the text of the item.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from typing import Any

from dolma_kit.errors import DataError
from dolma_kit.layout import Shard
from dolma_kit.reporting.answers import Held
from dolma_kit.reporting.masking import masked

MOST = 20
LONGEST = 300  # characters


def held_by(shards: Sequence[Shard]) -> list[Held]:
    """The items that documents hold most of, of each rule and benchmark the first, then others."""
    rows: list[dict[str, Any]] = []
    asked: dict[tuple[str, str, str], str] = {}
    for folder in dict.fromkeys(shard.attributes for shard in shards if shard.attributes):
        if not os.path.isdir(folder):
            continue
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name.endswith(".items.parquet"):
                rows += _rows(path)
            elif name.endswith(".sheet.csv"):
                asked |= _asked(path)
    chosen = _chosen(rows)
    texts = [asked.get((row["rule"], row["benchmark"], row["id"]), "") for row in chosen]
    pairs = zip(texts, (row["text"] or "" for row in chosen), strict=True)
    shown = masked([text[: 2 * LONGEST] for pair in pairs for text in pair])
    return [
        Held(
            rule=row["rule"], benchmark=row["benchmark"], item=row["id"],
            file=row["document_src"] or "", line=row["document_line"] or 0, share=row["share"],
            asked=item[:LONGEST] or None, matched=matched[:LONGEST] or None,
        )
        for row, item, matched in zip(chosen, shown[::2], shown[1::2], strict=True)
    ]  # fmt: skip


def _rows(path: str) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = [
        "rule", "benchmark", "id", "share", "common", "document_src", "document_line", "text",
    ]  # fmt: skip
    try:
        table = pq.read_table(path, columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise DataError(path, None, f"is no list of items: {error}") from None
    return [row for row in table.to_pylist() if not row["common"]]


def _asked(path: str) -> dict[tuple[str, str, str], str]:
    """(rule, benchmark, item) -> the item's text."""
    with open(path, encoding="utf-8", newline="") as stream:
        return {
            (row["rule"], row["benchmark"], row["item"]): row["item_text"]
            for row in csv.DictReader(stream)
            if row.get("item_text")
        }


def _chosen(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most MOST: of every rule and benchmark one, before a second of any."""
    ranked = sorted(rows, key=lambda r: (-r["share"], r["rule"], r["benchmark"], r["id"]))
    nth: dict[tuple[str, str], int] = {}
    keyed = []
    for row in ranked:
        group = row["rule"], row["benchmark"]
        nth[group] = nth.get(group, -1) + 1
        keyed.append((nth[group], row))
    return [row for _, row in sorted(keyed, key=lambda pair: pair[0])][:MOST]
