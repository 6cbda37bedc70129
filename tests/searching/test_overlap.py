"""`search overlap`: spans of texts, their documents and steps, the page, and what is refused."""

from __future__ import annotations

import doctest
import hashlib
import io
import json
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from dolma_kit.cli.search_overlap import add_overlap_commands, overlap_text
from dolma_kit.errors import ConfigError, DataError, DolmaKitError, MissingInput
from dolma_kit.order.asking import phrases
from dolma_kit.order.run import Run, open_run
from dolma_kit.searching import building, infini_gram, overlap, spans
from dolma_kit.searching.overlap import MOST_BYTES, Overlap, OverlapSearch
from dolma_kit.searching.overlap_page import overlap_page
from dolma_kit.searching.queries import open_searcher
from dolma_kit.tokens import store

from ..order.tiny_run import CODE, WEB, train_tokenizer, write_part, write_run

PARTS = [WEB, CODE]
PADDED = ("end", "c3")  # the last of each part repeats its last token
TEXT = (
    "He said: the quick brown fox jumps over the lazy dog, then naïve café 🦊 sleeps. the dog "
    "sleeps all day\nfor dog in dogs:\n    print(dog)\none two, a comma and a"
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tiny.json"
    train_tokenizer(path)
    return path


def record(folder: Path, tokenizer: Path, n_documents: list[int]) -> None:
    """A tokens.json with all keys, and the index."""
    parts = [
        store.Part(path=path.name, documents=n, tokens=path.stat().st_size // 4)
        for path, n in zip(sorted(folder.glob("*.npy")), n_documents, strict=True)
    ]
    (folder / tokenizer.name).write_bytes(tokenizer.read_bytes())
    store.Record(
        tokenizer=tokenizer.name,
        tokenizer_sha256=hashlib.sha256(tokenizer.read_bytes()).hexdigest(),
        encoder="tokenizers", eos_token_id=0, pad_token_id=None, vocab_size=300, dtype="uint32",
        sequence_length=8, documents=sum(n_documents), tokens=sum(p.tokens for p in parts),
        parts=parts,
    ).write(str(folder))  # fmt: skip
    building.build(tokens=str(folder), quiet=True)


def indexed_run(folder: Path, tokenizer: Path, **changed: Any) -> Path:
    """A tiny run whose tokens have an index."""
    path = write_run(folder, tokenizer, **changed)
    record(folder / "tokens", tokenizer, [len(WEB), len(CODE)])
    return path


@pytest.fixture(scope="module")
def run_yaml(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    return indexed_run(tmp_path_factory.mktemp("run"), tokenizer)


def search_of(run_yaml: Path, with_run: bool = True) -> OverlapSearch:
    searcher = open_searcher([str(run_yaml.parent / "tokens")])
    return OverlapSearch(searcher, open_run(run_yaml) if with_run else None)


Ask = Callable[..., str]


@pytest.fixture
def ask() -> Ask:
    """Runs `search COMMAND`; an error is raised."""

    def command(*arguments: object, stdin: bytes | None = None) -> str:
        app = typer.Typer()
        add_overlap_commands(app)
        done = CliRunner().invoke(app, [str(one) for one in arguments], input=stdin)
        if isinstance(done.exception, DolmaKitError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return command


def texts_of(parts: list[list[tuple[str, str, str]]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in parts:
        for one, _, text in part:
            found.setdefault(one, []).append(text)
    return found


def test_spans_stand_in_the_text_and_in_their_documents(run_yaml: Path) -> None:
    answer = search_of(run_yaml, with_run=False).find(TEXT, rule="none", keep_share=None)
    texts = texts_of(PARTS)
    assert answer.n_spans == len(answer.spans) > 10
    assert answer.n_covered <= answer.n_tokens
    for span in answer.spans:
        assert span.text == TEXT[span.start_char : span.end_char]
        assert 0 < len(span.occurrences) <= span.count
        assert span.first_step is None
        for one in span.occurrences:
            document = answer.documents[one.document]
            assert answer.spans.index(span) in document.spans
            assert document.start <= one.token < document.end
            assert one.seen is one.never is one.whole is None
            # A token may be a part of a character: of 🦊, four.
            if "\ufffd" not in one.match:
                assert one.match == span.text
            whole = one.before + one.match + one.after
            if "\ufffd" not in whole and document.id not in PADDED:
                assert any(whole in text for text in texts[document.id])
    logs = [span.log_probability for span in answer.spans]
    assert logs == sorted(logs)
    assert " quick brown fox jumps over the lazy dog, then" in {span.text for span in answer.spans}


def test_olmotrace_takes_whole_words_without_periods(run_yaml: Path) -> None:
    answer = search_of(run_yaml, with_run=False).find(TEXT, keep_share=None)
    assert answer.spans
    for span in answer.spans:
        before, after = TEXT[: span.start_char], TEXT[span.end_char :]
        inside = TEXT[span.start_char : span.end_char]
        assert not re.search(r"\w\Z", before) or not re.match(r"\w", inside)
        assert not re.search(r"\w\Z", inside) or not re.match(r"\w", after)
        assert not re.search(r"[.\n](?=.)", inside.rstrip("\n "))


def test_the_rarest_twentieth_is_kept_by_default(run_yaml: Path) -> None:
    search = search_of(run_yaml, with_run=False)
    whole, some = search.find(TEXT, keep_share=None), search.find(TEXT)
    n = -(-whole.n_tokens // 20)
    assert [one.text for one in some.spans] == [one.text for one in whole.spans[:n]]
    assert some.n_spans == whole.n_spans > n


@pytest.mark.parametrize(
    ("terms", "kept"),
    [
        ({"min_length": 6}, lambda span: span.end - span.start >= 6),
        ({"max_count": 1}, lambda span: span.count == 1),
    ],
)
def test_terms(run_yaml: Path, terms: dict[str, int], kept: Callable[[Any], bool]) -> None:
    search = search_of(run_yaml, with_run=False)
    whole = search.find(TEXT, rule="none", keep_share=None)
    some = search.find(TEXT, rule="none", keep_share=None, **terms)  # type: ignore[arg-type]
    assert [one.text for one in some.spans] == [one.text for one in whole.spans if kept(one)]
    assert 0 < len(some.spans) < len(whole.spans)


def test_documents_of_a_span_are_as_many_as_asked_for(run_yaml: Path) -> None:
    search = search_of(run_yaml, with_run=False)
    for n in (0, 1, 2, 50):
        answer = search.find("the", rule="none", documents=n)
        (span,) = answer.spans
        assert len(span.occurrences) == len(answer.documents) == min(n, 5)
        assert span.count == 5


def test_two_indexes_are_asked_as_one(run_yaml: Path, tmp_path: Path, tokenizer: Path) -> None:
    folder = tmp_path / "more"
    write_part(folder / "part-00000", [("m1", "more", "the lazy fox")], tokenizer, "parquet")
    record(folder, tokenizer, [1])
    both = OverlapSearch(open_searcher([str(run_yaml.parent / "tokens"), str(folder)]))
    answer = both.find("so the lazy fox", keep_share=None)
    found = [one for one in answer.spans if one.text == " the lazy fox"]
    assert not found  # it stands at the begin there: no space before it
    assert {one.id for one in answer.documents if one.index == str(folder)} == {"m1"}
    alone = OverlapSearch(open_searcher([str(folder)])).find("the lazy fox")
    assert [one.text for one in alone.spans] == ["the lazy fox"]
    assert both.find("the lazy fox", keep_share=None).spans[0].count == 1


def hits_of(run: Run, phrase: str, until: int | None) -> dict[tuple[str, str, int], Any]:
    answer = phrases.trace_text(run, phrase, limit=10**6, until=until)
    return {(hit.src, hit.id, hit.doc_start): hit for hit in answer.hits}


@pytest.mark.parametrize(
    "changed",
    [{}, {"order": {"kind": "feistel", "seed": 3}, "epochs": 3}, {"sequence_length": 16}],
)
@pytest.mark.parametrize("until", [None, 1, 4])
def test_steps_are_those_of_trace_text(
    tmp_path: Path, tokenizer: Path, changed: dict[str, Any], until: int | None
) -> None:
    run_yaml = indexed_run(tmp_path, tokenizer, **changed)
    search = search_of(run_yaml)
    answer = search.find(TEXT, rule="none", keep_share=None, until=until)
    assert search.run is not None
    n_compared = 0
    for span in answer.spans:
        if "\ufffd" in span.occurrences[0].match:
            continue
        hits = hits_of(search.run, span.occurrences[0].match, until)
        steps = []
        for one in span.occurrences:
            document = answer.documents[one.document]
            hit = hits[document.src, document.id, one.token - document.start]
            assert (one.seen, one.never, one.whole) == (hit.seen, hit.never, hit.whole)
            assert hit.doc_end - hit.doc_start == span.end - span.start
            steps += [s.step for s in hit.seen]
            n_compared += 1
        assert span.first_step == min(steps, default=None)
        assert span.last_step == max(steps, default=None)
    assert n_compared > 10


def test_before_and_at(run_yaml: Path, tmp_path: Path, ask: Ask) -> None:
    """What was seen before a step, up to a step, and up to a revision's step."""
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    command = ["overlap", file, "--index", run_yaml.parent / "tokens", "--run", run_yaml, "--json"]

    def told(*arguments: object) -> Any:
        return json.loads(ask(*command, "--all", "--rule", "none", *arguments))

    steps = {s["step"] for span in told()["spans"] for o in span["occurrences"] for s in o["seen"]}
    last = max(steps)
    assert min(steps) < last
    before = told("--before", last)
    seen = [s["step"] for span in before["spans"] for o in span["occurrences"] for s in o["seen"]]
    assert set(seen) == steps - {last}
    assert before == told("--at", last - 1) == told("--at", f"step{last - 1}-tokens1B")
    assert before["until"] == last - 1
    nothing = told("--before", 1)
    occurrences = [o for span in nothing["spans"] for o in span["occurrences"]]
    assert all(o["seen"] == [] and o["never"] for o in occurrences)
    assert any(o["never"] == "not-reached" for o in occurrences)
    assert "first_step" not in nothing["spans"][0]


def test_answers_of_the_command(run_yaml: Path, tmp_path: Path, ask: Ask) -> None:
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    index = run_yaml.parent / "tokens"
    said = ask("overlap", file, "--index", index, "--json")
    answer = msgspec.json.decode(said, type=Overlap)
    assert answer == search_of(run_yaml, with_run=False).find(TEXT)
    assert ask("overlap", "-", "--index", index, "--json", stdin=TEXT.encode()) == said
    shown = ask("overlap", file, "--index", index, "--run", run_yaml)
    assert shown.startswith(f"{answer.n_tokens} tokens, ")
    assert "[1] quick brown fox jumps over the lazy dog, the" in shown
    assert re.search(r"w1 \(web, web.jsonl.gz:1, token \d+, (low|medium|high)\): step", shown)
    few = ask("overlap", "-", "--index", index, "--documents", 1, "--rule", "none", stdin=b"the")
    assert re.search(r"\.\.\. and \d+ occurrences more", few)


class Checked(HTMLParser):
    """Tags that are open; all text; attributes that could load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.texts.append(data)


EVIL = (
    "<script>alert(1)</script> & <img src=x onerror=alert(2)> \"quoted\" 'single' </div></pre> "
    "\x1b[31m \u202eevil\u202c \x00 &amp; fox"
)
OTHER = "العربية لغة جميلة\nעברית\n👩‍💻 🦊\r\n\tdef f(x):\n\t\treturn x < 3\n" + "word " * 3000


def test_the_page_escapes_and_loads_nothing(tmp_path: Path, tokenizer: Path) -> None:
    folder = tmp_path / "tokens"
    documents = [("<b>id</b>", "we&b", EVIL), ("other", "web", OTHER), ("'x", "web", "fox " + EVIL)]
    write_part(folder / "part-00000", documents, tokenizer, "parquet")
    record(folder, tokenizer, [3])
    search = OverlapSearch(open_searcher([str(folder)]))
    text = EVIL + "\n" + OTHER + " ends here"
    answer = search.find(text, keep_share=None)
    html = overlap_page(answer)
    checked = Checked()
    checked.feed(html)
    checked.close()
    assert checked.open == []
    tags = [tag for tag, _ in checked.seen]
    assert tags.count("script") == 1
    assert not {"img", "link", "iframe", "object", "base", "form"} & set(tags)
    for tag, attributes in checked.seen:
        assert not any(name.startswith("on") or name == "src" for name in attributes), tag
        assert attributes.get("href", "#s0").startswith("#s")  # type: ignore[union-attr]
    assert "://" not in html
    shown = "".join(checked.texts)
    assert "<script>alert(1)</script>" in shown
    assert "U+202E" in shown
    assert not re.search("[\x00\x1b\u202e\u202c]", html)
    assert "👩‍💻" in html  # joiners stay, or scripts and emoji fall apart
    told = overlap_text(answer)
    assert not re.search("[\x00\x1b\u202e]", told)
    articles = [attributes["id"] for tag, attributes in checked.seen if tag == "article"]
    assert articles == [f"s{n}" for n in range(len(answer.spans))]


def test_the_page_marks_each_span_where_it_stands(run_yaml: Path) -> None:
    answer = search_of(run_yaml).find(TEXT, rule="none", keep_share=None)
    (inner,) = re.findall(r"<div class=text>(.*?)</div><aside", overlap_page(answer), re.DOTALL)
    marked: dict[int, str] = {}
    for numbers, text in re.findall(r"<a class=s\d href=#s\d+ data-s='([\d ]+)'>(.*?)</a>", inner):
        for number in numbers.split():
            marked[int(number)] = marked.get(int(number), "") + text
    for number, span in enumerate(answer.spans):
        if span.text.strip() and "\n" not in span.text:
            assert marked[number] == span.text.strip()
    assert re.sub(r"<.*?>", "", inner) == TEXT


def test_html_of_the_command(run_yaml: Path, tmp_path: Path, ask: Ask) -> None:
    out = tmp_path / "page.html"
    index = run_yaml.parent / "tokens"
    said = json.loads(
        ask(
            "overlap", "-", "--index", index, "--run", run_yaml, "--before", 3, "--html", out,
            stdin=TEXT.encode(),
        )
    )  # fmt: skip
    assert said["outputs"] == [str(out)]
    html = out.read_text(encoding="utf-8")
    assert said["bytes_out"] == out.stat().st_size
    assert "up to step 2" in html
    none = tmp_path / "none.html"
    ask("overlap", "-", "--index", index, "--html", none, stdin="日".encode())
    assert "No span of this text stands" in none.read_text(encoding="utf-8")


def test_examples_are_true() -> None:
    for module in (overlap, spans, infini_gram):
        tried = doctest.testmod(module)
        assert tried.attempted > 0
        assert tried.failed == 0


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", ConfigError, "is empty: give some text"),
        (b"fine \xff not", DataError, "byte 5 is no UTF-8"),
        (b"cut \xf0\x9f\xa6", DataError, "byte 4 is no UTF-8"),
        (b"a" * (10 << 20), ConfigError, "has more than 1,048,576 bytes"),
    ],
)
def test_bad_texts(
    run_yaml: Path,
    tmp_path: Path,
    ask: Ask,
    data: bytes,
    error: type[DolmaKitError],
    message: str,
) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(data)
    with pytest.raises(error, match=message):
        ask("overlap", file, "--index", run_yaml.parent / "tokens")
    with pytest.raises(error, match=message):
        ask("overlap", "-", "--index", run_yaml.parent / "tokens", stdin=data)


def test_the_largest_text_is_answered_in_time(run_yaml: Path) -> None:
    search = search_of(run_yaml, with_run=False)
    started = time.perf_counter()
    text = (WEB[0][2] + " ") * (MOST_BYTES // 80)
    answer = search.find(text, documents=1)
    assert answer.n_spans > 10_000
    assert len(answer.documents) <= len(WEB) + len(CODE)
    assert time.perf_counter() - started < 20.0
    with pytest.raises(ConfigError, match="a text of 1,048,577 bytes"):
        search.find("a" * (MOST_BYTES + 1))
    with pytest.raises(ConfigError, match="an empty text shares nothing"):
        search.find("")


def test_bad_requests(run_yaml: Path, tmp_path: Path, tokenizer: Path, ask: Ask) -> None:
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    index = run_yaml.parent / "tokens"
    for arguments, error, message in (
        ([tmp_path / "none"], MissingInput, "no file"),
        ([tmp_path], ConfigError, "Is a directory"),
        ([file, "--before", 3], ConfigError, "name the --run"),
        ([file, "--run", run_yaml, "--before", 3, "--at", 2], ConfigError, "not both"),
        ([file, "--run", run_yaml, "--before", 0], ConfigError, "steps count from 1"),
        ([file, "--min-length", 0], ConfigError, "a least length of 0"),
        ([file, "--keep-share", 0], ConfigError, "a share of 0.0 to keep"),
    ):
        with pytest.raises(error, match=message):
            ask("overlap", *arguments, "--index", index)
    with pytest.raises(ConfigError, match="no index: name a folder"):
        ask("overlap", file)
    with pytest.raises(MissingInput, match="no index at"):
        ask("overlap", file, "--index", tmp_path)


def test_an_index_of_another_tokenizer(
    run_yaml: Path, tmp_path: Path, tokenizer: Path, ask: Ask
) -> None:
    changed = tmp_path / "changed.json"
    changed.write_bytes(tokenizer.read_bytes() + b"\n")
    other = tmp_path / "other"
    write_part(other / "part-00000", WEB, changed, "parquet")
    record(other, changed, [len(WEB)])
    arguments = ["--index", run_yaml.parent / "tokens", "--index", other]
    with pytest.raises(ConfigError, match="of different tokenizers"):
        ask("overlap", "-", *arguments, stdin=b"the")


def test_a_run_of_other_tokens(run_yaml: Path, tmp_path: Path, tokenizer: Path) -> None:
    other = indexed_run(tmp_path, tokenizer)
    tokens = str(run_yaml.parent / "tokens")
    with pytest.raises(ConfigError, match="of which no --index is"):
        OverlapSearch(open_searcher([tokens]), open_run(other))
    with pytest.raises(ConfigError, match="does not train on it"):
        OverlapSearch(open_searcher([tokens, str(tmp_path / "tokens")]), open_run(other))
    OverlapSearch(open_searcher([str(tmp_path / "tokens")]), open_run(other))


@pytest.mark.parametrize(
    ("text", "offsets", "expected"),
    [
        ("a cat's", [(0, 1), (1, 5), (5, 7)], "1101"),
        ("naïve", [(0, 2), (2, 3), (2, 3), (3, 5)], "10001"),  # ï as two tokens
        ("日本", [(0, 1), (1, 2)], "111"),  # each is a word of its own
        ("a  b", [(0, 1), (1, 2), (2, 4)], "1111"),
        ("a b", [(0, 1), (2, 3)], "111"),  # offsets without white space
        ("3.14", [(0, 1), (1, 2), (2, 4)], "1001"),
        ("👩‍💻", [(0, 1), (1, 2), (2, 3)], "1001"),
    ],
)
def test_word_boundaries(text: str, offsets: list[tuple[int, int]], expected: str) -> None:
    found = overlap.word_boundaries(text, offsets)
    assert "".join(str(int(one)) for one in found) == expected


def test_bm25_ranks_what_shares_rarer_words_higher() -> None:
    documents = ["the fox", "the dog", "the red fox in the snow", "", "the the the"]
    scores = overlap.bm25("The red fox", documents)
    assert sorted(range(5), key=lambda i: -scores[i]) == [2, 0, 4, 1, 3]
    assert scores[3] == 0.0
    assert overlap.bm25("x", []) == []


@pytest.mark.parametrize(
    ("score", "expected"), [(12.6, "high"), (12.5, "medium"), (9.0, "medium"), (8.9, "low")]
)
def test_levels_are_those_of_olmotrace(score: float, expected: str) -> None:
    assert overlap.level(score, 100) == expected


def test_stdin_is_read_no_farther_than_may_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, ask: Ask, run_yaml: Path
) -> None:
    class Endless(io.RawIOBase):
        n_read = 0

        def read(self, size: int = -1) -> bytes:
            assert 0 < size <= MOST_BYTES + 1
            self.n_read += size
            return b"a" * size

    from dolma_kit.cli import search_overlap

    endless = Endless()
    monkeypatch.setattr(search_overlap.sys, "stdin", type("Stdin", (), {"buffer": endless}))
    with pytest.raises(ConfigError, match="- has more than"):
        search_overlap._text("-")
    assert endless.n_read <= MOST_BYTES + 1
