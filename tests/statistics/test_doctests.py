"""The examples in the docstrings of `dolma_kit.statistics` give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from dolma_kit import statistics

MODULES = sorted(module.name for module in pkgutil.iter_modules(statistics.__path__))
WITH_EXAMPLES = (
    "cardinality", "comparing", "date_forms", "spikes", "tables", "urls",
)  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(f"{statistics.__name__}.{name}")
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted > 0 or name not in WITH_EXAMPLES
