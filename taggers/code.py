"""Source code: notices at the top, lengths of lines, comments and text by code.

What RedPajama and StarCoder filter code by, as measured for Dolma. The language of a document is
that of `metadata.ext`, a file name's extension without its dot, in GitHub's list.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec
import numpy as np

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind, Spans
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger
from taggers import code_comments

if TYPE_CHECKING:
    from numpy.typing import NDArray

XML = "<?xml version="
WITH_COMMENTS = ("python", "java", "javascript")  # the languages that v2 measures comments of
MIDDLE = 0.5  # what v2 says of others: between its bounds


class CodeCopyrightCommentsV1(Tagger, frozen=True):
    """The copyright notice of source code, or the comment that it begins with.

    Where the text has a comment `/* ... */`, the first one is a `copyright_notice` if it says
    `copyright`. Else the lines at the top that begin with `//`, `#` or `--` or are empty are a
    `comment_block`. Its end is short by the line breaks of the lines that are not empty, as Dolma's
    is. `doc` is the share of characters in the span, plus one character; -1 for an empty text.
    Differs from Dolma: in a text of nothing but line breaks its span ends one beyond the text, ours
    with it. Source: Dolma's taggers/code/code_taggers.py, CodeCopyrightTagger.
    """

    id: ClassVar[str] = "code_copyright_comments_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"copyright_notice": "spans", "comment_block": "spans", "doc": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("code", "rounding")

    def tag(self, batch: Batch) -> Columns:
        found = kernels.code.find_notices(batch.text_bytes, batch.offsets)
        kinds, starts, ends = found.T
        n = batch.n_characters
        columns: Columns = {}
        for kind, key in (
            (kernels.code.COPYRIGHT_NOTICE, "copyright_notice"),
            (kernels.code.COMMENT_BLOCK, "comment_block"),
        ):
            rows = np.flatnonzero(kinds == kind)
            offsets = np.zeros(len(batch) + 1, np.int64)
            np.cumsum(kinds == kind, out=offsets[1:])
            within = np.minimum(ends, n)[rows]
            columns[key] = Spans(offsets, starts[rows], within, np.ones(len(rows)))
        covered = np.where(kinds == kernels.code.NO_NOTICE, 0, ends - starts + 1)
        shares = np.where(n > 0, covered / np.maximum(n, 1), -1.0)
        columns["doc"] = kernels.rounding.round5(shares)
        return columns


class CodeRedPajamaTaggersV1(Tagger, frozen=True):
    """Lengths of lines, and the shares of letters and digits that RedPajama filters code by.

    The longest and the mean line, of those of `str.splitlines`; letters and digits by characters;
    letters by tokens. Tokens are rows of word characters and rows of others, less white space, and
    one more (pieces between tokens are counted). Characters are code points. Source: Dolma's
    taggers/code/code_taggers.py, CodeRedPajamaTaggers.
    """

    id: ClassVar[str] = "code_redpajama_taggers_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {
            "max_line_length_doc": "score",
            "avg_line_length_doc": "score",
            "alnum_prop_doc": "score",
            "alpha_token_prop_doc": "score",
        }

    def kernels(self) -> tuple[str, ...]:
        return ("code", "rounding")

    def tag(self, batch: Batch) -> Columns:
        counts = kernels.code.count(batch.text_bytes, batch.offsets)
        n, n_alnum, n_alpha, n_tokens, n_lines, in_lines, longest = counts.T
        values = (
            longest.astype(np.float64),
            in_lines / np.maximum(n_lines, 1),
            n_alnum / np.maximum(n, 1),
            n_alpha / (n_tokens + 1),
        )
        return {
            key: kernels.rounding.round5(value)
            for key, value in zip(self.keys, values, strict=True)
        }


class CodeStarCoderTaggersV2(Tagger, frozen=True):
    """The measures that StarCoder filters code by.

    Whether `<?xml version=` is in the first 100 characters; `metadata.max_stars_count`, 0 where
    there is none; comments by characters for Python (with docstrings, less `#`), Java and
    JavaScript, 0.5 for others; the share of an HTML file that a browser shows, 0 for up to 100
    characters, -1 where it cannot be parsed, 1 for others. Python is parsed by the running Python,
    its comments are found as in Python 3.11; Java and JavaScript are lexed by pygments, whose time
    may grow with the square of a text that is none of these; HTML is parsed by Beautiful Soup.
    Differs from Dolma: where it fails, there are no values: where the count of stars is no number,
    where `ext` is a list or an object, for empty texts of the three languages. Source: Dolma's
    taggers/code/code_taggers.py, CodeStarCoderTaggers2.
    """

    id: ClassVar[str] = "code_starcoder_taggers_v2"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {
            "has_xml_template_doc": "score",
            "num_github_stars_doc": "score",
            "code_to_comment_ratio_doc": "score",
            "code_to_text_ratio_html_doc": "score",
        }

    def kernels(self) -> tuple[str, ...]:
        return ("python_comments", "rounding")

    def tag(self, batch: Batch) -> Columns:
        files = described(batch)
        shares = code_comments.shares(batch, [f.language for f in files], WITH_COMMENTS)
        comments = np.full(len(batch), MIDDLE)
        visible = np.ones(len(batch))
        failed = np.zeros(len(batch), np.bool_)
        for i, file in enumerate(files):
            if file.language in WITH_COMMENTS:
                comments[i] = shares[i]
                failed[i] = math.isnan(shares[i])
            elif file.language == "html":
                visible[i] = code_comments.visible_share(batch, i)
            failed[i] |= file.is_odd
        return columns_of(self, batch, files, comments, visible, failed)


class CodeStarCoderTaggersV1(CodeStarCoderTaggersV2, frozen=True):
    """The measures that StarCoder filters code by, with comments of every language.

    As `code_starcoder_taggers_v2`, but comments by characters (`nl_ratio_doc`) are measured for
    each language that pygments has under the name that Dolma knows it by. For others, for files
    without a known extension and for empty ones this and the share of HTML are -1. The lexers of
    pygments are its expressions: for some texts they take time that grows with the square of a
    line. Source: Dolma's taggers/code/code_taggers.py, CodeStarCoderTaggers.
    """

    id: ClassVar[str] = "code_starcoder_taggers_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {
            "has_xml_template_doc": "score",
            "num_github_stars_doc": "score",
            "nl_ratio_doc": "score",
            "code_to_text_ratio_html_doc": "score",
        }

    def tag(self, batch: Batch) -> Columns:
        files = described(batch)
        shares = code_comments.shares(batch, [f.language for f in files], None)
        comments = np.where(np.isnan(shares), -1.0, shares)
        visible = np.where(np.isnan(shares), -1.0, 1.0)
        for i, file in enumerate(files):
            if file.language == "html" and visible[i] > 0:
                visible[i] = code_comments.visible_share(batch, i)
                comments[i] = comments[i] if visible[i] >= 0 else -1.0
        return columns_of(self, batch, files, comments, visible, np.zeros(len(batch), np.bool_))


class File(NamedTuple):
    """What the metadata says of a document; stars are NaN where they are no number."""

    language: str | None
    stars: float
    is_odd: bool  # its extension is no key that a dictionary could have


class _Metadata(msgspec.Struct):
    ext: Any = None
    max_stars_count: Any = 0


@functools.cache
def languages() -> Mapping[str, str]:
    """Extension of a file's name -> language; see data/README.md."""
    path = resources.files(__package__) / "data" / "languages_by_extension.json"
    found: dict[str, str] = msgspec.json.decode(path.read_bytes())
    return found


