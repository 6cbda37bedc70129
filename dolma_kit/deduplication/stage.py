"""The stage `dedupe`: documents in, attributes out that mark what occurs before.

Every method reads each file once, decides over all of them together, and writes one attribute file
beside each (`inputs`). `filtered` finds repeats by a Bloom filter, `exact` by sorting, `near`
documents that are nearly the same, by MinHash, `substring` spans of text, by the windows that occur
before.
"""

from __future__ import annotations

import importlib

from dolma_kit import config
from dolma_kit.config import Dedupe
from dolma_kit.deduplication.inputs import READING, WRITING, inputs_of
from dolma_kit.execute import Engine, Outcome, Plan, engine_for, execute
from dolma_kit.summary import Summary, summarize, summarize_part

METHODS = {
    "bloom": "dolma_kit.deduplication.filtered",
    "exact": "dolma_kit.deduplication.exact",
    "minhash": "dolma_kit.deduplication.near",
    "substring": "dolma_kit.deduplication.substring",
}


def dedupe(
    settings: Dedupe | None = None, *, engine: Engine | None = None, **keys: object
) -> Summary:
    """Mark duplicates; `keys` are those of `config.Dedupe`, or give the struct itself.

    >>> dedupe(documents=["web"], by="paragraph", name="dup")  # doctest: +SKIP
    """
    settings = settings or config.build(Dedupe, keys)
    made = plan(settings)
    with engine_for(settings, engine) as running:
        return summary(settings, made, execute(made, settings, running))


def summary(settings: Dedupe, made: Plan, outcome: Outcome) -> Summary:
    """What an executed plan did."""
    partial = settings.limit is not None
    if outcome.part:
        counts = {"keys": outcome.total(READING, "keys")}
        return summarize_part("dedupe", outcome, READING, partial=partial, counts=counts)
    return summarize(
        "dedupe",
        outcome,
        reading=WRITING,  # alone at hand when everything was done before
        writing=WRITING,
        outputs=made.folders,
        partial=partial,
        counts=outcome.results[WRITING][0].counts["found"],
    )


def plan(settings: Dedupe) -> Plan:
    """One joint run over all inputs, by the method that is asked for."""
    method = importlib.import_module(METHODS[settings.method])
    made: Plan = method.plan(inputs_of(settings))
    return made
