"""The command line: exit codes, one line that names the cure, and the last line of JSON."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import typing
from pathlib import Path
from typing import Any

import pytest

import dolma_kit as package
from dolma_kit import config, registry

from ..conftest import RunCommand, WriteDocuments
from ..tokens.conftest import EOS, byte_level

ROOT = Path(package.__file__).parent.parent
TAG = ("tag", "web", "--taggers", "char_length_v1", "--experiment", "q", "--workers", "1")
MIX = {
    "streams": [
        {
            "name": "web",
            "documents": ["web"],
            "attributes": ["q", "dup"],
            "keep": "dup < 0.5 AND q__char_length_v1__length > 3",
            "output": {"path": "mixed"},
        }
    ]
}
RECIPE = {
    "workers": 1,
    "stages": [
        {"tag": {"documents": ["web"], "taggers": ["char_length_v1"], "experiment": "q"}},
        {"dedupe": {"documents": ["web"], "by": "document", "name": "dup"}},
        {"mix": MIX},
    ],
}
KEYS = {
    "command", "documents", "bytes_in", "bytes_out", "seconds", "mb_per_s", "quarantined",
    "outputs",
}  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> Path:
    """Two files of four documents each, two of them duplicates; `tiny.json`, a tokenizer."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl.gz", "b.jsonl"):
        rows = [{"id": f"{name[0]}{i}", "text": f"text {i} {name[0] * (i % 2)}"} for i in range(4)]
        write_documents(tmp_path / "web/documents" / name, rows)
    Path("tiny.json").write_text(byte_level("cl100k").to_str(), encoding="utf-8")
    return tmp_path


EOS_ID = str(byte_level("cl100k").token_to_id(EOS))


def write(name: str, content: Any) -> str:
    """Writes a config; JSON is YAML."""
    text = content if isinstance(content, str) else json.dumps(content)
    Path(name).write_text(text, encoding="utf-8")
    return name


def outputs() -> list[str]:
    """All that was written: everything but the corpus, the tokenizer and configs."""
    return sorted(
        str(path)
        for path in Path().rglob("*")
        if path.is_file() and path.parts[:2] != ("web", "documents") and len(path.parts) > 1
    )


def test_every_command_ends_with_a_line_of_json(corpus: Path, dolma_kit: RunCommand) -> None:
    commands = [
        [*TAG],
        ["dedupe", "web", "--name", "dup", "--workers", "1"],
        ["mix", "-c", write("mix.yaml", MIX), "--workers", "1"],
        ["tokenize", "web", "--tokenizer", "tiny.json", "--eos-token-id", EOS_ID,
         "--out", "tokens", "--workers", "1"],
        ["attributes", "convert", "web", "--experiment", "q", "--format", "jsonl",
         "--workers", "1"],
        ["run", "-c", write("recipe.yaml", RECIPE)],
    ]  # fmt: skip
    for command in commands:
        answer = dolma_kit(*command)
        assert (answer.code, answer.err) == (0, ""), command
        assert answer.out.count("\n") == 1
        assert answer.json.keys() >= KEYS
        name = "attributes convert" if command[0] == "attributes" else command[0]
        assert (answer.json["command"], answer.json["documents"]) == (name, 8)
        assert answer.json["bytes_in"] > 0
        assert all(Path(path).exists() for path in answer.json["outputs"])
    stages = answer.json["counts"]["stages"]
    assert [stage["command"] for stage in stages] == ["tag", "dedupe", "mix"]
    assert answer.json["units_skipped"] > 0, "the recipe's stages were done one by one before"
    status = dolma_kit("status", ".", "--json")
    assert {row["stage"] for row in status.json["ledgers"]} == {
        "tag", "dedupe", "mix", "tokenize", "attributes convert",
    }  # fmt: skip


def test_version_and_help(dolma_kit: RunCommand) -> None:
    answer = dolma_kit("--version")
    assert (answer.code, answer.out, answer.err) == (0, f"{package.__version__}\n", "")
    for arguments in ([], ["--help"], ["attributes"], ["trace"], ["tag", "--help"]):
        answer = dolma_kit(*arguments)
        assert (answer.code, answer.err) == (0 if "--help" in arguments else 2, "")
        assert answer.out.startswith(f"Usage: dolma-kit {' '.join(arguments[:1])}".rstrip("-help "))
        assert answer.out.count("\n") > 5


