"""Answers against plain counting: every statistic, over a corpus with a bit of everything."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

import dolma_kit
from dolma_kit import files
from dolma_kit.errors import VerificationError
from dolma_kit.statistics.stage import stats
from tests.tokens.conftest import EOS, byte_level

from . import corpus as corpora
from . import oracle
from .corpus import Corpus
from .oracle import MISSING, Placed

TOP = 40
QUIET: dict[str, Any] = {"workers": 1, "quiet": True}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpora.build(tmp_path_factory.mktemp("corpus"))


def ask(name: str, corpus: Corpus, **keys: Any) -> Any:
    """One answer as plain data; what it is about is looked at, and left out."""
    keys = {"documents": corpus.arguments, **keys}
    found = stats(names=[name], **QUIET, **keys)
    assert list(found.answers) == [name]
    answer = msgspec.to_builtins(found.answers[name])
    about = answer.pop("about")
    assert set(about["files"]) == set(corpus.names)
    assert len(about["files"]) == len(corpus.names)
    n_documents = len(corpus.documents)
    if name == "ngrams" and "tokens" in keys:  # which have no empty ones
        n_documents -= sum(not document.text for document in corpus.documents)
    assert about["n_documents"] == n_documents
    assert found.texts[name].strip()
    return answer


def assert_same(found: Any, expected: Any, place: str = "") -> None:
    """Equal, floats but for rounding; `expected` may leave keys out."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), place
        for key, value in expected.items():
            assert key in found, f"{place}.{key}"
            assert_same(found[key], value, f"{place}.{key}")
        return
    if isinstance(expected, list):
        assert len(found) == len(expected), place
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert_same(a, b, f"{place}[{i}]")
        return
    if isinstance(expected, float) and found is not None:
        assert math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12), (place, found, expected)
        return
    assert found == expected, place


def assert_equal(found: Any, expected: Any) -> None:
    """The same, and nothing more."""
    assert_same(found, expected)
    assert _shape(found) == _shape(expected)


def _shape(value: Any) -> Any:
    return {k: _shape(v) for k, v in value.items()} if isinstance(value, dict) else None


