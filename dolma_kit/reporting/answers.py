"""What a report says, as data: the JSON twin of the page.

Paths are seen from the folder that is reported on, so that two places give the same bytes. What is
not there is in `missing`, with why and the command that makes it; nothing is left out in silence.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dolma_kit.executions import Execution
from dolma_kit.explaining import Funnel
from dolma_kit.order.asking.exposure import Exposure

VERSION = 1
Role = Literal["sources", "mixed", "other"]
EnergySource = Literal["rapl", "modelled"]


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """What a section cannot show, why, and what to do about it (a command, or None)."""

    section: str
    what: str
    why: str
    cure: str | None = None


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One output folder: what it was made by, from what, and what that took.

    `config` are the keys that decide bytes, with the SHA-256 of models and tokenizers, and
    `config_sha256` their digest; `inputs_sha256` is that of the fingerprints of all inputs.
    `sources` are the folders that inputs lie in. `work_seconds` are those of the units, added up
    over workers. Times are in UTC.
    """

    folder: str
    stage: str
    config: dict[str, Any]
    config_sha256: str
    inputs_sha256: str
    sources: list[str]
    partial: bool
    unmerged_parts: list[str]
    units: int
    documents: int
    bytes_in: int
    bytes_out: int
    quarantined: int
    work_seconds: float
    first: str | None
    last: str | None
    executions: list[Execution]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind of stage took. `energy` says whether `kwh` was measured or modelled: watts a
    core at work, by the CPU seconds (by `cpu` measured, or taken for the units' seconds)."""

    stage: str
    folders: int
    bytes_in: int
    wall_seconds: float | None
    cpu_seconds: float
    cpu: Literal["measured", "units"]
    energy: EnergySource
    kwh: float
    kwh_with_pue: float
    carbon_kg: float | None


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """By kind of stage and in all, with what they were modelled by."""

    stages: list[Cost]
    total_cpu_seconds: float
    total_kwh_with_pue: float
    total_carbon_kg: float | None
    watts_per_core: float
    pue: float
    kg_per_kwh: float | None


class MaskedExample(msgspec.Struct, frozen=True, kw_only=True):
    """A hit of a tagger, made unreadable, and what stands around it, personal data masked too."""

    file: str
    line: int
    score: float
    before: str
    mask: str
    after: str


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An item of an evaluation and the document that holds most of it by a rule: what is asked, and
    the text there that matches (null where it is not known)."""

    rule: str
    benchmark: str
    item: str
    file: str
    line: int
    share: float
    asked: str | None
    matched: str | None


class Corpus(msgspec.Struct, frozen=True, kw_only=True):
    """Documents that are looked at together: those that went in (`sources`), those that a mix wrote
    (`mixed`), or what a folder of statistics was made of (`other`).

    `answers` are those of `dolma-kit stats`, by name, with personal data in excerpts masked;
    `folder` is where they lie. `examples` are hits by statistic (pii, toxicity) and kind;
    `held` are some items of evaluations that the documents hold.
    """

    name: str
    role: Role
    documents: list[str]
    bytes_stored: int
    folder: str | None
    answers: dict[str, Any]
    examples: dict[str, dict[str, list[MaskedExample]]] = {}
    held: list[Held] = []


class Combination(msgspec.Struct, frozen=True):
    """How many documents exactly these rules remove, all of them and no other one."""

    rules: list[str]
    documents: int
    bytes: int


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A document near a threshold; `excerpt` is the start of its text, personal data masked."""

    id: str
    file: str
    line: int
    value: float
    kept: bool
    first_rule: str | None
    excerpt: str | None


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """What stands at the edge of a threshold: of the documents with a value, `passing` are on the
    side that is kept; `within` counts those whose value is no more than 10 % of the threshold (or
    of the range, for 0) away. `histogram[i]` counts values from `bounds[i]` up to `bounds[i + 1]`;
    what lies beyond is in the outermost. Of many files only `files_read` are looked at. The
    examples are the nearest, the nearest first."""

    rule: str
    column: str
    operator: str
    threshold: float
    documents: int
    without: int
    passing: int
    failing: int
    within: int
    histogram: list[int]
    bounds: list[float]
    files_read: int
    files: int
    pass_examples: list[Example]
    fail_examples: list[Example]


class StreamRemoval(msgspec.Struct, frozen=True, kw_only=True):
    """The funnel of a stream, the combinations of its rules by how many they remove, and the edges
    of its thresholds."""

    funnel: Funnel
    combinations: list[Combination]
    edges: list[Edge]


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """What a mix removed; `decisions` is the file that says so."""

    folder: str
    decisions: str
    streams: list[StreamRemoval]


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A source of a corpus through the pipeline: what was read, kept and written, and its tokens.
    `epochs` is how often a run trains on its tokens, on average; null where it is not known."""

    source: str
    documents_in: int | None = None
    bytes_in: int | None = None
    words_in: int | None = None
    documents_out: int | None = None
    bytes_out: int | None = None
    words_out: int | None = None
    tokens: int | None = None
    token_share: float | None = None
    epochs: float | None = None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of token files, as its tokens.json says; `sources` are tokens and documents by
    source."""

    folder: str
    about: dict[str, Any]
    sources: dict[str, dict[str, int]]


class RunExposure(msgspec.Struct, frozen=True, kw_only=True):
    """What a training run sees over its steps, at some of them; `final` is at the last."""

    run: str
    n_steps: int
    sequence_length: int
    global_batch_size: int
    order: dict[str, Any]
    fingerprint: str
    exposures: list[Exposure]


class Similarity(msgspec.Struct, frozen=True, kw_only=True):
    """How much corpora share of a kind of key (texts, urls, paragraphs): `shared[i][j]` is the part
    of the distinct keys of corpus i that corpus j has too, null where there is none;
    `errors` half of its 95 % interval, 0 where exact."""

    kind: str
    names: list[str]
    distinct: list[float]
    exact: list[bool]
    shared: list[list[float | None]]
    errors: list[list[float | None]]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `made_with` are the versions that made the report, not the corpus."""

    version: int
    title: str
    made_with: dict[str, str]
    stages: list[Stage]
    costs: Costs | None
    composition: list[Share]
    corpora: list[Corpus]
    mixes: list[Mix]
    tokens: list[Tokens]
    runs: list[RunExposure]
    similarities: list[Similarity]
    missing: list[Missing]