def test_help_lists_each_key_with_its_words(dolma_kit: RunCommand) -> None:
    for name, kind in config.STAGES.items():
        shown = " ".join(dolma_kit(name, "--help").out.split())
        assert " ".join((kind.__doc__ or "").split())[:40] in shown
        for flag in ("--workers", "--limit", "--overwrite", "--dry-run", "--config", "--tmp-dir"):
            assert flag in shown
        shown = shown.replace("- ", "-")  # where a word was broken at its hyphen
        for annotation in typing.get_type_hints(kind, include_extras=True).values():
            for said in getattr(annotation, "__metadata__", ()):
                if said.description and (said.extra or {}).get("flag", True):
                    assert " ".join(said.description.split()).replace("- ", "-") in shown


# What is asked wrongly, and what the one line on stderr says.
WRONG: list[tuple[list[str], str]] = [
    (["bogus"], "No such command 'bogus'; see `dolma-kit --help`"),
    (["tag", "web", "--bogus"], "No such option: --bogus; see `dolma-kit tag --help`"),
    (["tag", "web", "--tagers", "a"], "No such option: --tagers"),
    (["tag", "web", "--workers"], "Option '--workers' requires an argument"),
    ([*TAG, "--workers", "two"], "Invalid value for '--workers'"),
    ([*TAG, "--workers", "0"], "Expected `int` >= 1 - at `workers`"),
    ([*TAG, "--limit", "-1"], "Expected `int` >= 1 - at `limit`"),
    ([*TAG, "--format", "csv"], "'csv' is not one of 'parquet', 'jsonl'"),
    ([*TAG, "--engine", "ray5"], "'--engine'"),
    (["tag", "web", "--experiment", "q"], "no taggers: name some with --taggers"),
    (["tag", "web", "--taggers", "char_length_v1"], "no experiment: give one with --experiment"),
    (["tag", "--taggers", "char_length_v1", "--experiment", "q"], "no documents: give files"),
    (["tag", "nowhere", *TAG[2:]], "no documents match 'nowhere': give a file, a folder"),
    (
        ["tag", "web", "--taggers", "char_lenght_v1", "--experiment", "q"],
        "unknown tagger 'char_lenght_v1'; did you mean char_length_v1",
    ),
    ([*TAG, "--taggers", "char_length_v1"], "'char_length_v1' is named twice"),
    (["tag", "web", "--taggers", "char_length_v1(k=1)", "--experiment", "q"], "unknown key 'k'"),
    ([*TAG[:5], "a/b"], "experiment 'a/b' cannot name a folder or column"),
    (["dedupe", "web"], "no name for the attribute: give one with --name"),
    (["dedupe", "--name", "dup"], "no documents: give files"),
    (["dedupe", "web", "--name", "dup", "--fp-rate", "2"], "at `fp_rate`"),
    (["dedupe", "web", "--name", "dup", "--by", "word"], "'document', 'paragraph'"),
    (["dedupe", "web", "--name", "dup", "--key", "url"], "no key 'url': it is text, id, or a path"),
    (["mix"], "no streams: a mix names at least one"),
    (["tokenize", "web"], "no output folder: name one with --out"),
    (["tokenize", "web", "--out", "o"], "no tokenizer: give a tokenizer.json"),
    (["tokenize", "web", "--out", "o", "--tokenizer", "no.json"], "no tokenizer 'no.json'"),
    (["tokenize", "web", "--out", "o", "--tokenizer", "tiny.json"], "no eos_token_id: give"),
    (["tokenize", "--out", "o", "--tokenizer", "tiny.json"], "no documents"),
    (
        ["run"],
        "no stages: a recipe names at least one of extract, tag, dedupe, decontaminate, mix, "
        "tokenize",
    ),
    (["run", "-c", "nowhere"], "no config 'nowhere': neither a file nor one of those"),
    (["run", "-c", "web"], "cannot read config web: "),
    (["attributes", "convert", "web"], "missing the key `experiment`"),
    (["attributes", "bogus"], "No such command 'bogus'; see `dolma-kit attributes --help`"),
    (["list"], "Missing argument 'what'. Choose from: taggers, mixers, configs"),
    (["list", "stages"], "'stages' is not one of 'taggers', 'mixers', 'configs'"),
    (["inspect"], "Missing argument 'FILE'"),
    (["inspect", "nowhere.jsonl"], "nowhere.jsonl does not exist"),
    (["inspect", "web"], "web is a folder: name one of its files"),
    (["status"], "Missing argument 'DIR'"),
    (["status", "web"], "nothing below web was made by dolma-kit"),
    (["status", "nowhere"], "nothing below nowhere was made by dolma-kit"),
    (["trace", "step", "1"], "Missing option '--run'"),
    (["trace", "step", "x", "--run", "r.yaml"], "Invalid value for 'N'"),
    (["trace", "step", "1", "--run", "r.yaml"], "no run description"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(a)[:60] for a, _ in WRONG])