def described(batch: Batch) -> list[File]:
    """Language and stars of each document; worked out once a batch."""
    return batch.once("language and stars", _described)


def _described(batch: Batch) -> list[File]:
    decoder = msgspec.json.Decoder(_Metadata)
    files = []
    for raw in batch.table.column("metadata").to_pylist():
        is_object = raw is not None and raw.lstrip().startswith(b"{")
        metadata = decoder.decode(raw) if is_object else _Metadata()
        try:
            stars = float(metadata.max_stars_count or 0)
        except (TypeError, ValueError, OverflowError):
            stars = math.nan
        extension = metadata.ext
        language = languages().get(extension) if isinstance(extension, str) else None
        files.append(File(language, stars, isinstance(extension, list | dict)))
    return files


def columns_of(
    tagger: Tagger,
    batch: Batch,
    files: list[File],
    comments: NDArray[np.float64],
    visible: NDArray[np.float64],
    failed: NDArray[np.bool_],
) -> Columns:
    """The four columns, without values where Dolma fails."""
    stars = np.array([file.stars for file in files], np.float64)
    stars[~np.isfinite(stars)] = np.nan
    has_xml = np.array([XML in text[:100] for text in batch.texts], np.float64)
    failed = failed | np.isnan(stars)
    return {
        key: kernels.rounding.round5(np.where(failed, np.nan, value))
        for key, value in zip(tagger.keys, (has_xml, stars, comments, visible), strict=True)
    }
