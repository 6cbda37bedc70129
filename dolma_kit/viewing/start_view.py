"""The first page: what the run is, where to go from here, and some examples to begin with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from dolma_kit import decisions, parquet
from dolma_kit.errors import BrokenFile, DolmaKitError
from dolma_kit.markup import counted, escaped
from dolma_kit.order.documents import DocumentTable
from dolma_kit.viewing import document_view, phrase_view, shell, step_view
from dolma_kit.viewing.asked import Refused, line_of
from dolma_kit.viewing.document_view import linked
from dolma_kit.viewing.viewed import Viewed

if TYPE_CHECKING:
    from dolma_kit.order.run import Run

CHEAP_TOKENS = 1 << 28  # of a run whose documents are counted unasked
EXAMPLE_IDS = 4
EXAMPLE_RULES = 5

STYLE = """
.ways { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 1rem; margin: 1.2rem 0; } .ways > div { display: grid; gap: 1rem; align-content: start; }
.ways section { border: 1px solid var(--line); border-radius: 0.5rem; background: var(--card);
  padding: 0.9rem 1rem 1rem; min-width: 0; } .ways h2 { margin: 0 0 0.2rem; font-size: 1.05rem; }
.ways form { margin: 0.6rem 0; } .ways ul { list-style: none; padding: 0; margin: 0.6rem 0 0;
  font-size: 0.9rem; } .ways li { padding: 0.1rem 0; } .ways .ask { max-width: none; }
