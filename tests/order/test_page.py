"""The page of a step: everything is on it, and nothing of the corpus acts on it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from dolma_kit.order.asking import page
from dolma_kit.order.asking.page import step_page
from dolma_kit.order.run import Run, open_run
from dolma_kit.order.steps import Ranks, trace_step

from .tiny_run import WEB, T, write_part, write_run

HOSTILE = [
    "<script>alert(1)</script>",
    "</script></style></pre><img src=x onerror=alert(1)>",
    "a\x00b\x1b[31mc\u202egnirts\u200bd\ufeff",
    "[x](javascript:alert(1)) <a href='javascript:alert(1)'>y</a>",
    "'\"&amp;\r\n",
]


class Tags(HTMLParser):
    """Elements and their attributes, and the text between them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    return tags


@pytest.fixture
def hostile(tmp_path: Path, tokenizer: Path) -> Run:
    documents = [(f"<b>{i}</b>", "<i>web</i>", text) for i, text in enumerate(HOSTILE)]
    write_part(tmp_path / "p", documents, tokenizer, "parquet")
    return open_run(
        write_run(
            tmp_path, tokenizer, tokens=["p.npy"], dtype="uint32", eos_token_id=0, epochs=1,
            tokenizer=str(tokenizer), global_batch_size=2, order={"kind": "sequential"},
        )
    )  # fmt: skip


def test_text_of_a_corpus_does_nothing(hostile: Run) -> None:
    allowed = {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "span"),
        *("table", "caption", "thead", "tbody", "tr", "th", "td", "article", "section", "div"),
        *("pre", "details", "summary", "footer"),
    }
    for step in range(1, hostile.n_steps + 1):
        text = step_page(hostile, step)
        tags = parsed(text)
        assert {tag for tag, _ in tags.tags} <= allowed
        names = {name for _, attributes in tags.tags for name in attributes}
        assert not any(name.startswith("on") or name in ("href", "src") for name in names)
        acting = [c for c in text if ord(c) < 32 and c not in "\n\t"]
        acting += [c for c in text if 0x202A <= ord(c) <= 0x202E or ord(c) in (0x200B, 0xFEFF)]
        assert acting == []
        for one in trace_step(hostile, step).instances:
            for part in one.documents:
                assert part.id in "".join(tags.text)


def test_what_would_act_is_named(hostile: Run) -> None:
    named = set()
    for step in range(1, hostile.n_steps + 1):
        made = step_page(hostile, step)
        for one in trace_step(hostile, step).instances:
            text = "".join(part.text for part in one.documents)
            for character in text.replace("\r\n", "\n"):
                if character in "\x00\x1b\u202e\u200b\ufeff\r":
                    named.add(character)
                    assert f"<span class=mark>U+{ord(character):04X}</span>" in made
    assert {"\x00", "\x1b"} <= named


def test_everything_is_on_the_page(run_yaml: Path) -> None:
    run = open_run(run_yaml)
    answer = trace_step(run, 2, Ranks(None, None, 2))
    text = step_page(run, 2, Ranks(None, None, 2))
    said = "".join(parsed(text).text)
    for one in answer.instances:
        assert f"Instance {one.instance}" in said
        assert f"position {one.position}, rank {one.rank}, micro-batch {one.micro_batch}" in said
        for part in one.documents:
            assert part.id in said
            assert part.text.replace("�", "") in said.replace("�", "")
    assert text.count("context only: token 0") == len(answer.instances)
    assert run.fingerprint in said
    ends = sum(len(i.documents) - 1 for i in answer.instances)
    assert text.count("<span class=mark>EOS</span>") - 1 >= ends
    assert len(set(re.findall(r"id=(\w+)", text))) == len(re.findall(r"id=(\w+)", text))


def test_long_text_is_folded(tmp_path: Path, tokenizer: Path) -> None:
    text = "word and more " * 4000
    write_part(tmp_path / "p", [("long", "web", text)], tokenizer, "parquet")
    n_tokens = (tmp_path / "p.npy").stat().st_size // 4
    run = open_run(
        write_run(
            tmp_path, tokenizer, tokens=["p.npy"], dtype="uint32", eos_token_id=0, epochs=1,
            tokenizer=str(tokenizer), global_batch_size=1, order={"kind": "sequential"},
            sequence_length=n_tokens // T * T,
        )
    )  # fmt: skip
    made = step_page(run, 1)
    shown = len(Tokenizer.from_file(str(tokenizer)).decode(run.files[0].read(0, n_tokens).tolist()))
    assert "<details><summary>" in made
    assert f"{shown - page.MOST_CHARACTERS:,} characters more" in made or len(made) < 60_000
    assert len(made) < 2 * page.MOST_CHARACTERS + 10_000
    assert WEB[0][2] not in made
