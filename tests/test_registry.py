"""Parts and their specs: three ways to write one, faults that name the cure, and round trips."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dolma_kit
from dolma_kit import registry
from dolma_kit.errors import ConfigError
from dolma_kit.specs import parse_spec, split_specs

ROOT = Path(dolma_kit.__file__).parent.parent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_v1", {"id": "a_v1"}),
        (" a_v1 ", {"id": "a_v1"}),
        ("a_v1()", {"id": "a_v1"}),
        ("a_v1(k=1)", {"id": "a_v1", "k": 1}),
        ("a-b.c(k=1, l=0.5,m=None)", {"id": "a-b.c", "k": 1, "l": 0.5, "m": None}),
        ("a(path=lid.bin)", {"id": "a", "path": "lid.bin"}),
        ("a(path=/x y/é.bin)", {"id": "a", "path": "/x y/é.bin"}),
        ("a(path='x,y)=z')", {"id": "a", "path": "x,y)=z"}),
        ("a(words=['x', 'y'], n=-1)", {"id": "a", "words": ["x", "y"], "n": -1}),
        ("a(on=True)", {"id": "a", "on": True}),
        ("a(url=s3://b/c?d=e)", {"id": "a", "url": "s3://b/c?d=e"}),
    ],
)
def test_a_spec_as_text(text: str, expected: dict[str, Any]) -> None:
    assert parse_spec(text) == expected


@pytest.mark.parametrize("text", ["", "a(", "a)", "a(k=1", "a b", "(k=1)", "a(k)", "a(1,k=2)"])
def test_text_that_is_no_spec(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write (id|key=value)"):
        parse_spec(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" , ,", []),
        ("a", ["a"]),
        ("a, b ,c", ["a", "b", "c"]),
        ("a(k=1,l=2),b", ["a(k=1,l=2)", "b"]),
        ("a(k=[1,{2:3}],l='x,y'),b", ["a(k=[1,{2:3}],l='x,y')", "b"]),
        ("a(k='(,'),b", ["a(k='(,')", "b"]),
    ],
)
def test_commas_within_parentheses_and_quotes_do_not_split(text: str, expected: list[str]) -> None:
    assert split_specs(text) == expected


def test_the_three_ways_to_write_a_part_are_one() -> None:
    named = registry.mixer("pii_mask_v1(max_spans=3, min_score=0.1)")
    assert named == registry.mixer({"id": "pii_mask_v1", "max_spans": 3, "min_score": 0.1})
    assert registry.mixer("pii_mask_v1") == registry.mixer({"id": "pii_mask_v1"})
    assert named != registry.mixer("pii_mask_v1")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("char_lenght_v1", "unknown tagger 'char_lenght_v1'; did you mean char_length_v1"),
        ("gopher_v9", "unknown tagger 'gopher_v9'; did you mean gopher_v3"),
        ("zzzzz", "unknown tagger 'zzzzz'; `dolma-kit list taggers` shows them"),
        ({"name": "gopher_v2"}, "no id in {'name': 'gopher_v2'}: write {id: ...}"),
        ({}, "no id in {}"),
        ({"id": 5}, "unknown tagger 5"),
        ("char_length_v1(k=1)", "char_length_v1: unknown key 'k'; known keys: none"),
    ],
)
def test_a_fault_names_the_cure(spec: registry.Spec, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        registry.tagger(spec)
    assert str(caught.value).startswith(message)


def test_an_unknown_setting_names_the_nearest_and_a_wrong_value_its_place() -> None:
    with pytest.raises(ConfigError, match=r"pii_mask_v1: unknown key 'max_span'; .*'max_spans'"):
        registry.mixer("pii_mask_v1(max_span=3)")
    with pytest.raises(ConfigError, match=r"pii_mask_v1: .*max_spans"):
        registry.mixer("pii_mask_v1(max_spans=many)")
    with pytest.raises(ConfigError, match="unknown mixer 'gopher_v2'"):
        registry.mixer("gopher_v2")


def test_the_same_tagger_twice_is_refused_whatever_its_settings() -> None:
    with pytest.raises(ConfigError, match="'char_length_v1' is named twice"):
        registry.taggers(["char_length_v1", "c4_v2", {"id": "char_length_v1"}])
    made = registry.taggers(["c4_v2", "char_length_v1"])
    assert [part.id for part in made] == ["c4_v2", "char_length_v1"]


def test_parts_are_listed_by_id() -> None:
    for kind in ("taggers", "mixers"):
        ids = list(registry.parts(kind))  # type: ignore[arg-type]
        assert ids == sorted(ids)
        assert all(registry.parts(kind)[i].id == i for i in ids)  # type: ignore[index]


@pytest.mark.parametrize("with_init", [True, False])
def test_a_folder_that_hides_our_taggers_is_named(tmp_path: Path, with_init: bool) -> None:
    """A user's own `taggers/` in the working directory comes first on the path of `-m`."""
    (tmp_path / "taggers").mkdir()
    if with_init:
        (tmp_path / "taggers" / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-m", "dolma_kit", "list", "taggers"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    if with_init:
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{tmp_path}/taggers/__init__.py hides the taggers that ship" in done.stderr
        assert done.stderr.count("\n") == 1
    else:  # a folder without __init__.py hides nothing from a real package
        assert (done.returncode, done.stderr) == (0, "")
        assert "char_length_v1" in done.stdout
