"""Special strings in texts: text, tokens, counted; and the Dolma toolkit's way, by its own ids."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dolma_kit
from dolma_kit.errors import ConfigError
from dolma_kit.tokens.special_strings import SpecialStrings
from dolma_kit.tokens.tokenizer_file import AddedToken
from tests import naive
from tests.tokens.conftest import EMAIL, EOS, MakeDocuments, MakeTokenizer
from tests.tokens.test_stage import EMAIL_ID, EOS_ID, ids_of, run

GOLDEN = Path(__file__).parents[1] / "golden"
TOKENS = json.loads((GOLDEN / "dolma_tokens.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", TOKENS["cases"], ids=str)
@pytest.mark.parametrize("encoder", ["auto", "tokenizers"])
def test_dolmas_own_ids(
    make_documents: MakeDocuments, tmp_path: Path, case: dict[str, Any], encoder: str
) -> None:
    tokenizer = GOLDEN / "tokenizers" / case["tokenizer"]
    out = tmp_path / "out"
    summary = run(
        make_documents(TOKENS["texts"]), tokenizer, out, compat="dolma", encoder=encoder,
        **case["settings"],
    )  # fmt: skip
    ids = np.fromfile(out / "part-00000.npy", "<u2")
    ends = np.cumsum([len(of_document) for of_document in case["ids"]])
    found = [part.tolist() for part in np.split(ids, ends[:-1])]
    assert Counter(map(tuple, found)) == Counter(map(tuple, case["ids"]))
    assert found == case["ids"]  # and in the order of the documents
    assert summary.counts["empty"] == len(TOKENS["texts"]) - len(case["ids"])


@pytest.mark.parametrize("encoder", ["fastokens", "tokenizers"])
def test_parsed_or_text(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path, encoder: str
) -> None:
    texts = [f"a{EOS}b", f"{EOS}", f"{EMAIL} <|end", "c"]
    tokenizer, documents = make_tokenizer(), make_documents(texts)
    parsed = run(
        documents, tokenizer, tmp_path / "p", special_tokens="parse", encoder=encoder
    ).counts
    a, b, c = (ord(x) - ord("!") for x in "abc")
    ids = ids_of(tmp_path / "p").tolist()
    assert ids[:6] == [a, EOS_ID, b, EOS_ID, EOS_ID, EOS_ID]
    assert ids[-2:] == [c, EOS_ID]
    assert parsed["eos_in_text"] == 2
    assert parsed["special_in_text"] == {EOS: 2}
    assert any("EOS does not tell where documents end" in one for one in parsed["warnings"])
    text = run(documents, tokenizer, tmp_path / "t", encoder=encoder).counts
    assert text["eos_in_text"] == 0
    assert text["special_in_text"] == {EOS: 2}
    assert (ids_of(tmp_path / "t") == EOS_ID).sum() == 4
    for folder in "pt":  # which is no special one
        assert EMAIL_ID in ids_of(tmp_path / folder)


def test_bos_stands_before_each_document(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    run(make_documents(["a", "", "b"]), make_tokenizer(), tmp_path / "o", bos_token_id=EMAIL_ID)
    a, b = (ord(x) - ord("!") for x in "ab")
    assert ids_of(tmp_path / "o").tolist() == [EMAIL_ID, a, EOS_ID, EMAIL_ID, b, EOS_ID]
    assert json.loads((tmp_path / "o/tokens.json").read_text())["bos_token_id"] == EMAIL_ID
    with pytest.raises(ConfigError, match=r"bos_token_id 99999 is no id of tiny\.json"):
        run(make_documents(["a"]), make_tokenizer(), tmp_path / "p", bos_token_id=99999)


contents = st.lists(
    st.text(st.sampled_from("<|ab>"), min_size=1, max_size=4), unique=True, max_size=4
)


texts_of = st.lists(st.text(st.sampled_from("<|ab>é"), max_size=20), max_size=4)


@given(contents, texts_of, st.text(st.characters(codec="utf-8"), max_size=2))
def test_counted_beside_a_plain_search(found: list[str], texts: list[str], beginning: str) -> None:
    tokens = [AddedToken(i, beginning + one, True) for i, one in enumerate(found)]
    tokens.append(AddedToken(99, "a", False))
    texts = [text.replace("<", beginning + "<") for text in texts]
    expected: Counter[str] = Counter()
    for text in texts:
        at = 0
        while at < len(text):
            here = [t.content for t in tokens if t.special and text.startswith(t.content, at)]
            if here:
                longest = max(here, key=len)
                expected[longest] += 1
                at += len(longest)
            else:
                at += 1
    data, offsets = naive.as_arrays(texts)
    assert SpecialStrings(tokens).count(data, offsets) == expected


def test_strings_over_two_documents_and_beyond_a_limit_are_not_counted(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    documents = make_documents(["<|endof", "text|>", EOS, f"{EOS}{EOS}"])
    tokenizer = make_tokenizer()
    whole = run(documents, tokenizer, tmp_path / "a")
    assert whole.counts["special_in_text"] == {EOS: 3}
    some = run(documents, tokenizer, tmp_path / "b", limit=3)
    assert some.counts["special_in_text"] == {EOS: 1}


def test_counts_add_up_over_files(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    make_documents([EOS, "x"], name="a")
    documents = make_documents([f"{EOS} {EOS}"], name="b")
    found = dolma_kit.tokenize(
        documents=[documents], tokenizer=str(make_tokenizer()), eos_token_id=EOS_ID,
        out=str(tmp_path / "o"), workers=2, quiet=True,
    ).counts  # fmt: skip
    assert found["special_in_text"] == {EOS: 3}
