"""Configs: strict keys with the nearest one named, YAML that is none, and what decides a byte."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dolma_kit import config
from dolma_kit.config import Convert, Dedupe, Mix, Options, Recipe, Tag, Tokenize
from dolma_kit.errors import ConfigError

STREAM: dict[str, Any] = {"name": "web", "documents": ["web"], "output": {"path": "out"}}


def streams(**keys: Any) -> dict[str, Any]:
    return {"streams": [STREAM | keys]}


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Tag, {"tagers": ["a"]}, "unknown key 'tagers'; did you mean 'taggers'?"),
        (Tag, {"zzz": 1}, "unknown key 'zzz'; known keys: attributes, documents, engine"),
        (Mix, streams(outputs={}), "unknown key 'outputs' in streams[0]; did you mean 'output'?"),
        (
            Mix,
            streams(output={"path": "o", "max_size": 3}),
            "unknown key 'max_size' in streams[0].output; did you mean 'max_size_in_bytes'?",
        ),
        (
            Mix,
            streams(span_replacement=[{"span": "x"}, {"span": "x", "max_scor": 1}]),
            "unknown key 'max_scor' in streams[0].span_replacement[1]; did you mean 'max_score'?",
        ),
        (
            Mix,
            streams(compression={"outputt": "gz"}),
            "unknown key 'outputt' in streams[0].compression; did you mean 'output'?",
        ),
        (Mix, streams(output={}), "missing the key `path` - at `streams[0].output`"),
        (Convert, {"documents": ["web"], "format": "jsonl"}, "missing the key `experiment`"),
    ],
)
def test_a_key_at_fault_is_named_with_the_nearest(
    kind: type, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        config.build(kind, values)
    assert str(caught.value).startswith(message)
    with pytest.raises(ConfigError) as caught:
        config.build(kind, values, where="x.yaml")
    assert str(caught.value).startswith(f"x.yaml: {message}")


@pytest.mark.parametrize(
    ("kind", "values", "place"),
    [
        (Tag, {"documents": "web"}, "documents"),
        (Tag, {"taggers": ["a", 5]}, "taggers[1]"),
        (Tag, {"experiment": 9}, "experiment"),
        (Tag, {"workers": "2"}, "workers"),
        (Tag, {"workers": 0}, "workers"),
        (Tag, {"limit": 0}, "limit"),
        (Tag, {"format": "csv"}, "format"),
        (Tag, {"overwrite": 1}, "overwrite"),
        (Dedupe, {"fp_rate": 1.0}, "fp_rate"),
        (Dedupe, {"separator": ""}, "separator"),
        (Mix, streams(rate=-0.5), "streams[0].rate"),
        (Mix, streams(rate=float("nan")), "streams[0].rate"),
        (Mix, streams(rate=float("inf")), "streams[0].rate"),
        (Mix, streams(name="a/b"), "streams[0].name"),
        (Mix, streams(documents=None), "streams[0].documents"),
        (Mix, {"seed": 2**63}, "seed"),
        (Tokenize, {"eos_token_id": -1}, "eos_token_id"),
        (Recipe, {"stages": [{"tag": None}]}, "stages[0]"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(
    kind: type, values: dict[str, Any], place: str
) -> None:
    with pytest.raises(ConfigError, match=r"- at `" + place.replace("[", r"\[")):
        config.build(kind, values)


def test_a_key_that_is_no_string_is_refused() -> None:
    with pytest.raises(ConfigError, match="key"):
        config.build(Tag, {1: 2})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no keys: a config is a mapping"),
        (b"# only a comment\n", "holds no keys"),
        (b"- a\n", "holds no keys"),
        (b"just text\n", "holds no keys"),
        (b"a: [1\nb: {", "is not YAML: .*line 2"),
        (b"a: !!python/object/apply:os.getcwd []", "is not YAML: .*could not determine"),
        (b"\xff\xfe", "cannot read config .*utf-8"),
        (b"a: 1\x00", "is not YAML"),
        (b"created: 2001-13-45", "is not YAML: '2001-13-45' is no timestamp; quote it .*line 1"),
        (b"a: !!int x", "'x' is no int"),
        (b'a: !!int ""', "'' is no int"),
        (b"a: !!bool x", "'x' is no bool"),
        (b"a: !!timestamp x", "'x' is no timestamp"),
        (b"2001-13-45: a", "'2001-13-45' is no timestamp"),
        (b"a: " + b"9" * 5000, "'9{40}' is no int"),
        (b"a: 0x" + b"f" * 5000, "an integer of 20,000 bits is no setting"),
        (b"a: " + b"59:" * 3000 + b"1.5", "is no float"),
        (b"a: " + b"{a: " * 3000, "is nested too deeply"),
        (b"x: &a [*a]", "is nested more than 100 deep, maybe by an alias"),
        (b"x: &a {b: *a}", "is nested more than 100 deep, maybe by an alias"),
        (b"x: &a !!omap [k: *a]", "is nested more than 100 deep, maybe by an alias"),
    ],
)
def test_what_is_no_config_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=message) as caught:
        config.read(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_that_multiply_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.yaml"
    doubled = (f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    path.write_text("a0: &a0 [x, x]\n" + "".join(doubled))
    monkeypatch.setattr(config, "MOST_VALUES", 1000)
    with pytest.raises(ConfigError, match="its aliases make more than 1,000 values"):
        config.read(str(path))


@pytest.mark.parametrize("name", ["no_such", "", "../web"])
def test_a_config_that_is_not_there(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="neither a file nor one of those"):
        config.read(name)


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot read config {tmp_path}"):
        config.read(str(tmp_path))


def test_yaml_anchors_and_json_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("documents: &d [a, é]\ntaggers: *d\n", encoding="utf-8")
    assert config.read(str(path)) == {"documents": ["a", "é"], "taggers": ["a", "é"]}
    path.write_text('{"documents": ["a"], "limit": null}', encoding="utf-8")
    assert config.build(Tag, config.read(str(path))).documents == ["a"]


def test_shipped_configs_are_found_by_name_and_a_file_of_that_name_comes_first(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "web" in config.shipped()
    assert all(config.shipped().values())
    assert "stages" in config.read("web")
    Path("web").write_text("seed: 1", encoding="utf-8")
    assert config.read("web") == {"seed": 1}


FREE = {
    "workers": 3,
    "shard": "0/2",
    "on_error": "quarantine",
    "overwrite": True,
    "quiet": True,
    "tmp_dir": "/tmp/x",
    "engine": "ray",
    "ray_address": "auto",
}


@pytest.mark.parametrize("kind", [Tag, Dedupe, Mix, Tokenize])
def test_deciding_leaves_out_what_decides_no_byte(kind: type[Options]) -> None:
    plain = config.build(kind, {}).deciding()
    assert config.build(kind, FREE).deciding() == plain
    assert not plain.keys() & {*FREE, "documents", "processes", "work_dir", "dryrun"}
    assert config.build(kind, {"limit": 3}).deciding() != plain
    fields = {field.name for field in msgspec.structs.fields(kind)}
    left_out = {*FREE, "documents", "plugin", "profile"}
    left_out |= {"processes", "work_dir", "dryrun", "strict_keys"}  # of a mix
    assert plain.keys() == fields - left_out


def test_dolmas_own_keys_decide_nothing() -> None:
    theirs = {"processes": 4, "work_dir": {"input": "/a"}, "dryrun": False}
    assert (
        config.build(Mix, streams() | theirs).deciding() == config.build(Mix, streams()).deciding()
    )


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (Tag, {"text_key": "content"}),
        (Tag, {"format": "jsonl"}),
        (Dedupe, {"fp_rate": 1e-3}),
        (Dedupe, {"skip_empty": False}),
        (Mix, {"seed": 1}),
        (Tokenize, {"sequence_length": 4096}),
    ],
)
def test_what_decides_bytes_changes_the_digest(kind: type[Options], keys: dict[str, Any]) -> None:
    plain = config.digest(config.build(kind, {}).deciding())
    assert config.digest(config.build(kind, keys).deciding()) != plain


def test_the_digest_is_stable_and_does_not_depend_on_the_order_of_keys() -> None:
    values = {"b": [1, 2.5, None], "a": {"é": "x", "c": True}}
    turned = {"a": {"c": True, "é": "x"}, "b": [1, 2.5, None]}
    assert config.digest(values) == config.digest(turned)
    canonical = '{"a":{"c":true,"é":"x"},"b":[1,2.5,null]}'
    assert config.digest(values) == hashlib.sha256(canonical.encode()).hexdigest()


def test_structs_are_frozen() -> None:
    with pytest.raises(AttributeError):
        config.build(Tag, {}).experiment = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    ["workers: 1\nworkers: 2\n", "stages:\n  - tag: {experiment: a, experiment: b}\n"],
)
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="stands twice"):
        config.read(str(path))


def test_anchors_and_merges_are_yaml(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: &a {k: 1, l: 2}\nb: {<<: *a, k: 3}\n", encoding="utf-8")
    assert config.read(str(path))["b"] == {"k": 3, "l": 2}
