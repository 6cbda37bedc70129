"""House rules that are about words: documentation is made from code, and its examples are real."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import dolma_kit
from dolma_kit import cli, config, demonstration, registry
from dolma_kit.cli import catalogue, reference
from dolma_kit.order.description import RunDescription

from ..conftest import WriteDocuments

ROOT = Path(dolma_kit.__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_lists_the_commands_that_there_are() -> None:
    assert reference.with_table(README) == README, "run `make docs`"


def test_the_tagger_page_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "taggers.md").read_text(encoding="utf-8")
    assert catalogue.page() == page, "run `make docs`"


@pytest.mark.parametrize("part_id", list(registry.parts("taggers")))
def test_a_tagger_says_where_it_comes_from(part_id: str) -> None:
    said = catalogue.words_of(registry.parts("taggers")[part_id])
    assert said.about
    assert said.source, f"end the docstring of {part_id} with `Source: ...`"


def test_every_name_of_dolmas_is_offered_or_said_not_to_be() -> None:
    parts, names = registry.parts("taggers"), catalogue.dolmas_names()
    said = {name for prefix in catalogue.NOT_OFFERED for name in names if name.startswith(prefix)}
    assert said.isdisjoint(parts)
    assert {name for name in names if name not in parts} == said


def test_the_command_page_is_what_the_help_says() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert reference.page() == page, "run `make docs`"


@pytest.mark.parametrize(("name", "command"), reference.leaves())
def test_every_command_and_flag_has_help(name: str, command: object) -> None:
    assert command.help, name
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_readmes_configs_are_configs() -> None:
    mix, run = (yaml.safe_load(block) for block in blocks("yaml"))
    assert config.build(config.Mix, mix).streams[0].rate == 1.0
    assert config.build(RunDescription, run).order.seed == 6198


def test_the_readme_shows_what_the_demo_prints() -> None:
    assert demonstration.TABLE_HEAD in README, "paste the output of `make demo` again"


def test_the_readmes_python_names_what_there_is() -> None:
    for block in blocks("python"):
        for name in re.findall(r"dolma_kit\.(\w+)\(", block):
            assert callable(getattr(dolma_kit, name))
        compile(block, "README.md", "exec")


def test_the_readmes_tagger_and_policy_run_as_they_stand(
    tmp_path: Path, write_documents: WriteDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    section = README.split("## A tagger of your own")[1].split("\n## ")[0]
    tagger, policy = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert len(tagger.splitlines()) <= 10, "a tagger of ten lines"
    Path("my_taggers.py").write_text(tagger + policy, encoding="utf-8")
    texts = ["a quiet text", "BUY THIS, it SAYS", "STOP", ""]
    rows = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    write_documents(tmp_path / "web/documents/a.jsonl", rows)
    for command in re.findall(r"\$ dolma-kit (.*)", section):
        assert (
            cli.run([*command.split(), *(["--workers", "1"] if "tag" in command[:4] else [])]) == 0
        )
    found = pq.read_table("web/attributes/mine/a.parquet").to_pylist()
    assert [row["mine__shouting_v1__share"] for row in found] == [0.0, 8 / 17, 1.0, 0.0]
    assert [[(w["start"], w["end"]) for w in row["mine__shouting_v1__words"]] for row in found] == [
        [], [(4, 8), (13, 17)], [(0, 4)], [],
    ]  # fmt: skip
    stream = {"name": "w", "documents": ["web"], "attributes": ["mine"], "output": {"path": "out"}}
    summary = dolma_kit.mix(
        streams=[stream | {"policies": ["quiet_v1"]}], plugin=["my_taggers.py"], workers=1
    )
    assert summary.counts["streams"]["w"]["removed"] == {"quiet_v1": 1}


def test_the_readmes_commands_are_commands() -> None:
    known = {name.removeprefix("dolma-kit ") for name, _ in reference.leaves()}
    used = re.findall(r"\$ dolma-kit (.*)", README)
    assert used
    for line in used:
        words = line.split()
        assert words[0] in known or " ".join(words[:2]) in known, line


def test_the_version_is_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {dolma_kit.__version__}" in changelog
