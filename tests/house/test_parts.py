"""House rules that are about parts and configs: registered, documented, tested, loadable."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import dolma_kit
from dolma_kit import config, registry

ROOT = Path(dolma_kit.__file__).parent.parent
PARTS = [(kind, part_id) for kind in ("taggers", "mixers") for part_id in registry.parts(kind)]


@pytest.mark.parametrize(("kind", "part_id"), PARTS)
def test_part_is_documented(kind: registry.PartKind, part_id: str) -> None:
    part = registry.parts(kind)[part_id]
    assert part.__doc__, f"{part_id} has no docstring"
    first = inspect.getdoc(part).split("\n")[0]
    assert first.endswith((".", ":")) or len(first) <= 100


@pytest.mark.parametrize(("kind", "part_id"), PARTS)
def test_part_is_tested(kind: registry.PartKind, part_id: str) -> None:
    places = [*(ROOT / "tests" / kind).glob("*.py"), *(ROOT / "tests" / "golden").rglob("*.py")]
    tests = "".join(path.read_text(encoding="utf-8") for path in places)
    assert part_id in tests, f"no test in tests/{kind}/ or tests/golden/ names {part_id}"


def test_every_part_class_is_registered() -> None:
    """A class that lacks its id would be a part that nobody can name."""
    for kind, base in (("taggers", registry.Tagger), ("mixers", registry.Mixer)):
        registry.parts(kind)
        classes = [c for c in _subclasses(base) if c.__module__.split(".")[0] == kind]
        assert {c.__name__ for c in classes} == {c.__name__ for c in registry.parts(kind).values()}


def _subclasses(base: type) -> list[type]:
    direct = base.__subclasses__()
    return direct + [c for child in direct for c in _subclasses(child)]


@pytest.mark.parametrize("name", list(config.shipped()))
def test_config_loads(name: str) -> None:
    values = config.read(name)
    if "stages" in values:
        from dolma_kit.recipe import resolve

        assert resolve(config.build(config.Recipe, values))
    elif "schedule" in values:
        from dolma_kit.training import settings

        settings.check(config.build(settings.Train, values))
    else:
        assert config.build(config.Mix, values).streams
    assert config.shipped()[name], f"the first line of configs/{name}.yaml says what it is for"