@pytest.fixture(params=["whole files", "small pieces"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files come as one batch, or as many."""
    if request.param == "small pieces":
        monkeypatch.setattr(files, "READ_BYTES", 700)


# How much, how long, from where


@pytest.mark.usefixtures("pieces")
def test_summary(corpus: Corpus) -> None:
    assert_equal(ask("summary", corpus), oracle.summary(corpus.documents))


@pytest.mark.usefixtures("pieces")
def test_lengths(corpus: Corpus) -> None:
    answer = ask("lengths", corpus)
    spikes = {unit: one.pop("spikes") for unit, one in answer["units"].items()}
    assert_equal(answer, oracle.lengths(corpus.documents))
    by_character = {(one["source"], one["length"]) for one in spikes["characters"]}
    assert {("", corpora.SPIKE)} <= by_character
    for unit, found in spikes.items():
        for one in found:
            own = oracle.of_length(corpus.documents, unit, one["length"], one["source"])
            assert one["documents"] == len(own) >= 10
            assert one["examples"] == [{"file": d.file, "line": d.line} for d in own[:5]]
            assert one["expected"] * 3 <= one["documents"]
            assert 0 <= one["p_value"] <= 0.001


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("top", [3, TOP])
def test_urls(corpus: Corpus, top: int) -> None:
    answer = ask("urls", corpus, top=top)
    assert answer.pop("keys") == ["metadata.url", "url", "metadata.warc_url"]
    assert answer.pop("suffix_list").startswith("publicsuffixlist ")
    assert_equal(answer, oracle.urls(corpus.documents, corpus.urls, top))


@pytest.mark.usefixtures("pieces")
def test_dates(corpus: Corpus) -> None:
    answer = ask("dates", corpus)
    assert answer.pop("keys")[0] == "created"
    assert_equal(answer, oracle.dates(corpus.documents, corpus.dates))
    for period in ("years", "months"):
        assert list(answer[period]) == sorted(answer[period])


@pytest.mark.usefixtures("pieces")
def test_licenses(corpus: Corpus) -> None:
    answer = ask("licenses", corpus)
    assert answer.pop("keys")[0] == "metadata.license"
    assert answer.pop("attributes") == []
    assert_equal(answer, oracle.licenses(corpus.documents, corpus.licenses))


# What occurs how often


@pytest.mark.usefixtures("pieces")
def test_ngrams(corpus: Corpus) -> None:
    answer = ask("ngrams", corpus, top=TOP)
    assert answer["unit"] == "words"
    assert list(answer["lengths"]) == ["1", "2", "3", "5", "10", "100"]
    sequences = [oracle.words(document.text) for document in corpus.documents]
    places = [(document.file, document.line) for document in corpus.documents]
    for n, found in answer["lengths"].items():
        assert_same(found, oracle.ngrams(sequences, places, int(n), TOP), n)
        assert found["total"] > 0


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("separator", ["\n", " ", "tt"])
def test_duplicates(corpus: Corpus, separator: str) -> None:
    answer = ask("duplicates", corpus, top=TOP, separator=separator)
    largest = dict(answer["kinds"]["paragraph"]["largest"][0])
    check_duplicates(answer, corpus.documents, corpus.url_values(), TOP, separator)
    assert answer["kinds"]["text"]["removable"]["value"] > 20
    if separator == "\n":
        assert largest["excerpt"] in ("Subscribe to our newsletter", "All rights reserved")


def check_duplicates(
    answer: Any, documents: Sequence[Placed], urls: Sequence[Any], top: int, separator: str = "\n"
) -> None:
    """The answer against the oracle's; excerpts, which are not kept of all, are taken out."""
    expected = oracle.duplicates(documents, urls, top, separator)
    for kind, own in expected["kinds"].items():
        pairs = zip(answer["kinds"][kind]["largest"], own["largest"], strict=True)
        for found, cluster in pairs:
            texts, excerpt = cluster.pop("keys"), found.pop("excerpt")
            if excerpt is not None:
                assert kind == "paragraph"
                assert excerpt in [f"{text}{separator}"[:120].rstrip("\n") for text in texts] + [
                    text[:120].rstrip("\n") for text in texts
                ]
    assert_equal(answer, expected)


@pytest.mark.usefixtures("pieces")
def test_overlap(corpus: Corpus) -> None:
    answer = ask("overlap", corpus, documents=[str(corpus.folder)])
    for kind, (own, without) in oracle.keys(corpus.documents, corpus.url_values()).items():
        found = answer["kinds"][kind]
        assert (found["keys"], found["without"]) == (len(own), without)
        assert found["distinct"] == oracle.exactly(len({key.value for key in own}))


# What attributes say


@pytest.mark.usefixtures("pieces")
def test_languages(corpus: Corpus) -> None:
    answer = ask("languages", corpus)
    assert answer.pop("by") == "attributes lang__language_v1"
    assert_equal(answer, oracle.languages(corpus.documents, corpus.languages()))
    assert answer["missing"] == 52
    order = [(-one["documents"], name) for name, one in answer["languages"].items()]
    assert order == sorted(order)


@pytest.mark.usefixtures("pieces")
def test_pii_of_attributes(corpus: Corpus) -> None:
    answer = ask("pii", corpus, sample=7)
    assert answer.pop("by") == "attributes pii__pii_regex_v2"
    assert (answer.pop("sample"), answer.pop("seed")) == (7, 0)
    kinds = {kind: corpus.spans[f"pii__pii_regex_v2__{kind}"] for kind in oracle.PII}
    assert_equal(answer, oracle.findings(corpus.documents, kinds, 7))
    assert answer["total"]["missing"] == 52


@pytest.mark.usefixtures("pieces")
def test_pii_of_texts(corpus: Corpus) -> None:
    answer = ask("pii", corpus, experiments=["q"])
    assert answer.pop("by") == "pii_regex_with_counts_fast_v2"
    assert (answer.pop("sample"), answer.pop("seed")) == (100, 0)
    found = [oracle.pii(document.text) for document in corpus.documents]
    kinds = {kind: [one[kind] for one in found] for kind in oracle.PII}
    skipped = [document.text.count("?") > 10_000 for document in corpus.documents]
    assert_equal(answer, oracle.findings(corpus.documents, kinds, 100, skipped))
    assert answer["total"]["not_searched"] == 1
    assert min(kind["hits"] for kind in answer["kinds"].values()) >= 1


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_toxicity_of_attributes(corpus: Corpus, threshold: float) -> None:
    answer = ask("toxicity", corpus, threshold=threshold)
    column = "tox__jigsaw_hatespeech_sentence_v2____label__hate"
    assert answer["by"] == f"attributes tox__jigsaw_hatespeech_sentence_v2 from {threshold} on"
    spans = [
        own if own is MISSING else [span for span in own if span[2] >= threshold]
        for own in corpus.spans[column]
    ]
    expected = oracle.findings(corpus.documents, {column: spans}, 100)
    assert_same(answer, expected)
    assert _shape(answer["kinds"]) == _shape(expected["kinds"])


def test_toxicity_of_scores(corpus: Corpus) -> None:
    answer = ask("toxicity", corpus, columns=["lang__*"], threshold=0.75)
    kinds = {
        name: [
            own if own is MISSING
            else [(0, len(one.text), own)] if own is not None and own >= 0.75 else []
            for one, own in zip(corpus.documents, corpus.scores[name], strict=True)
        ]
        for name in corpus.scores if name.startswith("lang__")
    }  # fmt: skip
    assert len(kinds) == 3
    assert_same(answer, oracle.findings(corpus.documents, kinds, 100))


@pytest.mark.usefixtures("pieces")
def test_toxicity_of_a_lexicon(corpus: Corpus, tmp_path: Path) -> None:
    path = corpora.write_lexicon(tmp_path / "words.tsv")
    answer = ask("toxicity", corpus, lexicon=str(path), experiments=["q"])
    assert answer["by"] == "the lexicon words.tsv"
    found = [corpora.lexicon_hits(document.text) for document in corpus.documents]
    kinds = {name: [one[name] for one in found] for name in corpora.LEXICON}
    assert_same(answer, oracle.findings(corpus.documents, kinds, 100))
    assert {name: kind["hits"] for name, kind in answer["kinds"].items()} == {
        "profane": 4, "mild": 3,
    }  # fmt: skip


@pytest.mark.usefixtures("pieces")
def test_contamination(corpus: Corpus) -> None:
    answer = ask("contamination", corpus)
    assert answer.pop("reports") == []
    rules = {"dec": (corpus.scores["dec_contaminated"], corpus.spans["dec"])}
    expected = oracle.contamination(corpus.documents, rules)
    expected["rules"]["dec"]["benchmarks"] = {}
    assert_equal(answer, expected)
    assert answer["rules"]["dec"]["contaminated"] > 10


def test_contamination_tells_the_shares_of_benchmarks(corpus: Corpus) -> None:
    path = corpus.folder / "web/attributes/dec.report.json"
    quiz = {"items": 30, "searchable": 25, "contaminated": 5}
    report = {"name": "dec", "rules": {"ngram_item": {"benchmarks": {"quiz": quiz}}}}
    path.write_text(json.dumps(report))
    answer = ask("contamination", corpus)
    path.unlink()
    low, high = oracle.wilson(5, 25)
    expected = {"items": 25, "contaminated": 5, "share": 0.2, "low": low, "high": high}
    assert answer["reports"] == ["dec.report.json"]
    assert_equal(answer["rules"]["dec"]["benchmarks"], {"quiz": expected})


@pytest.mark.usefixtures("pieces")
def test_attributes(corpus: Corpus) -> None:
    answer = ask("attributes", corpus, experiments=["q", "dec"])
    columns = {
        name: values
        for name, values in {**corpus.scores, **corpus.spans}.items()
        if name.split("_")[0] in ("q", "dec")
    }
    assert set(answer["columns"]) == set(columns)
    for name, values in columns.items():
        kind = "spans" if name in corpus.spans else "score"
        found = answer["columns"][name]
        expected = oracle.column(corpus.documents, kind, values)
        parts = [(found["values"], expected["values"])]
        assert found["sources"].keys() == expected["sources"].keys()
        parts += [(found["sources"][s], expected["sources"][s]) for s in expected["sources"]]
        for mine, theirs in parts:
            assert mine["quantiles"].keys() == theirs["quantiles"].keys()
            for q, exact in theirs.pop("quantiles").items():
                assert abs(mine["quantiles"][q] - exact) <= answer["precision"] * abs(exact), q
        assert_same(found, expected, name)
        assert sum(n for _, n in found["histogram"]) == expected["values"]["n"]
        bounds = [low for low, _ in found["histogram"]]
        assert bounds == sorted(set(bounds))
    assert answer["columns"]["q__own__signed"]["missing"] > 52


def test_columns_are_chosen_by_patterns(corpus: Corpus) -> None:
    answer = ask("attributes", corpus, columns=["q__own__*", "*_score"])
    assert list(answer["columns"]) == [
        "dec_score", "q__own__signed", "q__own__wide", "q__own__places",
    ]  # fmt: skip


# Tokens


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tiny.json"
    path.write_text(byte_level("cl100k").to_str(), encoding="utf-8")
    return path


def tokenized(documents: Sequence[str], tokenizer: Path, out: Path, **keys: Any) -> str:
    dolma_kit.tokenize(
        documents=list(documents), tokenizer=str(tokenizer), out=str(out), encoder="tokenizers",
        eos_token_id=Tokenizer.from_file(str(tokenizer)).token_to_id(EOS), sequence_length=16,
        **QUIET, **keys,
    )  # fmt: skip
    return str(out)


@pytest.fixture(scope="module")
def stores(
    corpus: Corpus, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    """The flags by which tokens may be counted."""
    folder = tmp_path_factory.mktemp("tokens")
    plain = tokenized(corpus.arguments, tokenizer, folder / "plain")
    parts = tokenized(corpus.arguments, tokenizer, folder / "parts", max_tokens_per_part=999)
    shuffled = tokenized(corpus.arguments, tokenizer, folder / "shuffled", shuffle=True, seed=3)
    return {
        "tokenizer": {"tokenizer": str(tokenizer)}, "tokens": {"tokens": plain},
        "in parts": {"tokens": parts}, "shuffled": {"tokens": shuffled},
    }  # fmt: skip


def ids_of(corpus: Corpus, tokenizer: Path) -> list[list[int]]:
    loaded = Tokenizer.from_file(str(tokenizer))
    return [
        loaded.encode(document.text, add_special_tokens=False).ids for document in corpus.documents
    ]


@pytest.mark.parametrize("by", ["tokenizer", "tokens", "in parts", "shuffled"])
def test_tokens_of_documents(
    corpus: Corpus,
    tokenizer: Path,
    stores: dict[str, dict[str, str]],
    by: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if by != "tokenizer":  # several batches a file
        monkeypatch.setattr(files, "READ_BYTES", 2000)
    n_tokens = [len(ids) + bool(ids) for ids in ids_of(corpus, tokenizer)]  # with EOS
    flags = stores[by]
    assert_equal(ask("summary", corpus, **flags), oracle.summary(corpus.documents, n_tokens))
    answer = ask("lengths", corpus, **flags)
    for one in answer["units"].values():
        one.pop("spikes")
    assert_equal(answer, oracle.lengths(corpus.documents, n_tokens))
    answer = ask("urls", corpus, **flags)
    assert_same(answer, oracle.urls(corpus.documents, corpus.urls, 20, n_tokens))


@pytest.mark.parametrize("by", ["tokens", "in parts"])
def test_ngrams_of_token_files(
    corpus: Corpus, tokenizer: Path, stores: dict[str, dict[str, str]], by: str
) -> None:
    answer = ask("ngrams", corpus, top=TOP, n=[1, 2, 5, 100], **stores[by])
    check_token_ngrams(answer, corpus, tokenizer, by_ids=True)


def test_ngrams_of_a_tokenizer(corpus: Corpus, tokenizer: Path) -> None:
    keys = {"tokenizer": str(tokenizer), "unit": "tokens", "n": [1, 2, 5, 100]}
    answer = ask("ngrams", corpus, top=TOP, **keys)
    check_token_ngrams(answer, corpus, tokenizer, by_ids=False)


def check_token_ngrams(answer: Any, corpus: Corpus, tokenizer: Path, *, by_ids: bool) -> None:
    loaded = Tokenizer.from_file(str(tokenizer))
    places = [(document.file, document.line) for document in corpus.documents]
    assert answer["unit"] == "tokens"
    for n in (1, 2, 5, 100):
        expected = oracle.ngrams(
            ids_of(corpus, tokenizer), places, n, TOP,
            lambda ids: loaded.decode(list(ids), skip_special_tokens=False), by_ids=by_ids,
        )  # fmt: skip
        assert_same(answer["lengths"][str(n)], expected, str(n))


def test_ngrams_of_shuffled_token_files(corpus: Corpus, stores: dict[str, dict[str, str]]) -> None:
    """All but where an n-gram stands first."""
    plain, shuffled = (
        ask("ngrams", corpus, n=[1, 3], **stores[by])["lengths"] for by in ("tokens", "shuffled")
    )
    for found in (*plain.values(), *shuffled.values()):
        for gram in (*found["most"], *found["least"]):
            del gram["file"], gram["line"]
    assert plain == shuffled


def test_ngrams_need_no_documents_beside_token_files(
    corpus: Corpus, stores: dict[str, dict[str, str]]
) -> None:
    found = stats(names=["ngrams"], n=[2], **QUIET, **stores["tokens"])
    expected = ask("ngrams", corpus, n=[2], **stores["tokens"])
    assert msgspec.to_builtins(found.answers["ngrams"])["lengths"] == expected["lengths"]


@pytest.fixture
def few(tmp_path: Path, tokenizer: Path) -> tuple[Path, str]:
    """A file of documents, and its token files."""
    path = tmp_path / "web/documents/a.jsonl"
    corpora.write_documents(path, [{"id": f"d{i}", "text": "the " * i} for i in range(4)])
    return path, tokenized([str(tmp_path / "web")], tokenizer, tmp_path / "tokens")


def test_documents_that_token_files_lack_are_uncounted(few: tuple[Path, str]) -> None:
    path, tokens = few
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    corpora.write_documents(path, [*rows, {"id": "new", "text": "one more"}])
    found = stats(names=["summary", "lengths"], documents=[str(path)], tokens=tokens, **QUIET)
    amount = found.answers["summary"].total.amount
    assert (amount.documents, amount.uncounted, amount.tokens) == (5, 1, 3 + 2 + 3 + 4)
    assert "1 documents are not in the token files" in found.texts["summary"]
    of_tokens = found.answers["lengths"].units["tokens"]
    assert (of_tokens.documents, of_tokens.uncounted) == (4, 1)
    assert of_tokens.histogram.lengths == [0, 3, 4, 5]


def test_token_files_of_other_documents(few: tuple[Path, str], tokenizer: Path) -> None:
    path, tokens = few
    corpora.write_documents(path, [{"id": f"other{i}", "text": "the " * i} for i in range(4)])
    with pytest.raises(VerificationError, match=r"has tokens of 'd1' for .*a\.jsonl:2, which is"):
        stats(names=["summary"], documents=[str(path)], tokens=tokens, **QUIET)
    elsewhere = path.parents[2] / "books/documents/b.jsonl"
    corpora.write_documents(elsewhere, [{"id": "b", "text": "b"}])
    with pytest.raises(VerificationError, match=r"has no tokens of .*b\.jsonl: tokenize it too"):
        stats(names=["lengths"], documents=[str(elsewhere)], tokens=tokens, **QUIET)


def test_token_files_that_were_made_again(few: tuple[Path, str], tokenizer: Path) -> None:
    """In one process, too, what was read of the old ones is not taken for the new."""
    path, tokens = few
    keys = {"names": ["summary"], "documents": [str(path)], "tokens": tokens, **QUIET}
    before = stats(**keys).answers["summary"].total.amount.tokens
    corpora.write_documents(path, [{"id": f"d{i}", "text": "the " * i} for i in range(9)])
    tokenized([str(path.parents[1])], tokenizer, Path(tokens), overwrite=True)
    amount = stats(**keys).answers["summary"].total.amount
    assert (amount.documents, amount.uncounted) == (9, 0)
    assert amount.tokens > before


# Tables say what answers say


def test_tables(corpus: Corpus, tmp_path: Path) -> None:
    names = ["summary", "lengths", "urls", "ngrams", "duplicates"]
    keys = {**QUIET, "names": names, "documents": corpus.arguments, "out": str(tmp_path)}
    found = stats(**keys)
    for name in names:
        folder = tmp_path / name
        assert json.loads((folder / "answer.json").read_bytes()) == msgspec.to_builtins(
            found.answers[name]
        )
        assert (folder / "answer.txt").read_text(encoding="utf-8") == f"{found.texts[name]}\n"
    rows = pq.read_table(tmp_path / "summary/sources.parquet").to_pylist()
    expected = oracle.summary(corpus.documents)["sources"]
    assert rows == [{"source": name, **one["amount"]} for name, one in expected.items()]
    rows = pq.read_table(tmp_path / "lengths/histogram.parquet").to_pylist()
    assert sum(row["documents"] for row in rows) == 2 * len(corpus.documents)
    hosts = pq.read_table(tmp_path / "urls/host.parquet").to_pylist()
    assert {row["host"] for row in hosts} == {u.host for u in corpus.urls if u.state == "url"}
    grams = pq.read_table(tmp_path / "ngrams/ngrams.parquet").to_pylist()
    assert [row["text"] for row in grams if (row["n"], row["kind"]) == (2, "most")] == [
        gram.text for gram in found.answers["ngrams"].lengths["2"].most
    ]


# Small corpora of any form


texts = st.lists(
    st.sampled_from(["a", "b", " ", "\n", "é", "中", "\u0301", "😀", "\u200d", "1", ".", ",", "'",
                     "\r\n", "\x00", "ภ", "\u3000", "c d", "a\n"]),
    max_size=12,
).map("".join)  # fmt: skip
rows = st.fixed_dictionaries(
    {"text": texts},
    optional={
        "source": st.sampled_from(["x", "y", "", None]),
        "url": st.sampled_from(["http://a.de", "http://a.de/", "b", "", " ", 3, None, ["b"]]),
    },
)


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(rows, max_size=6), min_size=1, max_size=3), st.integers(60, 400))
def test_random_corpora(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files_of: list[list[Any]], n_bytes: int
) -> None:
    monkeypatch.setattr(files, "READ_BYTES", n_bytes)
    documents, urls = [], []
    for i in range(3):
        path = tmp_path / f"documents/{i}.jsonl"
        path.unlink(missing_ok=True)
        if i < len(files_of):
            own = [{"id": f"{i}-{j}", **row} for j, row in enumerate(files_of[i])]
            corpora.write_documents(path, own)
            name = f"documents/{i}.jsonl"
            documents += [Placed(name, line, row) for line, row in enumerate(own, 1)]
            urls += [row.get("url") for row in own]
    names = ["summary", "lengths", "ngrams", "duplicates"]
    found = stats(names=names, documents=[str(tmp_path)], n=[1, 2, 4], top=50, **QUIET).answers
    answers = {name: msgspec.to_builtins(found[name]) for name in names}
    for answer in answers.values():
        answer.pop("about")
    assert_equal(answers["summary"], oracle.summary(documents))
    for one in answers["lengths"]["units"].values():
        one.pop("spikes")
    assert_equal(answers["lengths"], oracle.lengths(documents))
    check_duplicates(answers["duplicates"], documents, urls, 50)
    sequences = [oracle.words(document.text) for document in documents]
    places = [(document.file, document.line) for document in documents]
    for n in (1, 2, 4):
        expected = oracle.ngrams(sequences, places, n, 50)
        assert_same(answers["ngrams"]["lengths"][str(n)], expected, str(n))
