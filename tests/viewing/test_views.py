"""What pages say is what `trace step`, `trace doc` and `trace text` answer, and leads there."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import dolma_kit
from dolma_kit.order.run import Run, open_run
from dolma_kit.order.steps import trace_doc, trace_step
from dolma_kit.searching.tracing import trace_text
from dolma_kit.viewing import document_view
from dolma_kit.viewing.sightings import NEVER, SHOWN
from dolma_kit.viewing.step_view import SHOWN_INSTANCES
from tests.conftest import WriteDocuments
from tests.order.tiny_run import WEB, write_ids, write_run

from .conftest import FRUIT, LONG, documents
from .sites import Parsed, Site, serving

DOCUMENTS = {str(row["id"]): row for rows in documents().values() for row in rows}


def plain(text: str) -> str:
    """Text as a page shows it where nothing of it would act."""
    return text.replace("\ufffd", "")


def test_the_first_page_says_what_the_run_is(site: Site, run: Run) -> None:
    page = site.get(site.to.start)
    n_tokens = sum(file.n_tokens for file in run.files)
    for said in (f"{run.n_steps:,}", f"{n_tokens:,} in 1 file", "256 tokens", "48 instances",
                 "olmo, seed 6198; 2 epochs; 1 rank", run.fingerprint, "notes"):  # fmt: skip
        assert said in page.text
    examples = [link for link in page.links if "/step/" in link]
    assert examples == [site.to.step(n) for n in (1, (1 + run.n_steps) // 2, run.n_steps)]
    ids = [link for link in page.links if "id=" in link]
    assert len(ids) >= 5
    for link in [*examples, *ids]:
        site.get(link)
    assert "id <> 'web-3'" in page.text  # a document that this rule removed


def test_a_step_is_what_trace_step_answers(site: Site, run: Run) -> None:
    for step in (1, 17, run.n_steps):
        answer = trace_step(run, step)
        said, ids = "", list[str]()
        for first in range(0, len(answer.instances), SHOWN_INSTANCES):
            page = site.get(site.to.step(step, first=first))
            said += plain(page.text)
            ids += [str(a["id"]) for tag, a in page.tags if tag == "article"]
        assert ids == [f"i{one.instance}" for one in answer.instances]
        for one in answer.instances:
            assert f"position {one.position:,}, rank {one.rank}, {one.status}" in said
            for part in one.documents:
                assert f"tokens {part.start:,} to {part.end:,}" in said
                assert f"{part.src}:{part.line}" in said
                if not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\ufeff]", part.text + part.id):
                    assert part.id in said
                    assert plain(part.text) in said


def test_a_step_leads_to_others_and_to_its_documents(site: Site, run: Run) -> None:
    first, last = site.get(site.to.step(1)), site.get(site.to.step(run.n_steps))
    relations = {a["rel"]: a["href"] for tag, a in first.tags if tag == "a" and "rel" in a}
    assert relations == {"next": site.to.step(2)}
    relations = {a["rel"]: a["href"] for tag, a in last.tags if tag == "a" and "rel" in a}
    assert relations == {"prev": site.to.step(run.n_steps - 1)}
    for part in trace_step(run, 1).instances[0].documents:
        assert site.to.document(part.id) in first.links
    after = [link for link in first.links if "from=" in link]
    assert after == [site.to.step(1, first=SHOWN_INSTANCES)] * 2
    back = [link for link in site.get(after[0]).links if link == site.to.step(1)]
    assert len(back) == 2


def test_the_form_for_a_step_leads_to_its_address(site: Site) -> None:
    answer = site.ask(f"{site.to.steps}?n=1,0")
    assert (answer.status, answer.headers["location"]) == (303, site.to.step(10))
    assert site.ask(site.to.steps).headers["location"] == site.to.step(1)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("step/0", 404, "the run has steps 1 to"),
        ("step/99999999", 404, "the run has steps 1 to"),
        ("step/-1", 404, "no step -1"),
        ("step/x%00", 404, "no step x"),
        ("step/" + "9" * 5000, 404, "no step 9999"),
        ("step?n=abc", 400, "the number of a step"),
        ("step/1?from=abc", 400, "from=abc: a whole number"),
        ("step/1?instance=99999999", 404, "step 1 has no instance 99999999"),
        ("document?id=nobody", 404, "no document 'nobody' among the"),
        ("document?id=%00", 404, "no document '\\x00' among the"),
        ("document?id=" + "x" * 50_000, 404, "no document 'xxx"),
        ("document?id=web-1&mix=2", 404, "there are 1 documents of this id"),
        ("document?id=web-1&at=-5", 400, "at=-5: a whole number"),
        ("phrase?q=" + "x" * 2001, 400, "a phrase of 2,001 characters"),
        ("phrase?q=x&limit=0", 400, "limit=0: a whole number from 1"),
    ],
)
def test_what_cannot_be_shown_is_a_page_that_says_so(
    site: Site, path: str, status: int, said: str
) -> None:
    page = site.get(site.to.start + path, status)
    assert said in page.text
    assert site.to.start in page.links
    assert "Traceback" not in page.text


def test_numbers_beyond_the_end_show_the_end(site: Site) -> None:
    assert "to 48 of 48" in site.get(site.to.step(1, first=99)).text
    assert "Text after" not in site.get(site.to.document(LONG, at=10**12)).text


@pytest.mark.parametrize("doc_id", ["web-1", "web-8", "note-2", LONG])
def test_a_document_is_what_trace_doc_answers(site: Site, run: Run, doc_id: str) -> None:
    answer = trace_doc(run, doc_id)
    wanted = [site.to.step(one.step, instance=one.instance) for one in answer.seen]
    for first in (0, SHOWN, len(wanted) // SHOWN * SHOWN):
        page = site.get(site.to.document(doc_id, seen=first))
        links = [link for link in page.links if "instance=" in link]
        assert links == (wanted[first : first + SHOWN] or wanted[-1:])
        for one in answer.seen[first : first + SHOWN]:
            assert f"{one.start:,}–{one.end:,}" in page.text
        after = site.to.document(doc_id, seen=first + SHOWN)
        assert (after in page.links) == (first + SHOWN < len(wanted))
    step = site.get(links[0])
    anchor = links[0].split("#")[1]
    assert anchor in [attributes.get("id") for _, attributes in step.tags]
    assert DOCUMENTS[doc_id]["source"] in page.text


def test_the_texts_before_the_mix_and_in_the_tokens(site: Site, run: Run, made: Path) -> None:
    doc_id = "web-7"
    page = site.get(site.to.document(doc_id))
    original = str(DOCUMENTS[doc_id]["text"])
    mixed = [
        json.loads(line) for line in gzip.open(made.parent / "mixed/documents/web-0000.jsonl.gz")
    ]
    (text,) = [row["text"] for row in mixed if row["id"] == doc_id]
    assert "fox7@example.org" in original
    assert FRUIT in original
    assert FRUIT not in text
    assert "|||EMAIL_ADDRESS|||" in text
    assert original in page.text
    assert text in page.text
    for said in ("Before the mix", "As the tokens have it", f"{len(original):,} characters",
                 "web/documents/a.jsonl.gz:8", "mixed/documents/web-0000.jsonl.gz:",
                 "tokens/part-00000.npy", "https://example.org/7"):  # fmt: skip
        assert said in page.text
    assert not [link for link in page.links if "example.org" in link]


def test_a_text_that_the_mix_left_as_it_was_is_shown_once(site: Site) -> None:
    page = site.get(site.to.document("note-2"))
    assert "Before the mix and in the tokens: the same text" in page.text
    assert page.text.count(str(DOCUMENTS["note-2"]["text"])) == 1
    assert "Stream notes of the mix kept documents/a.jsonl.gz:3 and wrote it 2 times" in page.text


def rows_of(made: Path, experiment: str, doc_id: str) -> Any:
    place = made.parent / "web/attributes" / experiment
    if experiment == "p":
        rows = [json.loads(line) for line in gzip.open(place / "a.jsonl.gz")]
        return next(row["attributes"] for row in rows if row["id"] == doc_id)
    return next(r for r in pq.read_table(place / "a.parquet").to_pylist() if r["id"] == doc_id)


def test_spans_are_shown_where_they_are(site: Site, made: Path) -> None:
    doc_id, column = "web-7", "q__pii_regex_with_counts_fast_v2__EMAIL_ADDRESS"
    text = str(DOCUMENTS[doc_id]["text"])
    spans = rows_of(made, "q", doc_id)[column]
    page = site.get(site.to.document(doc_id, show=[column]))
    assert [part for _, part in page.marks] == [text[s["start"] : s["end"]] for s in spans]
    assert page.marks[0][1].strip() == "fox7@example.org"
    assert page.marks[0][0].startswith(f"{column} ")


def test_columns_are_chosen_by_the_address(site: Site, made: Path) -> None:
    def shown(page: Parsed) -> dict[str, bool]:
        return {
            str(a["value"]): "checked" in a for tag, a in page.tags if a.get("type") == "checkbox"
        }

    columns = shown(site.get(site.to.document("web-7")))
    paragraphs = "p__char_length_with_paragraphs_v1__paragraph"
    email = "q__pii_regex_with_counts_fast_v2__EMAIL_ADDRESS"
    assert {"dup", email, paragraphs} <= set(columns)
    assert columns["dup"]
    one = shown(site.get(site.to.document("web-7", show=["dup"])))
    assert [name for name, checked in one.items() if checked] == ["dup"]
    none = site.get(site.to.document("web-7", show=[]))
    assert not any(shown(none).values())
    assert none.marks == []
    both = site.get(f"{site.to.documents}?id=web-7&show=&show=dup&show={email}")
    assert [name for name, checked in shown(both).items() if checked] == ["dup", email]
    overlapping = site.get(site.to.document("web-7", show=[paragraphs, email]))
    titles = [title for title, part in overlapping.marks if part.strip() == "fox7@example.org"]
    assert titles
    assert all(paragraphs in title and email in title for title in titles)


def test_scores_are_shown(site: Site, made: Path) -> None:
    page = site.get(site.to.document("web-7"))
    row = rows_of(made, "q", "web-7")
    assert f"length{row['q__char_length_v1__length']:,.6g}" in page.text
    assert f"dup_fraction{rows_of(made, 'dup', 'web-7')['dup_fraction']:,.6g}" in page.text


@pytest.mark.parametrize(
    ("doc_id", "rules"),
    [("short", ["q__char_length_v1__length > 10"]), ("web-3", ["id <> 'web-3'"])],
)
def test_why_a_document_was_removed(site: Site, run: Run, doc_id: str, rules: list[str]) -> None:
    answer = trace_doc(run, doc_id)
    assert answer.removed is not None
    assert answer.removed.rules == rules
    page = site.get(site.to.document(doc_id))
    assert NEVER["removed"] in page.text
    place = f"{answer.removed.src}:{answer.removed.line}"
    assert f"removed {place} by {rules[0]}; all rules that say so: {', '.join(rules)}" in page.text
    assert str(DOCUMENTS[doc_id]["text"]) in page.text
    assert "In the tokens" not in page.text
    assert "char_length_v1" in page.text  # its attributes


def test_a_document_that_was_never_reached(tmp_path: Path, tokenizer: Path) -> None:
    path = write_run(tmp_path, tokenizer, segments=[{"from_step": 1, "to_step": 1}])
    run = open_run(path)
    never = [doc_id for doc_id, *_ in WEB if trace_doc(run, doc_id).never == "not-reached"]
    assert never
    with serving(path) as site:
        assert f"{NEVER['not-reached']} (not-reached)" in site.get(site.to.document(never[0])).text


def test_copies_have_addresses_of_their_own(site: Site, run: Run) -> None:
    occurrences = run.occurrences("note-2")
    assert len(occurrences) == 2
    for nth, (_, start, end) in enumerate(occurrences, 1):
        page = site.get(site.to.document("note-2", copy=nth))
        assert f"part-00000.npy, {start:,} to {end:,}" in page.text
        assert "2 documents have this id" in page.text


def test_a_long_text_is_shown_piece_by_piece(site: Site) -> None:
    text, size = str(DOCUMENTS[LONG]["text"]), document_view.SHOWN_CHARACTERS
    assert len(text) > 10**6
    seen, address = "", site.to.document(LONG, show=[])
    for _ in range(3):
        answer = site.get(address)
        (piece,) = re.findall(r"(?:a? ?long|a long line|[a-z ])[a-z ]{19000,}", answer.text)
        seen += piece
        (address,) = {link for link in answer.links if f"at={len(seen)}" in link}
    assert seen == text[: 3 * size]
    assert "characters 40,000 to 60,000 of" in answer.text
    assert len("".join(answer.pieces)) < 4 * size


def test_a_run_that_no_ledger_tells_anything_of(tiny: tuple[Site, Run]) -> None:
    site, _ = tiny
    page = site.get(site.to.document("w1"))
    assert "does not say where web.jsonl.gz lay when it was tokenized" in page.text
    assert "the quick brown fox jumps over the lazy dog" in page.text
    assert "As the tokens have it" in page.text
    twice = site.get(site.to.document("twice", copy=2))
    assert "the same id, second" in twice.text
    assert "the same id, first" not in twice.text


def test_one_document_without_a_mix_and_without_attributes(
    tmp_path: Path, tokenizer: Path, write_documents: WriteDocuments
) -> None:
    text = "a corpus of one document, which is enough"
    write_documents(tmp_path / "c/documents/a.jsonl.gz", [{"id": "only", "text": text}])
    dolma_kit.tokenize(
        documents=[str(tmp_path / "c")], tokenizer=str(tokenizer), eos_token_id=0,
        out=str(tmp_path / "tokens"), sequence_length=8, workers=1, quiet=True,
    )  # fmt: skip
    path = tmp_path / "run.yaml"
    path.write_text(
        "tokens: tokens\nsequence_length: 8\nglobal_batch_size: 1\norder: {kind: olmo, seed: 1}\n"
    )
    with serving(path) as site:
        page = site.get(site.to.document("only"))
        assert "In the file and in the tokens: the same text" in page.text
        assert text in page.text
        assert "c/documents/a.jsonl.gz:1" in page.text
        assert "What attributes say" not in page.text
        assert site.to.document("only") in site.get(site.to.start).links
        assert site.to.document("only") in site.get(site.to.step(1)).links


def test_no_document_at_all(tmp_path: Path, tokenizer: Path) -> None:
    path = write_run(tmp_path, tokenizer)
    for part in (tmp_path / "tokens").glob("part-*"):
        part.unlink()
    with serving(path) as site:
        assert "holds no part-[0-9]*.npy" in site.get(site.to.start).text
        assert "holds no part-[0-9]*.npy" in site.get(site.to.step(1), 409).text


def test_documents_that_only_eos_tokens_tell_apart(tmp_path: Path, tokenizer: Path) -> None:
    with serving(write_run(tmp_path, tokenizer, documents="eos-scan")) as site:
        page = site.get(site.to.step(1))
        assert "borders of documents by EOS tokens only" in page.text
        assert not [link for link in page.links if "/document?" in link]
        assert "borders of documents" in site.get(site.to.start).text
        found = site.get(site.to.phrase("fox"))
        assert sum(tag == "b" for tag, _ in found.tags) >= 1
        assert not [link for link in found.links if "/document?" in link]
        assert "has no list of documents" in site.get(site.to.document("x"), 404).text


@pytest.mark.parametrize(
    "phrase", ["fox", "note", "write to", "ï", "🦊", "number", "no such thing", "x\x00"]
)
def test_a_phrase_is_what_trace_text_answers(site: Site, run: Run, phrase: str) -> None:
    answer = trace_text(run, phrase, limit=5)
    page = site.get(site.to.phrase(phrase, limit=5))
    said = page.text
    assert f"occurrences{answer.occurrences:,}" in said
    assert f"documents{answer.documents:,}" in said
    if answer.first_step is not None:
        assert site.to.step(answer.first_step) in page.links
        assert f"last step{answer.last_step:,}" in said
    for hit in answer.hits:
        if hit.id in DOCUMENTS and hit.id.isascii():
            assert site.to.document(hit.id) in page.links
        assert f"tokens {hit.doc_start:,} to {hit.doc_end:,}" in said
        for step in {one.step for one in hit.seen}:
            assert any(f"/step/{step}?" in link for link in page.links)
    assert sum(tag == "b" for tag, _ in page.tags) == len(answer.hits)


def test_steps_are_said_of_what_is_listed(tiny: tuple[Site, Run]) -> None:
    site, _ = tiny
    for limit, said in ((1, "one occurrence that is"), (2, "2 occurrences that are")):
        page = site.get(site.to.phrase("the", limit=limit))
        assert f"Steps are those of the {said} listed." in page.text


def test_ids_that_no_address_can_hold(tmp_path: Path, tokenizer: Path) -> None:
    """Those up to what the server takes have a page; of others it is said that they have none."""
    path = write_run(tmp_path, tokenizer)
    long, longer = "x" * 30_000, "ü" * 30_000
    encode = json.loads(tokenizer.read_text())["model"]["vocab"]
    documents = {one: [encode["f"]] * 3 + [0] for one in ("", long, longer)}
    write_ids(tmp_path / "bare" / "a", documents)
    keys = {"tokens": ["bare/a.npy"], "dtype": "uint32", "tokenizer": str(tokenizer)}
    path = write_run(
        tmp_path, tokenizer, eos_token_id=0, sequence_length=4, global_batch_size=3, epochs=1,
        order={"kind": "sequential"}, **keys,
    )  # fmt: skip
    with serving(path) as site:
        for page in (site.to.start, site.to.step(1), site.to.phrase("fff")):
            shown = site.get(page)
            links = [link for link in shown.links if "id=" in link]
            assert links == [site.to.document(long)]
            assert "its id is empty" in shown.text
            assert "its id is too long for an address" in shown.text
        assert "first seen at step 1" in site.get(site.to.document(long)).text
        assert "id is empty cannot be asked for" in site.get(f"{site.to.documents}?id=").text
        assert "cannot be asked for" not in site.get(site.to.documents).text


def test_an_empty_phrase_shows_the_form(site: Site) -> None:
    page = site.get(site.to.phrases)
    assert {"q", "limit"} <= {attributes.get("name") for _, attributes in page.tags}
    assert "occurrences" not in page.text


def test_more_of_a_phrase_has_an_address(site: Site, run: Run) -> None:
    page = site.get(site.to.phrase("number"))
    (more,) = [link for link in page.links if "limit=" in link]
    assert more == site.to.phrase("number", limit=100)
    assert sum(tag == "b" for tag, _ in site.get(more).tags) == min(
        100, trace_text(run, "number").occurrences
    )
