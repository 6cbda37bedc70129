"""`dolma-kit search ...` for token indexes: what each command prints, and what it refuses."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.conftest import RunCommand
from tests.searching.test_index import Doc, build, write_tokens
from tests.searching.test_queries import EOS, EOS_ID, TEXTS, train

WEB = ["the quick brown fox", "The lazy fox,\r\nthe café", f"no {EOS} end", "naïve \ufffd \0 🦊"]
COMMANDS = ("count", "find", "docs", "next", "infgram", "cnf", "regex")
BY_TEXT = ("count", "find", "docs", "next", "infgram")


@pytest.fixture(autouse=True)
def one_tree_of_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Typer makes all commands anew for each line, which takes longer than most lines here."""
    monkeypatch.setattr(typer.main, "get_command", _get_command)


_get_command = functools.cache(typer.main.get_command)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("tokenizer") / "tiny.json", texts=[*TEXTS, *WEB])


@pytest.fixture(scope="module")
def tokens(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    encode = Tokenizer.from_file(str(tokenizer)).encode
    parts = [
        [Doc(f"w{i}", [*encode(text).ids, EOS_ID]) for i, text in enumerate(WEB[:2])],
        [Doc(f"c{i}", [*encode(text).ids, EOS_ID], None) for i, text in enumerate(WEB[2:])],
    ]
    folder = tmp_path_factory.mktemp("tokens") / "t"
    build(write_tokens(folder, parts, tokenizer=tokenizer, eos=EOS_ID))
    return folder


def ids_of(tokenizer: Path, text: str) -> str:
    return ",".join(map(str, Tokenizer.from_file(str(tokenizer)).encode(text).ids))


def test_count(tokens: Path, tokenizer: Path, dolma_kit: RunCommand) -> None:
    for arguments, n in (
        (["the"], 2), (["the", "--ignore-case"], 3), ([EOS], 1), (["fox,\r\nt"], 1), (["\0"], 1),
        (["--ids", "0"], 5), (["--ids", "0,0"], 0), (["--ids", ids_of(tokenizer, WEB[0])], 1),
    ):  # fmt: skip
        answer = dolma_kit("search", "count", *arguments, "--index", tokens)
        assert (answer.code, answer.out, answer.err) == (0, f"{n}\n", "")
        answer = dolma_kit("search", "count", *arguments, "--index", tokens, "--json")
        query = arguments[1].replace(",", " ") if arguments[0] == "--ids" else arguments[0]
        assert json.loads(answer.out) == {"query": query, "count": n}
    answer = dolma_kit("search", "count", "the", "--index", tokens, "--index", tokens)
    assert answer.out == "4\n"
    answer = dolma_kit("search", "count", "--index", tokens, "--", "--index")
    assert answer.out == "0\n"


def test_find(tokens: Path, dolma_kit: RunCommand) -> None:
    answer = dolma_kit("search", "find", "fox", "--index", tokens)
    lines = answer.out.split("\n")
    assert lines[0] == "2 occurrences of 'fox'"
    assert all(line.startswith(f"{tokens}/part-00000.npy: token ") for line in lines[1:3])
    found = dolma_kit("search", "find", "fox", "--index", tokens, "--json").json
    assert found["count"] == len(found["positions"]) == 2
    for line, one in zip(lines[1:], found["positions"], strict=False):
        inside = f", from byte {one['offset']} of the first" if one["offset"] else ""
        assert line == (
            f"{one['index']}/{one['part']}: token {one['token']}, {one['n_tokens']} tokens{inside}"
        )
    inner = dolma_kit("search", "find", "rown", "--index", tokens).out
    assert "of the first" in inner or "tokens\n" in inner
    answer = dolma_kit("search", "find", "fox", "--index", tokens, "--limit", 0)
    assert answer.out == "2 occurrences of 'fox'\n"
    assert dolma_kit("search", "find", "nothing", "--index", tokens).out == (
        "0 occurrences of 'nothing'\n"
    )


def test_docs(tokens: Path, dolma_kit: RunCommand) -> None:
    answer = dolma_kit("search", "docs", "the", "--index", tokens)
    assert answer.out == (
        "2 occurrences of 'the' in 2 documents\n"
        "\nw0 (web.jsonl.gz:1, web)\n  [the] quick brown fox\n"
        "\nw1 (web.jsonl.gz:2, web)\n  The lazy fox,\\r\\n[the] café\n"
    )
    answer = dolma_kit("search", "docs", "fox", "--index", tokens, "--context", 0, "--json")
    assert answer.out.count("\n") == 1
    assert [one["id"] for one in answer.json["shown"]] == ["w0", "w1"]
    assert {one["match"] for one in answer.json["shown"]} == {"fox"}
    answer = dolma_kit("search", "docs", "e", "--index", tokens, "--limit", 1)
    assert ", 2 times\n" not in answer.out.split("\n")[0]
    answer = dolma_kit("search", "docs", "o", "--index", tokens, "--limit", 1)
    assert "\nw0 (web.jsonl.gz:1, web), 2 times\n" in answer.out
    # No source, and characters that a terminal would act on.
    answer = dolma_kit("search", "docs", "naïve", "--index", tokens)
    assert "\nc1 (None.jsonl.gz:2)\n  [naïve] \ufffd \\x00 🦊\n" in answer.out


@pytest.mark.parametrize("command", ["next", "infgram"])
def test_what_follows(tokens: Path, tokenizer: Path, dolma_kit: RunCommand, command: str) -> None:
    ids = ids_of(tokenizer, WEB[0])
    n = len(ids.split(","))
    answer = dolma_kit("search", command, WEB[0], "--index", tokens, "--token", 0)
    assert answer.out == (
        f"1 occurrences of the last {n} of {n} tokens, 'the quick brown fox'; 1 different tokens "
        f"follow\n 100.00%            1        0  {EOS!r}\nprobability of the token asked for: 1\n"
    )
    by_text = dolma_kit("search", command, WEB[0], "--index", tokens, "--json")
    assert by_text.json == {
        "query": WEB[0], "asked": n, "used": n, "text": WEB[0], "count": 1, "distinct": 1,
        "next": [{"id": 0, "text": EOS, "count": 1, "share": 1.0}], "probability": None,
    }  # fmt: skip
    by_ids = dolma_kit("search", command, "--ids", ids, "--index", tokens, "--json")
    assert by_ids.json == by_text.json | {"query": ids.replace(",", " ")}
    answer = dolma_kit("search", command, "--ids", "0", "--index", tokens, "--limit", 0)
    assert answer.out == (
        f"5 occurrences of the last 1 of 1 tokens, {EOS!r}; 3 different tokens follow\n"
    )
    answer = dolma_kit("search", command, "--ids", f"99999,{ids}", "--index", tokens, "--json")
    assert (answer.json["used"], answer.json["count"]) == (
        (n, 1) if command == "infgram" else (n + 1, 0)
    )


def test_cnf(tokens: Path, dolma_kit: RunCommand) -> None:
    command = ["search", "cnf", "fox OR 🦊", "the", "--index", tokens]
    answer = dolma_kit(*command)
    lines = answer.out.split("\n")
    assert lines[:3] == [
        "3 occurrences of 'fox' OR '🦊'",
        "2 occurrences of 'the'",
        "2 of them within 100 tokens of all others, in 2 documents",
    ]
    assert "  [the] quick brown fox" in lines  # the rarest clause
    found = dolma_kit(*command, "--json")
    assert found.out.count("\n") == 1
    assert found.json["query"] == [["fox", "🦊"], ["the"]]
    assert (found.json["count"], found.json["occurrences"]) == (2, [3, 2])
    answer = dolma_kit(*command, "--within", 0, "--limit", 0)
    assert " of them within 0 tokens of all others, in " in answer.out
    answer = dolma_kit(*command, "--max-occurrences", 1, "--limit", 0)
    assert answer.out.endswith("documents at least, as not all were looked at\n")
    answer = dolma_kit(*command, "--ignore-case", "--json")
    assert answer.json["occurrences"] == [3, 3]


def test_regex(tokens: Path, dolma_kit: RunCommand) -> None:
    command = ["search", "regex", r"f\wx|🦊", "--index", tokens]
    answer = dolma_kit(*command)
    assert answer.out == (
        "3 matches in 3 documents; 4 looked at, all\n"
        "\nw0 (web.jsonl.gz:1, web), characters 16 to 19\n  the quick brown [fox]\n"
        "\nw1 (web.jsonl.gz:2, web), characters 9 to 12\n  The lazy [fox],\\r\\nthe café\n"
        "\nc1 (None.jsonl.gz:2), characters 10 to 11\n  naïve \ufffd \\x00 [🦊]\n"
    )
    found = dolma_kit(*command, "--json")
    assert (found.out.count("\n"), found.json["count"], found.json["literal"]) == (1, 3, None)
    answer = dolma_kit("search", "regex", "(?i)the ", "--index", tokens, "--limit", 0)
    assert answer.out == "3 matches in 2 documents; 2 looked at, those that hold 'the '\n"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("text", ["the", f"-{EOS}", "é\0\r\n\x1b\x9b'"])
def test_json_is_one_line(tokens: Path, dolma_kit: RunCommand, command: str, text: str) -> None:
    answer = dolma_kit("search", command, "--index", tokens, "--json", "--", text)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("\n") == 1
    assert answer.out.endswith("\n")
    assert isinstance(json.loads(answer.out), dict)
    shown = dolma_kit("search", command, "--index", tokens, "--", text)
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert not {"\0", "\x9b"} & set(shown.out)


def test_what_is_no_utf8(tokens: Path, dolma_kit: RunCommand) -> None:
    """Bytes of the command line that are no UTF-8 are looked for as they are, and JSON has them
    in words."""
    for command in ("count", "find", "docs"):
        answer = dolma_kit("search", command, "caf\udcc3", "--index", tokens, "--json")
        assert (answer.code, answer.err) == (0, "")
        assert (answer.json["query"], answer.json["count"]) == ("caf\\xc3", 1)
        shown = dolma_kit("search", command, "caf\udcc3", "--index", tokens)
        assert shown.code == 0, shown.err
        shown.out.encode()
    answer = dolma_kit("search", "cnf", "caf\udcc3 OR fox", "the", "--index", tokens, "--json")
    assert (answer.json["query"], answer.json["occurrences"]) == (
        [["caf\\xc3", "fox"], ["the"]], [3, 2],
    )  # fmt: skip
    for command in ("next", "infgram"):
        answer = dolma_kit("search", command, "caf\udcc3", "--index", tokens)
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
        assert "no valid UTF-8: give --ids" in answer.err


def test_such_bytes_from_a_shell(tokens: Path) -> None:
    command = [sys.executable, "-m", "dolma_kit", "search", "docs", b"caf\xc3", "--index",
               str(tokens), "--json"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert (found["query"], found["count"], found["shown"][0]["id"]) == ("caf\\xc3", 1, "w1")


# What is asked wrongly, and what the one line on stderr says.
WRONG: list[tuple[list[str], str]] = [
    *(([name, "x"], "no index: name a folder of tokens that has one with --index")
      for name in COMMANDS),
    (["docs", "x", "--index", "nowhere"], "no index at nowhere/search: make one with dolma-kit"),
    *(([name, "x", "--ids", "1", "--index", "TOKENS"], "give a text, or --ids")
      for name in BY_TEXT),
    *(([name, "--index", "TOKENS", "--json"], "give a text, or --ids") for name in BY_TEXT),
    *(([name, "--ids", "-1", "--index", "TOKENS"], "-1 is no token id") for name in BY_TEXT),
    *((["count", "--ids", ids, "--index", "TOKENS"], message)
      for ids, message in (
          ("1,x", "--ids 1,x: numbers, with commas between"),
          ("1.5", "--ids 1.5: numbers"),
          ("9" * 5000, "numbers, with commas between"),
          ("3,-1", "-1 is no token id"),
          (str(1 << 32), "4294967296 is no token id"),
          ("", "no ids: a query of no tokens is everywhere"),
          (" , ", "no ids"),
      )),
    (["next", "--ids", "1,x", "--index", "TOKENS"], "--ids 1,x: numbers, with commas between"),
    (["infgram", "--ids", "", "--index", "TOKENS"], "no ids: a query of no tokens is everywhere"),
    *(([name, "", "--index", "TOKENS"], "an empty phrase is everywhere: give some text")
      for name in ("count", "find", "docs")),
    *(([name, "", "--index", "TOKENS"], "an empty text has no tokens: give some")
      for name in ("next", "infgram")),
    *(([name, "\ud800", "--index", "TOKENS"], "half a surrogate pair")
      for name in ("count", "find", "docs", "cnf")),
    *(([name, "\ud800", "--index", "TOKENS"], "is no valid UTF-8")
      for name in ("next", "infgram", "regex")),
    (["cnf", "--index", "TOKENS"], "Missing argument 'CLAUSE...'"),
    (["cnf", "", "--index", "TOKENS"], "the clause '' has an empty phrase"),
    (["cnf", "a OR ", "b", "--index", "TOKENS"], "the clause 'a OR ' has an empty phrase"),
    (["cnf", "a", "--within", "-1", "--index", "TOKENS"], "Invalid value for '--within'"),
    (["cnf", "a", "--max-occurrences", "0", "--index", "TOKENS"], "'--max-occurrences'"),
    (["regex", "--index", "TOKENS"], "Missing argument 'PATTERN'"),
    (["regex", "", "--index", "TOKENS", "--json"], "an empty expression matches everywhere"),
    (["find", "a", "--limit", "-1", "--index", "TOKENS"], "Invalid value for '--limit'"),
    (["docs", "a", "--context", "-1", "--index", "TOKENS"], "Invalid value for '--context'"),
    (["count", "a", "--tokenizer", "no.json", "--index", "TOKENS"], "no tokenizer 'no.json'"),
    (["next", "--ids", "1", "--tokenizer", "no.json", "--index", "TOKENS"], "no tokenizer"),
    (["bogus"], "No such command 'bogus'; see `dolma-kit search --help`"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"), WRONG, ids=[ascii(" ".join(a))[:50] for a, _ in WRONG]
)
def test_a_wrong_question_is_one_line_and_exit_code_2(
    tokens: Path, dolma_kit: RunCommand, arguments: list[str], message: str
) -> None:
    arguments = [str(tokens) if one == "TOKENS" else one for one in arguments]
    answer = dolma_kit("search", *arguments)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert answer.err.startswith("dolma-kit: ")
    assert message in answer.err
    assert len(answer.err) < 400


@pytest.mark.parametrize("command", COMMANDS)
def test_a_text_of_10_mb(tokens: Path, dolma_kit: RunCommand, command: str) -> None:
    """One line, and none of the text in it."""
    text = "to be or not " * 800_000
    answer = dolma_kit("search", command, text, "--index", tokens)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert len(answer.err) < 200
    assert "at most 1,048,576" in answer.err or "at most 65,536" in answer.err
    if command in ("count", "find", "docs", "cnf"):
        assert "a phrase of 10,400,000 bytes: at most 65,536 can be found" in answer.err


def test_a_tokenizer_that_is_not_byte_level(tmp_path: Path, dolma_kit: RunCommand) -> None:
    other = Tokenizer(models.BPE(unk_token="?"))
    other.pre_tokenizer = pre_tokenizers.Metaspace()
    other.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=90, special_tokens=[EOS, "?"], show_progress=False)
    other.train_from_iterator(TEXTS, trainer)
    other.save(str(tmp_path / "other.json"))
    ids = other.encode("the fox").ids
    tokens = write_tokens(
        tmp_path / "t", [[Doc("a", [*ids, EOS_ID])]], tokenizer=tmp_path / "other.json", eos=EOS_ID
    )
    build(tokens)
    for command in ("count", "find", "docs", "cnf", "regex"):
        answer = dolma_kit("search", command, "fox", "--index", tokens)
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
        assert "its tokenizer decodes by Metaspace" in answer.err
    # What is asked by tokens needs no bytes.
    shown = ",".join(map(str, ids))
    assert dolma_kit("search", "count", "--ids", shown, "--index", tokens).out == "1\n"
    for command in ("next", "infgram"):
        answer = dolma_kit("search", command, "the fox", "--index", tokens, "--json")
        assert (answer.code, answer.json["next"][0]["id"]) == (0, EOS_ID)


def test_a_group_alone_shows_its_commands(dolma_kit: RunCommand) -> None:
    answer = dolma_kit("search")
    assert (answer.code, answer.err) == (2, "")
    for command in ("index", *COMMANDS):
        assert f"  {command} " in answer.out
        shown = " ".join(dolma_kit("search", command, "--help").out.split())
        assert "--index" in shown or command == "index"


def test_a_dry_run_of_the_index(tokens: Path, tmp_path: Path, dolma_kit: RunCommand) -> None:
    answer = dolma_kit("search", "index", tokens, "--out", tmp_path / "o", "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    assert "sorting" in answer.out
    assert not (tmp_path / "o").exists()
