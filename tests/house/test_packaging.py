"""House rules that are about packaging: everything that is installed is pinned."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import dolma_kit

ROOT = Path(dolma_kit.__file__).parent.parent


def _name(text: str) -> str:
    """A distribution's normalized name, without version, extras and markers."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[(]", text.strip(), maxsplit=1)[0]).lower()


def _pinned() -> set[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all("==" in pin for pin in pins)
    return {_name(pin) for pin in pins}


def test_what_the_project_asks_for_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        asked += extra
    assert {_name(item) for item in asked} <= _pinned()


def test_what_those_need_in_turn_is_pinned() -> None:
    """Else pip would have something to search for, and two days could install two trees."""
    waiting, seen = ["dolma-kit"], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python, or an extra that is not installed here
        waiting += [_name(need) for need in needs if "extra ==" not in need]
    here = {name for name in seen if _is_installed(name)}
    assert here - _pinned() - {"dolma-kit"} == set()


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
