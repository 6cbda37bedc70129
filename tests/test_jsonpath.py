"""JSONPath against what Dolma's own mixer finds (`tests/golden/make_jsonpath.py`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dolma_kit.errors import ConfigError
from dolma_kit.jsonpath import Path as JsonPath

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "golden/jsonpath.json").read_text(encoding="utf-8")
)
DOCUMENTS = [
    {"id": str(i), "text": "hello world", "source": "s", **document}
    for i, document in enumerate(GOLDEN["documents"])
]


@pytest.mark.parametrize("expression", list(GOLDEN["found"]))
def test_finds_what_dolma_finds(expression: str) -> None:
    expected = GOLDEN["found"][expression]
    if expected is None:
        with pytest.raises(ConfigError, match="cannot read the JSONPath"):
            JsonPath(expression)
        return
    path = JsonPath(expression)
    assert [i for i, document in enumerate(DOCUMENTS) if path.matches(document)] == expected
