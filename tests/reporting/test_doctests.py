"""The examples in the docstrings of `dolma_kit.reporting` give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from dolma_kit import reporting

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(reporting.__path__, f"{reporting.__name__}.")
    if not module.ispkg
)
WITH_EXAMPLES = ("blocks", "figures", "masking", "numbers", "redaction", "sections.costs")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0
    assert found.attempted > 0 or name.removeprefix(f"{reporting.__name__}.") not in WITH_EXAMPLES
