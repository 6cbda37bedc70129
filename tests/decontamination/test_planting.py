"""Real items in real documents: what each rule finds of them, and that it finds nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from dolma_kit.decontamination import items, rules
from dolma_kit.documents import DocumentReader
from tests.decontamination import planting
from tests.decontamination.planting import Count

N = 60
#: the least and the most recall that a rule may have of a kind: what it is made for, and what not
EXPECTED = {
    "paloma": {"whole": (1, 1), "re-cased": (0, 0), "split": (0, 0.02), "answered": (0.8, 1)},
    "ngram_item": {
        "whole": (1, 1), "reformatted": (0.99, 1), "re-cased": (0.98, 1), "split": (1, 1),
        "answered": (1, 1), "shortened": (0.4, 0.8),
    },
    "gpt3": {
        "whole": (1, 1), "reformatted": (0.98, 1), "re-cased": (0.98, 1), "split": (1, 1),
        "answered": (0.8, 1), "shortened": (0.3, 0.7),
    },
    "wimbd": {
        "whole": (1, 1), "reformatted": (0.98, 1), "re-cased": (0.98, 1), "split": (1, 1),
        "answered": (0, 0.15), "shortened": (0, 0.1),
    },
    "decon": {"whole": (0.6, 1), "split": (0.55, 1), "re-cased": (0.55, 1), "answered": (0, 0.4)},
    "substring50": {"whole": (1, 1), "re-cased": (0, 0), "answered": (1, 1), "split": (0, 0.02)},
    "ngram_document": {"whole": (0, 0.05)},  # the documents are long
}  # fmt: skip


@pytest.fixture(scope="module")
def texts(shared_data: Path) -> list[str]:
    found: list[str] = []
    for path in sorted((shared_data / "corpus").glob("*/documents/*.jsonl.gz")):
        for batch in itertools.islice(DocumentReader(str(path)), 1):
            found += batch.table.column("text").to_pylist()
    return planting.clean_texts(found, 2 * N, seed=3)


@pytest.fixture(scope="module")
def counts(shared_data: Path, texts: list[str]) -> dict[str, dict[str, Count]]:
    evals = items.read([str(shared_data / "evals")]).items
    every = rules.build(["all"], {})
    found = planting.plant(every, evals, texts, N, seed=3)
    exhaustive = planting.plant(rules.build(["decon(sample_every=1)"], {}), evals, texts, N, seed=3)
    return {**found, "decon, all": exhaustive["decon"]}


@pytest.mark.parametrize("rule", list(EXPECTED))
def test_recall_is_what_the_rule_is_made_for(
    counts: dict[str, dict[str, Count]], rule: str
) -> None:
    for kind, (least, most) in EXPECTED[rule].items():
        recall = counts[rule][kind].recall
        assert least <= recall <= most, (rule, kind, recall, planting.table(counts))


def test_without_sampling_decon_misses_few(counts: dict[str, dict[str, Count]]) -> None:
    for kind in ("whole", "reformatted", "re-cased", "split"):
        assert counts["decon, all"][kind].recall >= 0.95
        assert counts["decon, all"][kind].found >= counts["decon"][kind].found


def test_clean_documents_are_not_taken_for_contaminated(
    counts: dict[str, dict[str, Count]],
) -> None:
    for rule, by_kind in counts.items():
        assert sum(one.clean for one in by_kind.values()) == 6 * N
        assert sum(one.false for one in by_kind.values()) == 0, rule


def test_near_copies_are_few(counts: dict[str, dict[str, Count]]) -> None:
    """Items like the one that was planted: pairs of sentences, questions of one passage."""
    for rule, by_kind in counts.items():
        assert sum(one.others for one in by_kind.values()) <= 2 * N, rule