"""


def answer(viewed: Viewed, query: Mapping[str, str]) -> str:
    """The first page; it is there also where the run cannot be opened, and says why."""
    try:
        run = viewed.run
    except Refused as error:
        return viewed.shell.notice(
            "The run cannot be opened",
            error.reason,
            place="run",
            more="<p>Put it right and reload this page; the server need not be started again.</p>",
        )
    n_tokens = sum(file.n_tokens for file in run.files)
    counts = n_tokens <= CHEAP_TOKENS or bool(query.get("more"))
    try:
        sources, faults = (_sources(run) if counts else ""), ""
    except (DolmaKitError, OSError) as error:
        sources, faults = "", f"<p class='told bad'><bdi>{escaped(line_of(error))}</bdi></p>"
    more = "" if counts else (
        f"<p><a href='{viewed.addresses.more()}'>Sources and fingerprint</a> "
        "<span class=soft>(all lists of documents are read)</span></p>"
    )  # fmt: skip
    main = (
        f"<h1>Training run <bdi class=id>{escaped(viewed.shell.name)}</bdi></h1>{faults}"
        f"<div class=about><div>{_facts(viewed, run, n_tokens, counts)}{more}</div>"
        f"<div>{sources}</div></div>"
        f"<div class=ways><div>{_steps(viewed, run)}{_phrases(viewed)}</div>"
        f"{_documents(viewed, run)}</div>"
    )
    return viewed.shell.page("Run", main, place="run", style=STYLE + phrase_view.STYLE)


def _facts(viewed: Viewed, run: Run, n_tokens: int, with_fingerprint: bool) -> str:
    about = run.description
    order = about.order
    seed = "" if order.seed is None else f", seed {order.seed}"
    ranks = f"{order.world_size} ranks" if order.world_size != 1 else "1 rank"
    n_instances = run.instances.n_instances
    first = run.schedule.segments[0].from_step
    steps = f"{run.n_steps:,}" if first == 1 else f"{first:,} to {run.n_steps:,}"
    pairs = [
        ("steps", steps),
        ("tokens", f"{n_tokens:,} in {counted(len(run.files), 'file')}"),
        ("instances", f"{n_instances:,} of {about.sequence_length:,} tokens"),
        ("batch", counted(about.global_batch_size, "instance")),
        ("order", f"{escaped(order.kind)}{seed}; {counted(about.epochs, 'epoch')}; {ranks}"),
    ]
    if len(run.schedule.segments) > 1:
        pairs.append(("segments", f"{len(run.schedule.segments):,}"))
    if about.tokenizer is not None:
        pairs.append(("tokenizer", f"<bdi class=id>{escaped(viewed.seen(about.tokenizer))}</bdi>"))
    if with_fingerprint:
        try:
            pairs.append(("fingerprint", f"<span class=id>{run.fingerprint}</span>"))
        except (DolmaKitError, OSError) as error:
            pairs.append(("fingerprint", f"<bdi>{escaped(line_of(error))}</bdi>"))
    return shell.facts(pairs)


def _sources(run: Run) -> str:
    """Documents and tokens by source, over the files of the run; each file once."""
    tokens, documents = Counter[str](), Counter[str]()
    done = set()
    for number, file in enumerate(run.files):
        if file.path in done:
            continue
        done.add(file.path)
        table = run.documents(number)
        if not isinstance(table, DocumentTable):
            return "<p class=mark>borders of documents by EOS tokens only</p>"
        codes, names = table.sources()
        sizes = table.ends - table.starts
        sums = np.bincount(codes, weights=sizes, minlength=len(names))
        for name, n_tokens, n_docs in zip(
            names, sums.tolist(), np.bincount(codes, minlength=len(names)).tolist(), strict=True
        ):
            if n_docs:
                tokens[name or "unknown"] += int(n_tokens)
                documents[name or "unknown"] += n_docs
    total = max(tokens.total(), 1)
    heads = [("source", False), ("documents", True), ("tokens", True), ("share", True)]
    rows = [
        [f"<bdi>{escaped(name)}</bdi>", f"{documents[name]:,}", f"{n:,}", f"{n / total:.1%}"]
        for name, n in tokens.most_common()
    ]
    return shell.table("Documents and tokens by source", heads, rows)


def _steps(viewed: Viewed, run: Run) -> str:
    to, last = viewed.addresses, run.n_steps
    first = run.schedule.segments[0].from_step
    examples = dict.fromkeys([first, (first + last) // 2, last])
    links = ", ".join(f"<a href='{to.step(step)}'>{step:,}</a>" for step in examples)
    return (
        "<section><h2>What did a step see?</h2><p class=soft>The batch, instance by instance.</p>"
        f"{step_view.step_form(to, first, last)}<ul><li>Steps {links}</li></ul></section>"
    )


def _documents(viewed: Viewed, run: Run) -> str:
    links = []
    try:
        for doc_id, source in _some_ids(run):
            said = f" <span class=soft>{escaped(source)}</span>" if source else ""
            links.append(_link(viewed, doc_id) + said)
        removed, faults = _some_removed(viewed)
        for doc_id, rule in removed:
            said = f" <span class=soft>removed by</span> <code><bdi>{escaped(rule)}</bdi></code>"
            links.append(_link(viewed, doc_id) + said)
        links += map(_fault, faults)
    except (DolmaKitError, OSError) as error:
        links.append(_fault(line_of(error)))
    listed = "".join(f"<li>{link}</li>" for link in links)
    return (
        "<section><h2>What became of a document?</h2><p class=soft>When it was seen or why never, "
        "with its text and attributes.</p>"
        f"{document_view.form(viewed)}<ul>{listed}</ul></section>"
    )


def _fault(line: str) -> str:
    return f"<span class=soft><bdi>{escaped(line)}</bdi></span>"


def _link(viewed: Viewed, doc_id: str) -> str:
    return f"<span class=id>{linked(viewed.addresses, doc_id)}</span>"


def _some_ids(run: Run) -> list[tuple[str, str | None]]:
    """Ids and sources of a few documents of the first file that has any, from all over it."""
    for number in range(len(run.files)):
        table = run.documents(number)
        if isinstance(table, DocumentTable) and len(table):
            rows = np.unique(np.linspace(0, len(table) - 1, EXAMPLE_IDS).astype(np.int64))
            found = [table[int(row)] for row in rows]
            return list({one.id: (one.id, one.source) for one in found}.values())
    return []


def _some_removed(viewed: Viewed) -> tuple[list[tuple[str, str]], list[str]]:
    """Ids of documents that a mix removed, the first by each of a few rules, and what could not be
    read; only the begin of decisions is."""
    found: dict[str, str] = {}
    faults = []
    for mix in viewed.origins.mixes[:2]:
        path = mix.place if mix.place.endswith(".parquet") else decisions.path_in(mix.place)
        try:
            for doc_id, rule in _first_decisions(path):
                if len(found) < EXAMPLE_RULES and rule is not None and doc_id is not None:
                    found.setdefault(rule, doc_id)
        except (DolmaKitError, OSError) as error:
            faults.append(line_of(error))
    return [(doc_id, rule) for rule, doc_id in found.items()], faults


def _first_decisions(path: str) -> Iterator[tuple[str | None, str | None]]:
    """(id, first rule) of the documents that stand first in decisions."""
    with parquet.open_file(path) as file:
        names = {"id", "first"}
        if not names <= set(file.schema_arrow.names):
            raise BrokenFile(path, "has no decisions of a mix")
        if file.num_row_groups:
            for rows in parquet.batches(file, path, row_groups=[0], columns=[*names]):
                yield from zip(rows["id"].to_pylist(), rows["first"].to_pylist(), strict=True)


def _phrases(viewed: Viewed) -> str:
    return (
        "<section><h2>When was a phrase seen?</h2><p class=soft>Every occurrence in the tokens, "
        f"however they were cut.</p>{phrase_view.form(viewed, limit=None)}</section>"
    )
