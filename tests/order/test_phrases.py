"""`trace text` against a plain search of all documents, and of every instance's bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from dolma_kit.errors import ConfigError
from dolma_kit.order.answers import Hit
from dolma_kit.order.asking import phrases
from dolma_kit.order.asking.vocabulary import vocabulary_of
from dolma_kit.order.run import open_run
from dolma_kit.order.steps import trace_step

from .tiny_run import CODE, EOS, WEB, write_run


def plain(texts: list[str], phrase: str) -> list[tuple[int, int]]:
    """(number of the text, byte) of every occurrence, overlapping ones too."""
    needle, found = phrase.encode(), []
    for number, text in enumerate(texts):
        data = text.encode()
        found += [(number, i) for i in range(len(data)) if data.startswith(needle, i)]
    return found


def phrases_of(texts: list[str], seed: int, n: int) -> Iterator[str]:
    draw = random.Random(seed)
    for _ in range(n):
        text = draw.choice(texts)
        start = draw.randrange(len(text))
        yield text[start : start + draw.choice([1, 1, 2, 3, 5, 9, 20])]


@pytest.mark.parametrize("block_tokens", [1, 9, 1 << 20])
def test_equals_a_plain_search(
    tmp_path: Path, tokenizer: Path, block_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phrases, "BLOCK_TOKENS", block_tokens)
    run = open_run(write_run(tmp_path, tokenizer))
    decode = Tokenizer.from_file(str(tokenizer)).decode
    ids, texts = [], []
    for n, file in enumerate(run.files):
        table = run.documents(n)
        for row in range(len(table)):  # type: ignore[arg-type]
            document = table[row]  # type: ignore[index]
            tokens = file.read(document.start, document.end)[:-1].tolist()
            ids.append(document.id)
            texts.append(decode(tokens, skip_special_tokens=False))
    assert texts[0] == WEB[0][2]
    for phrase in [*phrases_of(texts, 1, 150), EOS, "aa", "fox sleeps", "not there", "é", "dog\n"]:
        answer = phrases.trace_text(run, phrase, limit=10**6)
        expected = plain(texts, phrase)
        assert answer.occurrences == len(expected)
        assert answer.documents == len({number for number, _ in expected})
        assert [(h.id, h.start_byte) for h in answer.hits] == [
            (ids[number], at) for number, at in expected
        ]
        for hit in answer.hits:
            assert hit.end_byte - hit.start_byte == len(phrase.encode())
        assert [h.id for h in phrases.trace_text(run, phrase, limit=2).hits] == [
            h.id for h in answer.hits[:2]
        ]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"tokens": ["tokens/part-00001.npy", "tokens/part-00000.npy", "tokens/part-00001.npy"]},
        {"order": {"kind": "feistel", "seed": 3}, "epochs": 3},
    ],
)
def test_every_hit_is_in_its_steps_and_in_no_other(
    tmp_path: Path, tokenizer: Path, changed: dict[str, Any]
) -> None:
    """Tokens of a hit are where its sightings say, and a step without a sighting has none."""
    run = open_run(write_run(tmp_path, tokenizer, **changed))
    owners: dict[tuple[str, int, int], set[tuple[int, int, int]]] = {}
    for step in range(1, run.n_steps + 1):
        for one in trace_step(run, step).instances:
            for part in one.documents:
                for k in range(part.end - part.start):
                    key = (part.src, part.line or 0, part.doc_start + k)
                    owners.setdefault(key, set()).add((step, one.instance, part.start + k))
    for phrase in ("the", "fox", "o", " the lazy dog, then the", "café 🦊"):
        for hit in phrases.trace_text(run, phrase).hits:
            tokens = range(hit.doc_start, hit.doc_end)
            expected = {
                place for t in tokens for place in owners.get((hit.src, hit.line or 0, t), set())
            }
            found = {(s.step, s.instance, k) for s in hit.seen for k in range(s.start, s.end)}
            assert found == expected
            assert (hit.never is None) == bool(expected)
            assert hit.whole == any(s.end - s.start == len(tokens) for s in hit.seen)


def test_a_hit_over_two_instances_has_the_steps_of_both(run_yaml: Path) -> None:
    run = open_run(run_yaml)
    (hit,) = phrases.trace_text(run, WEB[0][2]).hits
    assert hit.id == "w1"
    assert not hit.whole
    assert len({s.instance for s in hit.seen}) > 1
    assert {s.step for s in hit.seen} == {s.step for s in run.steps_of("w1")}


def test_steps_after_the_checkpoint_do_not_count(run_yaml: Path) -> None:
    run = open_run(run_yaml)
    last = max(s.step for s in run.steps_of("w6"))
    first = min(s.step for s in run.steps_of("w6"))

    def hits(until: int) -> list[Hit]:
        return [
            h for h in phrases.trace_text(run, "the dog sleeps", until=until).hits if h.id == "w6"
        ]

    assert hits(last)[0].seen
    if first > 1:
        assert hits(first - 1)[0].never == "not-reached"


def test_without_lists_of_documents(tmp_path: Path, tokenizer: Path) -> None:
    run = open_run(write_run(tmp_path, tokenizer, documents="eos-scan"))
    answer = phrases.trace_text(run, "quick brown")
    assert answer.occurrences == 1
    assert (answer.hits[0].id, answer.hits[0].line) == ("part-00000.npy:0", None)


def test_the_normalizer_reads_the_phrase_too(tmp_path: Path, tokenizer: Path) -> None:
    changed = Tokenizer.from_file(str(tokenizer))
    changed.normalizer = normalizers.NFC()
    path = tmp_path / "nfc.json"
    changed.save(str(path))
    run = open_run(write_run(tmp_path, path))
    decomposed = "cafe\u0301"
    assert phrases.trace_text(run, decomposed).occurrences == 1


def test_of_occurrences_that_are_not_listed_there_is_no_object(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phrase may be one letter, and stand everywhere."""
    monkeypatch.setattr(phrases, "BLOCK_TOKENS", 40)
    run = open_run(write_run(tmp_path, tokenizer))
    whole, made = phrases.trace_text(run, "e", limit=10**6), 0
    original = phrases.Occurrence

    def noted(*places: int) -> phrases.Occurrence:
        nonlocal made
        made += 1
        return original(*places)

    monkeypatch.setattr(phrases, "Occurrence", noted)
    for limit in (-1, 0, 1, 3):
        made = 0
        answer = phrases.trace_text(run, "e", limit=limit)
        assert (answer.occurrences, answer.documents) == (whole.occurrences, whole.documents)
        assert answer.hits == whole.hits[: max(limit, 0)]
        assert made <= max(limit, 0) * 4 < whole.occurrences  # 4 blocks at once