def test_a_wrong_request_is_one_line_and_exit_code_2(
    corpus: Path, dolma_kit: RunCommand, arguments: list[str], message: str
) -> None:
    answer = dolma_kit(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("dolma-kit: ")
    assert answer.err.count("\n") == 1
    assert answer.err.endswith("\n")
    assert message in answer.err
    assert outputs() == []


@pytest.mark.parametrize(
    ("command", "content", "message"),
    [
        ("tag", {"experimen": "q"}, "x.yaml: unknown key 'experimen'; did you mean 'experiment'?"),
        ("tag", {"documents": "web"}, "x.yaml: Expected `array`, got `str` - at `documents`"),
        ("tag", {"dry_run": True}, "x.yaml: unknown key 'dry_run'"),
        ("tag", "", "x.yaml holds no keys"),
        ("tag", "a: [", "x.yaml is not YAML"),
        ("mix", {"streams": [{"name": "w"}]}, "missing the key `documents` - at `streams[0]`"),
        (
            "mix",
            {"streams": [MIX["streams"][0] | {"kep": "true"}]},
            "unknown key 'kep' in streams[0]; did you mean 'keep'?",
        ),
        (
            "mix",
            {"streams": [MIX["streams"][0] | {"documents": []}]},
            "no documents: give files",
        ),
        (
            "mix",
            {"streams": [MIX["streams"][0] | {"attributes": [], "policies": ["pii_v1"]}]},
            "unknown mixer 'pii_v1'",
        ),
        ("run", {"stages": [{"tagg": {}}]}, "stage 1 is {tagg}: write one of extract, tag, dedupe"),
        ("run", {"stages": [{"tag": {}, "mix": {}}]}, "stage 1 is {tag, mix}: write one of"),
        ("run", {"stages": [{}]}, "stage 1 is {}: write one of"),
        (
            "run",
            {"stages": [RECIPE["stages"][0], {"dedupe": {"nam": "x"}}]},
            "stage 2 (dedupe): unknown key 'nam'; did you mean 'name'?",
        ),
        ("run", {"stages": [{"tag": {"workers": "2"}}]}, "stage 1 (tag): Expected `int"),
    ],
)
def test_a_wrong_config_is_one_line_and_exit_code_2(
    corpus: Path, dolma_kit: RunCommand, command: str, content: Any, message: str
) -> None:
    answer = dolma_kit(command, "-c", write("x.yaml", content), "--workers", 1)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert message in answer.err
    assert outputs() == []


def test_all_stages_of_a_recipe_are_checked_before_the_first_starts(
    corpus: Path, dolma_kit: RunCommand
) -> None:
    recipe = RECIPE | {"stages": [*RECIPE["stages"], {"tokenize": {"outt": "x"}}]}  # type: ignore[misc]
    answer = dolma_kit("run", "-c", write("x.yaml", recipe))
    assert (answer.code, outputs()) == (2, [])
    assert "stage 4 (tokenize): unknown key 'outt'; did you mean 'out'?" in answer.err


def test_a_config_holds_the_keys_and_flags_win(corpus: Path, dolma_kit: RunCommand) -> None:
    keys = {
        "documents": ["nowhere"], "taggers": ["char_length_v1", "c4_v2"], "experiment": "from_file",
        "format": "jsonl", "workers": 1, "limit": 3,
    }  # fmt: skip
    write("tag.yaml", keys)
    assert dolma_kit("tag", "-c", "tag.yaml").code == 2
    answer = dolma_kit("tag", "web", "-c", "tag.yaml", "--taggers", "char_length_v1")
    assert (answer.json["documents"], answer.json["partial"]) == (3, True)
    assert answer.json["outputs"] == ["web/attributes/from_file"]
    row = dolma_kit("inspect", "web/attributes/from_file/a.jsonl.gz").json
    assert row["attributes"].keys() == {"from_file__char_length_v1__length"}
    answer = dolma_kit("tag", "web/documents/b.jsonl", "--config", "tag.yaml", "--experiment", "e",
                       "--limit", 2, "--format", "parquet")  # fmt: skip
    assert answer.json["documents"] == 2
    assert Path("web/attributes/e/b.parquet").is_file()


def test_a_flag_turns_a_switch_of_the_config_off(corpus: Path, dolma_kit: RunCommand) -> None:
    write("d.yaml", {"documents": ["web"], "name": "dup", "overwrite": True, "skip_empty": False})
    shown = dolma_kit("dedupe", "-c", "d.yaml", "--no-overwrite", "--dry-run").out
    settings, _ = json.JSONDecoder().raw_decode(shown)
    assert (settings["overwrite"], settings["skip_empty"]) == (False, False)
    shown = dolma_kit("dedupe", "-c", "d.yaml", "--skip-empty", "--dry-run").out
    settings, _ = json.JSONDecoder().raw_decode(shown)
    assert (settings["overwrite"], settings["skip_empty"]) == (True, True)


def test_lists_are_split_at_commas_paths_are_not(
    corpus: Path, dolma_kit: RunCommand, write_documents: WriteDocuments
) -> None:
    write_documents(corpus / "a,b/documents/x.jsonl", [{"id": "1", "text": "x"}])
    answer = dolma_kit("tag", "a,b", "--taggers", "char_length_v1, c4_v2", "--taggers", "gopher_v2",
                       "--experiment", "q", "--dry-run")  # fmt: skip
    settings, _ = json.JSONDecoder().raw_decode(answer.out)
    assert settings["documents"] == ["a,b"]
    assert settings["taggers"] == ["char_length_v1", "c4_v2", "gopher_v2"]


@pytest.mark.parametrize("command", ["tag", "dedupe", "mix", "tokenize", "convert", "run"])
def test_a_dry_run_shows_config_and_plan_and_writes_nothing(
    corpus: Path, dolma_kit: RunCommand, command: str
) -> None:
    mix = {"streams": [MIX["streams"][0] | {"attributes": [], "keep": None}]}
    arguments: dict[str, list[Any]] = {
        "tag": [*TAG],
        "dedupe": ["dedupe", "web", "--name", "dup"],
        "mix": ["mix", "-c", write("m.yaml", mix)],
        "tokenize": ["tokenize", "web", "--tokenizer", "tiny.json", "--out", "o", "--eos-token-id",
                     EOS_ID],
        "convert": ["attributes", "convert", "web", "--experiment", "q", "--format", "jsonl"],
        "run": ["run", "-c", write("r.yaml", RECIPE)],
    }  # fmt: skip
    if command == "convert":
        assert dolma_kit(*TAG).code == 0
    before = outputs()
    answer = dolma_kit(*arguments[command], "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    settings, end = json.JSONDecoder().raw_decode(answer.out)
    assert settings["workers"] in (None, 1)
    assert "units" in answer.out[end:]
    assert outputs() == before
    if command == "run":
        assert answer.out.endswith("mix: its inputs are yet to be made\n")


def test_limit_marks_the_output_partial(corpus: Path, dolma_kit: RunCommand) -> None:
    answer = dolma_kit(*TAG, "--limit", 5)
    assert (answer.json["documents"], answer.json["partial"]) == (5, True)
    assert "(partial)" in dolma_kit("status", "web").out
    again = dolma_kit(*TAG)
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "limit was 5, is null; use another name, or --overwrite" in again.err
    assert dolma_kit(*TAG, "--overwrite").json["documents"] == 8
    assert dolma_kit(*TAG, "--overwrite", "--limit", 10**25).json["documents"] == 8


def test_bad_data_is_one_line_and_exit_code_1(corpus: Path, dolma_kit: RunCommand) -> None:
    with open("web/documents/b.jsonl", "ab") as stream:
        stream.write(b'{"id": "x"}\n')
    answer = dolma_kit(*TAG)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.splitlines() == [
        "dolma-kit: web/documents/b.jsonl:5: Object missing required field `text`"
    ]


def test_traceback_is_shown_on_request_and_the_line_still_comes_last(
    corpus: Path, dolma_kit: RunCommand
) -> None:
    Path("web/documents/b.jsonl").write_bytes(b"{\n")
    plain = dolma_kit(*TAG)
    for arguments in ([*TAG, "--traceback"], ["--traceback", *TAG]):
        answer = dolma_kit(*arguments)
        assert answer.code == 1
        assert answer.err.startswith("Traceback (most recent call last):")
        assert "dolma_kit/decoding.py" in answer.err
        assert answer.err.endswith(plain.err)
    pool = dolma_kit(*TAG, "--workers", 2, "--traceback")
    assert pool.code == 1
    assert "_answers_here" in pool.err, "the worker's own traceback"
    assert pool.err.endswith(plain.err)


@pytest.mark.parametrize("what", ["taggers", "mixers", "configs"])
def test_list(dolma_kit: RunCommand, what: str) -> None:
    expected = list(config.shipped() if what == "configs" else registry.parts(what))  # type: ignore[arg-type]
    answer = dolma_kit("list", what, "--json")
    assert (answer.code, answer.out.count("\n"), answer.err) == (0, 1, "")
    assert [row["id"] for row in answer.json[what]] == expected
    assert all(row["about"] for row in answer.json[what])
    if what != "configs":
        assert all((ROOT / row["file"]).is_file() for row in answer.json[what])
    lines = dolma_kit("list", what).out.splitlines()
    assert [line.split()[0] for line in lines] == expected


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_inspect_attributes(corpus: Path, dolma_kit: RunCommand, format: str) -> None:
    assert dolma_kit(*TAG, "--format", format).code == 0
    (path,) = Path("web/attributes/q").glob("b.*")
    by_row = dolma_kit("inspect", path, "--row", 3)
    assert (by_row.code, by_row.json["id"]) == (0, "b2")
    assert dolma_kit("inspect", path, "--id", "b2").out == by_row.out
    assert dolma_kit("inspect", path).json["id"] == "b0"
    length = len("text 2 ")
    if format == "parquet":
        assert by_row.json == {"id": "b2", "q__char_length_v1__length": length}
    else:
        assert by_row.json["attributes"] == {"q__char_length_v1__length": [[0, length, length]]}


@pytest.mark.parametrize("name", ["a.jsonl.gz", "b.jsonl"])
def test_inspect_documents(corpus: Path, dolma_kit: RunCommand, name: str) -> None:
    path = f"web/documents/{name}"
    found = dolma_kit("inspect", path, "--row", 4)
    assert found.json == {"id": f"{name[0]}3", "text": f"text 3 {name[0]}"}
    assert dolma_kit("inspect", path, "--id", f"{name[0]}3").out == found.out
    for arguments, message in (
        (["--row", 5], f"{path} has 4 rows, no row 5"),
        (["--row", 0], "rows count from 1, not 0"),
        (["--row", -1], "rows count from 1, not -1"),
        (["--id", "zz"], f"{path} has no row with id 'zz'"),
        (["--row", "x"], "Invalid value for '--row'"),
    ):
        answer = dolma_kit("inspect", path, *arguments)
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
        assert message in answer.err


def test_inspect_tells_bad_data(corpus: Path, dolma_kit: RunCommand) -> None:
    write("bad.jsonl", '{"id": "a"}\n{\n')
    assert dolma_kit("inspect", "bad.jsonl").code == 0
    answer = dolma_kit("inspect", "bad.jsonl", "--row", 2)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("dolma-kit: bad.jsonl:2: ")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_cost_of_each_tagger_on_request(
    corpus: Path, dolma_kit: RunCommand, workers: int
) -> None:
    taggers = "gopher_v2,language_paragraphs_v1,char_length_v1"
    arguments = ["tag", "web", "--taggers", taggers, "--quiet", "--workers", workers]
    answer = dolma_kit(*arguments, "--experiment", "q", "--profile")
    profile = answer.json["counts"]["profile"]
    parts = ["(reading)", "(segmenting)", *taggers.split(","), "(writing)"]
    assert list(profile) == parts
    assert all(cost["ns_per_byte"] > 0 for cost in profile.values())
    assert sum(cost["share"] for cost in profile.values()) == pytest.approx(1, abs=0.01)
    head, *rows, last = answer.err.splitlines()
    assert head.split() == ["part", "ns/byte", "share"]
    assert [row.split()[0] for row in rows] == parts
    assert last.split()[:2] == ["in", "all"]
    assert last.endswith("100%")
    plain = dolma_kit(*arguments, "--experiment", "r")
    assert (plain.err, plain.json["counts"]) == ("", {})
    assert Path("web/attributes/r/a.parquet").stat().st_size == (
        Path("web/attributes/q/a.parquet").stat().st_size
    )


def test_status(corpus: Path, dolma_kit: RunCommand) -> None:
    dolma_kit(*TAG)
    answer = dolma_kit("status", "web")
    assert answer.code == 0
    assert answer.out.startswith("web/attributes/q: tag, last at 20")
    assert "\n  measuring: 2 units, 8 documents, " in answer.out
    (row,) = dolma_kit("status", ".", "--json").json["ledgers"]
    assert row.keys() == {"folder", "stage", "partial", "parts", "last", "phases"}
    totals = row["phases"]["measuring"]
    assert (row["stage"], totals["units"], totals["documents"]) == ("tag", 2, 8)


def test_a_recipe_runs_and_runs_again_for_nothing(corpus: Path, dolma_kit: RunCommand) -> None:
    recipe = write("recipe.yaml", RECIPE)
    answer = dolma_kit("run", "-c", recipe)
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["outputs"] == ["mixed/documents"]
    rows = gzip.decompress(Path("mixed/documents/web-0000.jsonl.gz").read_bytes()).splitlines()
    assert [json.loads(row)["id"] for row in rows] == ["a0", "a1", "a2", "a3", "b1", "b3"]
    before = {name: Path(name).stat().st_mtime_ns for name in outputs() if ".dolma-kit" not in name}
    again = dolma_kit("run", "-c", recipe)
    assert again.code == 0
    assert {name: Path(name).stat().st_mtime_ns for name in before} == before
    shown = dolma_kit("run", "-c", recipe, "--dry-run").out
    assert "mix: into mixed" in shown


def test_what_a_recipe_says_holds_for_its_stages(corpus: Path, dolma_kit: RunCommand) -> None:
    answer = dolma_kit("run", "-c", write("recipe.yaml", RECIPE), "--limit", 5)
    assert [s["documents"] for s in answer.json["counts"]["stages"]] == [5, 5, 5]
    assert answer.json["partial"]


def test_input_that_is_also_output_of_a_mix_is_not_written_over(
    corpus: Path, dolma_kit: RunCommand, write_documents: WriteDocuments
) -> None:
    """A shard named as one of its own inputs would take its place."""
    path = write_documents(
        corpus / "web/documents/web-0000.jsonl.gz", [{"id": "z", "text": "mine"}]
    )
    before = path.read_bytes()
    stream = {"name": "web", "documents": ["web"], "output": {"path": "web"}}
    answer = dolma_kit("mix", "-c", write("m.yaml", {"streams": [stream]}), "--workers", 1)
    assert path.read_bytes() == before
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "give another output path" in answer.err
    assert outputs() == []


def test_intermediate_files_that_cannot_be_written_are_a_refusal(
    corpus: Path, dolma_kit: RunCommand
) -> None:
    write("taken", "a file")
    answer = dolma_kit("dedupe", "web", "--name", "dup", "--workers", 1, "--tmp-dir", "taken")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "cannot write to taken/" in answer.err


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_a_state_that_the_next_run_completes(
    corpus: Path, dolma_kit: RunCommand, write_documents: WriteDocuments, workers: int
) -> None:
    texts = [" ".join(f"word{i * j % 997}" for j in range(400)) for i in range(400)]
    for part in range(12):
        rows = [{"id": f"{part}-{i}", "text": text} for i, text in enumerate(texts)]
        write_documents(corpus / f"big/documents/{part:02d}.jsonl", rows)
    arguments = ["tag", "big", "--taggers", "language_en_v1", "--experiment", "q"]
    process = subprocess.Popen(
        [sys.executable, "-m", "dolma_kit", *arguments, "--workers", str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    folder = corpus / "big/attributes/q"
    deadline = time.monotonic() + 30
    while not list(folder.glob("*.parquet")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err == "dolma-kit: interrupted; what is finished is kept, run again to go on\n"
    done = {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    assert 0 < len(done) < 12
    assert not list(folder.glob(".*.tmp"))
    answer = dolma_kit(*arguments, "--workers", 1)
    assert (answer.code, answer.json["documents"]) == (0, 12 * len(texts))
    assert answer.json["units_skipped"] >= len(done) - workers
    assert len(list(folder.glob("*.parquet"))) == 12
