"""Sources through the pipeline: documents, bytes and words in and out, tokens, epochs."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from typing import Any

import msgspec

from dolma_kit.errors import DataError
from dolma_kit.order.tokens_json import NAME as TOKENS_JSON
from dolma_kit.reporting.answers import Corpus, RunExposure, Share, Tokens
from dolma_kit.reporting.inventory import Inventory


def tokens_in(inventory: Inventory, folder: str) -> Tokens:
    """What a folder of token files holds, by source; of files that are there."""
    path = os.path.join(folder, TOKENS_JSON)
    with open(path, "rb") as stream:
        try:
            about = msgspec.json.decode(stream.read(), type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise DataError(path, None, f"is no description of tokens: {error}") from None
    return Tokens(
        folder=inventory.seen_from_root(folder), about=about, sources=_by_source(folder)
    )  # fmt: skip


def _by_source(folder: str) -> dict[str, dict[str, int]]:
    import duckdb

    tables = sorted(glob.glob(os.path.join(glob.escape(folder), "part-*.docs.parquet")))
    if not tables:
        return {}
    connection = duckdb.connect(":memory:")
    try:
        rows = connection.execute(
            "SELECT coalesce(source, ''), count(*), coalesce(sum(\"end\" - start), 0)::BIGINT "
            "FROM read_parquet(?) GROUP BY ALL ORDER BY ALL",
            [tables],
        ).fetchall()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise DataError(tables[0], None, f"cannot be read as documents: {reason}") from None
    finally:
        connection.close()
    return {source: {"documents": n, "tokens": tokens} for source, n, tokens in rows}


def composition(
    corpora: Sequence[Corpus], tokens: Sequence[Tokens], runs: Sequence[RunExposure]
) -> list[Share]:
    """A row a source, by name; columns of what is not known are null.

    Tokens are those of all folders; epochs those of the first run that knows its sources.
    """
    amounts = {
        one.role: _amounts(one.answers["summary"])
        for one in corpora
        if one.role != "other" and "summary" in one.answers
    }
    counted: dict[str, int] = {}
    for folder in tokens:
        for source, row in folder.sources.items():
            counted[source] = counted.get(source, 0) + row["tokens"]
    total = sum(counted.values())
    epochs = _epochs(runs)
    went_in, mixed = amounts.get("sources", {}), amounts.get("mixed", {})
    rows = []
    for source in sorted(went_in.keys() | mixed.keys() | counted.keys()):
        read, written = went_in.get(source, {}), mixed.get(source, {})
        n_tokens = counted.get(source, 0 if counted else None)
        rows.append(
            Share(
                source=source,
                documents_in=read.get("documents"),
                bytes_in=read.get("bytes"),
                words_in=read.get("words"),
                documents_out=written.get("documents", 0 if mixed else None),
                bytes_out=written.get("bytes", 0 if mixed else None),
                words_out=written.get("words", 0 if mixed else None),
                tokens=n_tokens,
                token_share=round(n_tokens / total, 6) if total and n_tokens is not None else None,
                epochs=epochs.get(source),
            )
        )
    return rows


def _amounts(summary: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {source: said["amount"] for source, said in summary["sources"].items()}


def _epochs(runs: Sequence[RunExposure]) -> dict[str, float]:
    for run in runs:
        rows = run.exposures[-1].sources if run.exposures else []
        if rows:
            return {
                row.source: round(row.tokens / row.available_tokens, 4)
                for row in rows
                if row.available_tokens
            }
    return {}