def test_no_phrase(run_yaml: Path) -> None:
    with pytest.raises(ConfigError, match="an empty phrase is everywhere"):
        phrases.trace_text(open_run(run_yaml), "")


def test_bytes_that_are_no_text(run_yaml: Path) -> None:
    """What a command line gives for a byte that is no UTF-8 is that byte."""
    run = open_run(run_yaml)
    whole = phrases.trace_text(run, "é").occurrences
    assert phrases.trace_text(run, "\udcc3").occurrences >= whole > 0
    with pytest.raises(ConfigError, match="half a surrogate pair"):
        phrases.trace_text(run, "\ud800")


def test_a_tokenizer_that_is_not_byte_level(tmp_path: Path) -> None:
    other = Tokenizer(models.BPE(unk_token="?"))
    other.pre_tokenizer = pre_tokenizers.Metaspace()
    other.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=90, special_tokens=[EOS, "?"], show_progress=False)
    other.train_from_iterator([text for *_, text in WEB + CODE], trainer)
    other.save(str(tmp_path / "other.json"))
    with pytest.raises(ConfigError, match="its tokenizer decodes by Metaspace"):
        phrases.trace_text(open_run(write_run(tmp_path, tmp_path / "other.json")), "fox")


@pytest.mark.parametrize("name", ["gpt-neox-olmo-dolma-v1_5.json", "dolma2.json"])
@pytest.mark.shared_data
def test_bytes_of_real_tokenizers(shared_data: Path, name: str) -> None:
    """Any tokens decode to the bytes of each, one after the other."""
    tokenizer = Tokenizer.from_file(str(shared_data / "tokenizers" / name))
    vocabulary = vocabulary_of(tokenizer, name)
    draw = random.Random(4)
    n = len(vocabulary.offsets) - 1
    table = vocabulary.table.tobytes()
    own = [table[a:b] for a, b in zip(vocabulary.offsets, vocabulary.offsets[1:], strict=False)]
    special = list(range(n - 300, n))
    for _ in range(400):
        ids = [draw.choice([draw.randrange(n), draw.choice(special)]) for _ in range(30)]
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
        assert b"".join(own[i] for i in ids).decode("utf-8", "replace") == decoded
