"""Configs: one run is one frozen struct, read from YAML or JSON; an unknown key is an error.

Each stage's struct is the single source of its keys: the command's flags, the recipe's keys and
the keyword arguments of the Python function are its fields, with the help text beside them.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from dolma_kit.errors import ConfigError

if TYPE_CHECKING:
    import yaml

T = TypeVar("T")
MOST_DEPTH = 100
MOST_VALUES = 1 << 20
MOST_BITS = 1024  # of an integer
MOST_SAID = 40  # characters of a value in a message

Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(gt=0, le=1)]
TokenId = Annotated[int, Meta(ge=0)]
PartOfN = Annotated[str, Meta(pattern=r"^\d+/\d+$")]
#: of keys that hold documents; their flags take every value that follows
DOCS = {"files": True, "metavar": "DOCS...", "many": True}
PluginFiles = Annotated[
    list[str],
    Meta(
        description="File with taggers or mixers of your own; may be given several times.",
        extra={"files": True},
    ),
]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every stage takes and what, but for `limit`, decides no byte of its output."""

    workers: Annotated[
        Count | None,
        Meta(description="Worker processes, and the bound on threads (default: usable CPUs)."),
    ] = None
    engine: Annotated[
        Literal["local", "ray"] | None,
        Meta(description="What runs the work units (default: ray at a Ray address, else local)."),
    ] = None
    ray_address: Annotated[
        str | None,
        Meta(description="A Ray cluster: auto, or HOST[:PORT] (default: RAY_ADDRESS, if set)."),
    ] = None
    shard: Annotated[
        PartOfN | None,
        Meta(description="I/N, I from 0: only this one of N parts of the work, for job arrays."),
    ] = None
    on_error: Annotated[
        Literal["fail", "quarantine"],
        Meta(description="Bad input: stop there, or set it aside in quarantine/ and go on."),
    ] = "fail"
    overwrite: Annotated[bool, Meta(description="Replace outputs that another config made.")] = (
        False
    )
    limit: Annotated[
        Count | None,
        Meta(description="Only the first N documents; the output is marked partial."),
    ] = None
    quiet: Annotated[bool, Meta(description="No progress on stderr.")] = False
    tmp_dir: Annotated[
        str | None,
        Meta(description="Folder for intermediate files (default: beside the outputs)."),
    ] = None

    @property
    def set_aside(self) -> bool:
        """Whether bad input goes to quarantine."""
        return self.on_error == "quarantine"

    @property
    def part(self) -> tuple[int, int] | None:
        """(I, N) of `shard`; ConfigError where there is no such part."""
        if self.shard is None:
            return None
        number, n_parts = map(int, self.shard.split("/"))
        if number >= n_parts:
            raise ConfigError(f"--shard {self.shard}: I of I/N goes from 0 to N-1")
        return number, n_parts

    def deciding(self) -> dict[str, Any]:
        """The keys that decide output bytes, as plain data: what the config hash covers.

        Of plug-ins a plan adds the SHA-256 of those whose parts it uses.
        """
        free = {
            "workers", "engine", "ray_address", "shard", "on_error", "overwrite", "quiet",
            "tmp_dir", "documents", "plugin", "profile",
        }  # fmt: skip
        return {k: v for k, v in msgspec.to_builtins(self).items() if k not in free}


class DocumentOptions(Options, frozen=True, kw_only=True):
    """What the stages take that read documents by themselves."""

    documents: Annotated[
        list[str],
        Meta(description="Files, folders (their documents/**) or globs.", extra={"argument": True}),
    ] = []
    text_key: Annotated[str, Meta(description="Field that holds the text.")] = "text"
    id_key: Annotated[str, Meta(description="Field that holds the id.")] = "id"


class Tag(DocumentOptions, frozen=True, kw_only=True):
    """Measure documents; write the measurements beside them."""

    taggers: Annotated[
        list[str | dict[str, Any]],
        Meta(description="Tagger ids, with their settings in parentheses: a,b(k=1)."),
    ] = []
    plugin: PluginFiles = []
    experiment: Annotated[
        str, Meta(description="Folder under attributes/ and first part of each column's name.")
    ] = ""
    format: Annotated[
        Literal["parquet", "jsonl"], Meta(description="parquet, or Dolma's jsonl (gzipped).")
    ] = "parquet"
    attributes: Annotated[
        str | None, Meta(description="attributes/ folder for files outside a documents/ folder.")
    ] = None
    profile: Annotated[
        bool, Meta(description="Print what reading, each tagger and writing cost, on stderr.")
    ] = False


class JointOptions(DocumentOptions, frozen=True, kw_only=True):
    """What the stages take that decide over all documents together and write one attribute."""

    name: Annotated[str, Meta(description="Attribute to write: folder and column.")] = ""
    experiment: Annotated[
        str | None, Meta(description="Folder under attributes/ (default: the name).")
    ] = None
    format: Annotated[
        Literal["parquet", "jsonl"], Meta(description="parquet, or Dolma's jsonl (gzipped).")
    ] = "parquet"
    attributes: Annotated[
        str | None, Meta(description="attributes/ folder for files outside a documents/ folder.")
    ] = None


class Dedupe(JointOptions, frozen=True, kw_only=True):
    """Mark documents or paragraphs that occur before.

    The first occurrence in canonical order (arguments as given, then paths, then rows) is kept.
    """

    by: Annotated[
        Literal["document", "paragraph", "ngram"],
        Meta(description="What is compared; ngram: paragraphs by their n-grams, with bloom."),
    ] = "document"
    method: Annotated[
        Literal["bloom", "exact", "minhash", "substring"],
        Meta(
            description="bloom: what is equal, in little memory; exact: by sorting; minhash: "
            "documents that are nearly the same; substring: spans of text that occur before."
        ),
    ] = "bloom"
    key: Annotated[
        str,
        Meta(description="What of a document is compared: text, id, or a path like metadata.url."),
    ] = "text"
    separator: Annotated[str, Meta(description="What ends a paragraph.", min_length=1)] = "\n"
    min_length: Annotated[
        int, Meta(description="Keys of fewer code points are no duplicates.", ge=0)
    ] = 0
    min_words: Annotated[
        int, Meta(description="Keys of fewer white-space words are no duplicates.", ge=0)
    ] = 0
    skip_empty: Annotated[
        bool, Meta(description="Keys of nothing but white space are no duplicates.")
    ] = True
    keep: Annotated[
        str,
        Meta(
            description="Which of equal ones stays: first, longest, source:A,B, or a column of "
            "scores, highest first (-COLUMN: lowest)."
        ),
    ] = "first"
    expected_items: Annotated[
        Count | None, Meta(description="Keys to size the filter for (default: counted first).")
    ] = None
    fp_rate: Annotated[
        float, Meta(description="False-positive rate of the full filter.", gt=0, lt=1)
    ] = 1e-6
    classic: Annotated[
        bool,
        Meta(description="A Bloom filter without blocks: a quarter smaller, and slower."),
    ] = False
    fingerprints: Annotated[
        int | None,
        Meta(description="A set of hashes of 64 or 128 bits in place of a Bloom filter."),
    ] = None
    partitions: Annotated[
        Count,
        Meta(description="Parts of the filter, or of keys: one of them has to fit in memory."),
    ] = 1
    filter: Annotated[
        str | None,
        Meta(description="Filter to go on with and to keep: what it holds occurred before."),
    ] = None
    read_only: Annotated[
        bool, Meta(description="Look keys up in the filter, add none: a list of what is to go.")
    ] = False
    rebuild: Annotated[bool, Meta(description="Start the filter again, whatever it holds.")] = False
    ngram_length: Annotated[
        Count, Meta(description="Words of an n-gram, for minhash and by ngram.")
    ] = 5
    stride: Annotated[
        int, Meta(description="By ngram: words from one n-gram's begin to the next.", ge=0)
    ] = 1
    overlap_threshold: Annotated[
        float,
        Meta(description="By ngram: share of known n-grams that marks a paragraph.", ge=0, le=1),
    ] = 1.0
    skip_short_paragraphs: Annotated[
        bool, Meta(description="By ngram: leave out paragraphs without any.")
    ] = False
    threshold: Annotated[
        float,
        Meta(description="Jaccard similarity from which minhash links documents.", gt=0, lt=1),
    ] = 0.8
    bands: Annotated[
        Count | None, Meta(description="Bands of a signature (default: by the threshold).")
    ] = None
    rows: Annotated[
        Count | None, Meta(description="Numbers of a band (default: by the threshold).")
    ] = None
    seed: Annotated[int, Meta(description="Of the permutations of minhash.", ge=0)] = 0
    substring_length: Annotated[
        Count, Meta(description="Units of the shortest span that substring marks.")
    ] = 50
    substring_unit: Annotated[
        Literal["tokens", "characters"],
        Meta(description="Its units: words and punctuation marks (UAX #29), or code points."),
    ] = "tokens"
    shard_bytes: Annotated[
        Count, Meta(description="Memory for a shard of substring's windows, of each worker.")
    ] = 1 << 28


class Decontaminate(JointOptions, frozen=True, kw_only=True):
    """Find documents that hold items of an evaluation, by any of the rules in use.

    Writes for each document what matches, the rule's score and its verdict, and beside the first
    folder a report, a list of items and a sheet for judging. See docs/decontamination.md.
    """

    evals: Annotated[
        list[str],
        Meta(
            description="Evaluations: a file of requests or rows (JSONL, Parquet), or a folder; "
            "may be given several times.",
            extra={"files": True},
        ),
    ] = []
    rule: Annotated[
        list[str | dict[str, Any]],
        Meta(description="Rules, with their parameters in parentheses: a,b(n=8); or all."),
    ] = []
    fields: Annotated[
        list[str],
        Meta(
            description="Names of fields in rows that are no requests: question=Q,answer=A; also "
            "passage, choices, id, split, benchmark."
        ),
    ] = []
    splits: Annotated[
        list[str], Meta(description="Only items of these splits (default: all).")
    ] = []
    n: Annotated[Count | None, Meta(description="Words of an n-gram, of rules that have one.")] = (
        None
    )
    share: Annotated[Share | None, Meta(description="Threshold of rules that have one.")] = None
    normalize: Annotated[
        Literal["words", "case", "none"] | None,
        Meta(
            description="What is taken for the same: words: case and punctuation do not count; "
            "case: case does not; none: nothing (default: the rule's)."
        ),
    ] = None
    action: Annotated[
        Literal["drop", "cut"] | None,
        Meta(description="Documents go as a whole, or what matches is cut (default: the rule's)."),
    ] = None
    max_documents: Annotated[
        Count | None,
        Meta(description="What is found in more documents counts as common text, not at all."),
    ] = None
    max_removed: Annotated[
        Share | None,
        Meta(
            description="Share of documents that may go: of sets of benchmarks the first that "
            "stays below decides."
        ),
    ] = None
    backoff: Annotated[
        list[str],
        Meta(
            description="Those sets, strictest first: a+b+c,a+b (default: all, then without the "
            "benchmarks that remove most, one by one)."
        ),
    ] = []
    common: Annotated[
        Count, Meta(description="Items found in more documents than that are reported as common.")
    ] = 100
    sample: Annotated[
        int, Meta(description="Hits of each rule in the sheet for judging.", ge=0)
    ] = 50
    seed: Annotated[int, Meta(description="Of that sample.", ge=0)] = 6198


class Convert(DocumentOptions, frozen=True, kw_only=True):
    """Write attributes again in the other format."""

    experiment: Annotated[str, Meta(description="Attributes to read: a folder under attributes/.")]
    format: Annotated[
        Literal["parquet", "jsonl"], Meta(description="Format to write: parquet, or Dolma's jsonl.")
    ]
    to: Annotated[
        str | None,
        Meta(description="Folder to write to (default: the experiment's name and the format's)."),
    ] = None
    attributes: Annotated[
        str | None, Meta(description="attributes/ folder for files outside a documents/ folder.")
    ] = None


class TrainLanguageModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Train an n-gram language model, for the tagger perplexity_v1.

    Modified Kneser-Ney smoothing with interpolation, as KenLM's lmplz has it; writes an ARPA file.
    Documents of --held-out give the cutoffs `head` and `tail` of CCNet's buckets: the 30th and the
    60th percentile of their perplexities.
    """

    documents: Annotated[
        list[str],
        Meta(description="Files, folders (their documents/**) or globs.", extra={"argument": True}),
    ] = []
    text_key: Annotated[str, Meta(description="Field that holds the text.")] = "text"
    id_key: Annotated[str, Meta(description="Field that holds the id.")] = "id"
    out: Annotated[str, Meta(description="File to write: .arpa, .arpa.gz or .arpa.zst.")] = ""
    order: Annotated[int, Meta(description="Words of the longest n-grams.", ge=1, le=16)] = 5
    prune: Annotated[
        list[int | str],
        Meta(
            description="Leave out n-grams that occur this often or less, by order: 0,0,1; the "
            "last one holds for all longer ones (default: none)."
        ),
    ] = []
    normalize: Annotated[
        Literal["ccnet", "none"],
        Meta(description="Lower case, no accents, digits to 0, ... as cc_net has it; or nothing."),
    ] = "ccnet"
    tokenizer: Annotated[
        str | None,
        Meta(description="SentencePiece .model or tokenizer.json (default: words by white space)."),
    ] = None
    sentence: Annotated[
        Literal["line", "document"],
        Meta(description="What is a sentence: each line, or the document, its lines run together."),
    ] = "line"
    held_out: Annotated[
        list[str],
        Meta(
            description="Documents to take cutoffs from; may be given several times.",
            extra={"files": True},
        ),
    ] = []
    max_bytes: Annotated[
        int,
        Meta(description="Most memory to count in; a token takes up to 104 bytes.", ge=1),
    ] = 8 * 10**9
    limit: Annotated[Count | None, Meta(description="Only the first N documents.")] = None
    overwrite: Annotated[bool, Meta(description="Replace an output that is there.")] = False


class SpanReplacement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Text to put in place of the spans of one column; `{}` stands for what was there.

    `span` is the column's name, or as Dolma has it a path to it in the document, `$.attributes.KEY`
    or in jq `.attributes.KEY`. A replacement that begins with `$.` is a path in jq to the text.
    """

    span: str
    syntax: Literal["jsonpath", "jq"] = "jsonpath"
    replacement: str = ""
    min_score: float | None = None
    max_score: float | None = None


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a stream goes and how its shards are cut.

    `max_size_in_bytes` are bytes as stored, `min_text_length` bytes of UTF-8 without white space
    at the ends, both as Dolma's mixer counts them. `format: parquet` is compressed with zstd,
    whatever `compression` says.
    """

    path: str
    format: Literal["jsonl", "parquet"] = "jsonl"
    max_size_in_bytes: Count = 2**31
    discard_fields: list[str] = []
    min_text_length: Annotated[int, Meta(ge=0)] = 0


class Compression(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`gz` or `zst`; `input` is Dolma's and says nothing here: suffixes do."""

    input: str | None = None
    output: Literal["gz", "zst"] = "gz"


class DolmaRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filter as Dolma's mixer has it: kept is what `include` matches, if there is any, and
    `exclude` does not."""

    include: list[str] = []
    exclude: list[str] = []
    syntax: Literal["jsonpath", "jq"] = "jsonpath"


_AMOUNT = re.compile(r"(\d+(?:\.\d*)?)\s*([KMGBT]?)")
_SUFFIXES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much to take, in one of three units: a number, or like 1.5B with K, M, B (or G), T for
    powers of a thousand."""

    tokens: int | str | None = None
    bytes: int | str | None = None
    documents: int | str | None = None

    @property
    def unit(self) -> Literal["tokens", "bytes", "documents"]:
        """What it counts; ConfigError where it says none or several."""
        given = [name for name in self.__struct_fields__ if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError("budget: give one of tokens, bytes and documents")
        return given[0]  # type: ignore[return-value]

    @property
    def amount(self) -> int:
        """How much of it, at least 1."""
        value = getattr(self, self.unit)
        if isinstance(value, str):
            match = _AMOUNT.fullmatch(value.strip().upper())
            if match is None:
                raise ConfigError(f"budget: {value!r} is no amount; write like 1500000 or 1.5M")
            value = round(float(match[1]) * _SUFFIXES[match[2]])
        if value < 1:
            raise ConfigError(f"budget: {value} {self.unit} is nothing; give at least 1")
        return int(value)


Rate = Annotated[float, Meta(ge=0, le=1e6)]


class Stream(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One source of a mix: which documents, which of them are kept, what is cut out, and in which
    share they are taken.

    Of `rate`, `budget` and `share` (of the mix's own budget) one may be given. `removed` is a
    folder for the documents that are not taken.
    """

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    documents: list[str]
    output: Output
    attributes: list[str] = []
    keep: str | list[str] | DolmaRule | None = None  # of a list all have to hold
    filter: DolmaRule | None = None  # `keep`, as Dolma calls it
    span_replacement: list[SpanReplacement] = []
    policies: list[str | dict[str, Any]] = []
    rate: Rate | None = None
    budget: Budget | None = None
    share: Share | None = None
    max_rate: Rate | None = None
    token_column: str | None = None
    removed: str | None = None
    compression: Compression = Compression()

    @property
    def rule(self) -> DolmaRule | None:
        """What is kept in Dolma's form, under either name."""
        if self.keep is not None and self.filter is not None:
            raise ConfigError(f"stream {self.name!r}: keep and filter are one thing: give one")
        return self.keep if isinstance(self.keep, DolmaRule) else self.filter

    @property
    def suffix(self) -> str:
        """How the names of its shards end."""
        if self.output.format == "parquet":
            return ".parquet"
        return ".jsonl." + self.compression.output

    @property
    def stored_as(self) -> str | None:
        """The compression of its pieces."""
        return self.compression.output if self.output.format == "jsonl" else None

    @property
    def expressions(self) -> dict[str, str]:
        """What is kept in SQL: expressions by the names that they have in reports."""
        if isinstance(self.keep, list):
            return {one: one for one in self.keep}
        return {"keep": self.keep} if isinstance(self.keep, str) else {}


class Mix(Options, frozen=True, kw_only=True):
    """Choose, mask and sample documents into shards.

    Needs a config with `streams`: documents, attributes, keep, span_replacement, policies, rate or
    share, output. See `dolma-kit list configs` for examples.
    """

    streams: Annotated[list[Stream], Meta(description="The sources.", extra={"flag": False})] = []
    text_key: Annotated[str, Meta(description="Field that holds the text.")] = "text"
    id_key: Annotated[str, Meta(description="Field that holds the id.")] = "id"
    seed: Annotated[
        int,
        Meta(description="Key of the choice that `rate` makes.", ge=-(2**63), le=2**63 - 1),
    ] = 6198
    budget: Annotated[
        Budget | None,
        Meta(
            description="How much all streams together give: {tokens: N}, {bytes: N} or "
            "{documents: N}; streams without rate, budget or share divide what the others leave.",
            extra={"flag": False},
        ),
    ] = None
    temperature: Annotated[
        float,
        Meta(
            description="Streams that divide a rest get shares of it by size ** (1 / X): 1 in "
            "proportion, more is more even.",
            gt=0,
        ),
    ] = 1.0
    max_rate: Annotated[
        float,
        Meta(
            description="How often a document may be taken to fill a budget; what then still "
            "exceeds the data is an error.",
            gt=0,
            le=1e6,
        ),
    ] = 1.0
    token_column: Annotated[
        str | None,
        Meta(
            description="Column of scores that holds each document's number of tokens (default: "
            "that of dolma_v2_tokenizer or dolma_v1_tokenizer, if a stream has one)."
        ),
    ] = None
    shuffle_seed: Annotated[
        int | None,
        Meta(description="Shuffle each stream's documents over all its shards, by this seed."),
    ] = None
    plugin: PluginFiles = []
    strict_keys: Annotated[
        bool,
        Meta(description="A filter in Dolma's form that names an unknown attribute is an error."),
    ] = False

    shuffle: Annotated[
        bool,
        Meta(
            description="As in Dolma's configs, where it shuffles nothing: shards of a size, or "
            "else one output for each input file, under its name."
        ),
    ] = True

    # Dolma's own mix configs carry these; they decide no byte here.
    processes: Annotated[int | None, Meta(extra={"flag": False})] = None
    work_dir: Annotated[dict[str, Any] | None, Meta(extra={"flag": False})] = None
    dryrun: Annotated[bool | None, Meta(extra={"flag": False})] = None

    def deciding(self) -> dict[str, Any]:
        kept = {
            k: v
            for k, v in super().deciding().items()
            if k not in {"processes", "work_dir", "dryrun", "strict_keys"}
        }
        return kept


class Tokenize(DocumentOptions, frozen=True, kw_only=True):
    """Encode documents into memory-mappable token files."""

    tokenizer: Annotated[
        str, Meta(description="A tokenizer.json, a folder that holds one, or a hub id.")
    ] = ""
    eos_token_id: Annotated[TokenId | None, Meta(description="Id put after each document.")] = None
    pad_token_id: Annotated[
        TokenId | None, Meta(description="Recorded for readers; nothing is padded.")
    ] = None
    out: Annotated[str, Meta(description="Folder to write to.")] = ""
    sequence_length: Annotated[
        Count, Meta(description="Tokens of a training instance, as recorded for readers.")
    ] = 2048
    encoder: Annotated[
        Literal["auto", "fastokens", "tokenizers"],
        Meta(description="auto: fastokens where it gives the ids of tokenizers."),
    ] = "auto"
    max_tokens_per_part: Annotated[
        Count | None,
        Meta(description="A part-NNNNN.npy closes before it would hold more (default: 2^32)."),
    ] = None
    max_bytes_per_part: Annotated[
        Count | None, Meta(description="The same in bytes; one of both.")
    ] = None
    bos_token_id: Annotated[TokenId | None, Meta(description="Id put before each document.")] = None
    special_tokens: Annotated[
        Literal["text", "parse"],
        Meta(
            description="Strings of special tokens in a text: text, so that no document ends "
            "itself, or the tokens."
        ),
    ] = "text"
    compat: Annotated[
        Literal["dolma"] | None,
        Meta(
            description="dolma: strip texts, parse special tokens, and add BOS and EOS only where "
            "they are missing, as `dolma tokens` does."
        ),
    ] = None
    shuffle: Annotated[bool, Meta(description="Shuffle all documents, over all parts.")] = False
    seed: Annotated[int, Meta(description="Key of the shuffle.", ge=-(2**63), le=2**63 - 1)] = 6198
    layout: Annotated[
        Literal["olmo", "megatron"],
        Meta(description="olmo: part-NNNNN.npy; megatron: .bin and .idx, a sequence a document."),
    ] = "olmo"


class CountTokens(DocumentOptions, frozen=True, kw_only=True):
    """Count the tokens of documents, by source, without writing any.

    What `tokenize` would write, EOS included.
    """

    tokenizer: Annotated[
        str, Meta(description="A tokenizer.json, a folder that holds one, or a hub id.")
    ] = ""
    encoder: Annotated[
        Literal["auto", "fastokens", "tokenizers"],
        Meta(description="auto: fastokens where it gives the ids of tokenizers."),
    ] = "auto"
    special_tokens: Annotated[
        Literal["text", "parse"],
        Meta(description="Strings of special tokens in a text: text, or the tokens."),
    ] = "text"


class Chat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Write conversations for fine-tuning: input_ids.npy and label_mask.npy, as OLMo reads them.

    A line of the files is {"messages": [{"role": "user", "content": "..."}, ...]}.
    """

    conversations: Annotated[
        list[str], Meta(description="Files or globs of JSONL.", extra={"argument": True})
    ] = []
    tokenizer: Annotated[
        str, Meta(description="A tokenizer.json, a folder that holds one, or a hub id.")
    ] = ""
    eos_token_id: Annotated[
        TokenId | None, Meta(description="Id put after what an assistant says.")
    ] = None
    pad_token_id: Annotated[
        TokenId | None, Meta(description="Id that fills an instance (default: EOS).")
    ] = None
    out: Annotated[str, Meta(description="Folder to write to.")] = ""
    template: Annotated[
        str, Meta(description="tulu, chatml, or a YAML file of the keys of a template.")
    ] = "tulu"
    sequence_length: Annotated[Count, Meta(description="Tokens of an instance.")] = 2048
    encoder: Annotated[
        Literal["auto", "fastokens", "tokenizers"],
        Meta(description="auto: fastokens where it gives the ids of tokenizers."),
    ] = "auto"
    overwrite: Annotated[bool, Meta(description="Replace what is there.")] = False


class Reshard(Options, frozen=True, kw_only=True):
    """Write token files again: other sizes, a sample or copies, shuffled or as they stand.

    Token files are folders with a tokens.json, or of the Dolma toolkit with --dtype.
    """

    tokens: Annotated[
        list[str], Meta(description="Token folders or .npy files.", extra={"argument": True})
    ] = []
    out: Annotated[str, Meta(description="Folder to write to.")] = ""
    rate: Annotated[
        float,
        Meta(
            description="How often each document is taken: 0.5 a half, by a hash of its id; 2.5 "
            "twice, and half of them once more.",
            gt=0,
            le=100,
        ),
    ] = 1.0
    max_tokens_per_part: Annotated[
        Count | None,
        Meta(description="A part-NNNNN.npy closes before it would hold more (default: 2^32)."),
    ] = None
    max_bytes_per_part: Annotated[
        Count | None, Meta(description="The same in bytes; one of both.")
    ] = None
    shuffle: Annotated[bool, Meta(description="Shuffle all documents, over all parts.")] = False
    seed: Annotated[
        int,
        Meta(description="Key of the shuffle and of the sample.", ge=-(2**63), le=2**63 - 1),
    ] = 6198
    dtype: Annotated[
        Literal["uint16", "uint32"] | None,
        Meta(description="Of token files that have no tokens.json."),
    ] = None
    eos_token_id: Annotated[
        TokenId | None, Meta(description="Recorded, where no tokens.json says it.")
    ] = None
    sequence_length: Annotated[
        Count | None, Meta(description="Recorded (default: as tokens.json says, or 2048).")
    ] = None

    def deciding(self) -> dict[str, Any]:
        return {k: v for k, v in super().deciding().items() if k not in {"tokens", "out"}}


class Extract(Options, frozen=True, kw_only=True):
    """Turn what one downloads into documents.

    WARC and WET files, HTML, text and Markdown in folders and zips, JSONL, CSV, Parquet and Arrow
    with other fields, dumps of Wikipedia, Stack Exchange and Reddit, git work trees. See
    docs/extraction.md.
    """

    sources: Annotated[
        list[str],
        Meta(
            description="Files, folders or globs.",
            extra={"argument": True, "metavar": "SOURCE...", "files": True},
        ),
    ] = []
    out: Annotated[str, Meta(description="Folder to write documents/ to.")] = ""
    kind: Annotated[
        Literal[
            "auto",
            "warc",
            "wet",
            "html",
            "text",
            "markdown",
            "jsonl",
            "csv",
            "parquet",
            "arrow",
            "wikipedia",
            "stackexchange",
            "reddit",
            "git",
        ],
        Meta(description="What the sources are (auto: by names and first bytes)."),
    ] = "auto"
    source: Annotated[
        str | None, Meta(description="`source` of the documents (default: the name of --out).")
    ] = None
    added: Annotated[
        str | None,
        Meta(
            description="`added` of the documents, ISO 8601 (default: none; the clock is never "
            "asked, so that outputs repeat)."
        ),
    ] = None
    text_key: Annotated[
        str | None, Meta(description="Of tables: field with the text (default: text, content ...).")
    ] = None
    id_key: Annotated[
        str | None, Meta(description="Of tables: field with the id (default: id ...; else by row).")
    ] = None
    created_key: Annotated[
        str | None, Meta(description="Of tables: field with the date (default: created, date ...).")
    ] = None
    metadata_keys: Annotated[
        list[str], Meta(description="Of tables: fields that go to metadata (default: all others).")
    ] = []
    extractor: Annotated[
        Literal["resiliparse", "trafilatura", "dolma"],
        Meta(
            description="Of HTML: resiliparse with our choice of what is content, trafilatura, or "
            "resiliparse as `dolma warc` calls it."
        ),
    ] = "resiliparse"
    statuses: Annotated[
        list[Count], Meta(description="Of WARC: HTTP statuses that are taken (default: 200).")
    ] = []
    mime_types: Annotated[
        list[str],
        Meta(description="Of WARC: types that are taken (default: HTML, XHTML, plain text)."),
    ] = []
    min_body_bytes: Annotated[
        Count | None, Meta(description="Of WARC: bodies of fewer bytes are left out.")
    ] = None
    max_body_bytes: Annotated[
        Count | None, Meta(description="Of WARC: bodies of more bytes are left out.")
    ] = None
    min_characters: Annotated[Count, Meta(description="Of a text; shorter ones are left out.")] = 1
    max_record_bytes: Annotated[
        Count, Meta(description="Of a record, decompressed; larger ones are faults.")
    ] = 64_000_000
    record_ids: Annotated[
        Literal["digest", "record"],
        Meta(description="Of WARC: ids by payload digest, as Dolma's, or by WARC-Record-ID."),
    ] = "digest"
    pre_taggers: Annotated[
        list[str | dict[str, Any]],
        Meta(description="Taggers that look at metadata.html, as cc_re, for attributes."),
    ] = []
    post_taggers: Annotated[
        list[str | dict[str, Any]], Meta(description="Taggers that look at the text.")
    ] = []
    skip_no_pre_taggers: Annotated[
        bool, Meta(description="Leave out pages in which no pre-tagger finds anything.")
    ] = False
    skip_no_post_taggers: Annotated[
        bool, Meta(description="Leave out texts in which no post-tagger finds anything.")
    ] = False
    store_html: Annotated[bool, Meta(description="Keep the HTML in metadata.html.")] = False
    compression: Annotated[Literal["gz", "zst"], Meta(description="Of documents.")] = "gz"
    plugin: PluginFiles = []

    def deciding(self) -> dict[str, Any]:
        return {k: v for k, v in super().deciding().items() if k not in {"sources", "out"}}


class Recipe(Options, frozen=True, kw_only=True):
    """Run the stages of a recipe, one after the other.

    A recipe has `stages`, a list of {extract: {...}}, {tag: {...}}, {dedupe: {...}}, {mix: {...}},
    {tokenize: {...}} with each command's keys. What is finished is not done again.
    """

    stages: Annotated[
        list[dict[str, dict[str, Any]]], Meta(description="The stages.", extra={"flag": False})
    ] = []
    plugin: PluginFiles = []


class TrainClassifier(Options, frozen=True, kw_only=True):
    """Train a fastText classifier of documents and say how good it is on held-out ones.

    The model is one for the tagger `fasttext`. Some documents, chosen by a hash of their words, are
    held out of the training: on them precision, recall and a table of thresholds are measured.
    """

    positive: Annotated[
        list[str],
        Meta(description="What to find: files, folders or globs, as many as follow.", extra=DOCS),
    ] = []
    negative: Annotated[
        list[str],
        Meta(description="What to tell it from: files, folders or globs.", extra=DOCS),
    ] = []
    label: Annotated[
        list[str],
        Meta(
            description="For other labels than these two: NAME=DOCS, for each at least once.",
            extra=DOCS | {"metavar": "NAME=DOCS"},
        ),
    ] = []
    positive_label: Annotated[str, Meta(description="Name of the first label.")] = "positive"
    negative_label: Annotated[str, Meta(description="Name of the second label.")] = "negative"
    out: Annotated[str, Meta(description="The model to write, X.bin; X.json says what it is.")] = ""
    limit: Annotated[
        Count | None,
        Meta(description="Only the first N documents of each label; the output is marked partial."),
    ] = None
    text_key: Annotated[str, Meta(description="Field that holds the text.")] = "text"
    id_key: Annotated[str, Meta(description="Field that holds the id.")] = "id"
    holdout: Annotated[
        float, Meta(description="Share of the documents that is held out.", gt=0, lt=1)
    ] = 0.1
    seed: Annotated[
        int,
        Meta(description="Key of the choice, the order, the first weights.", ge=0, le=2**63 - 1),
    ] = 6198
    lowercase: Annotated[
        bool, Meta(description="Lower case; the tagger then needs lowercase=True.")
    ] = False
    dim: Annotated[int, Meta(description="Numbers of a vector.", ge=1, le=1 << 16)] = 100
    epochs: Annotated[Count, Meta(description="How often each document is seen.")] = 5
    lr: Annotated[float, Meta(description="Learning rate at the beginning.", gt=0)] = 0.1
    word_ngrams: Annotated[int, Meta(description="Longest n-grams of words.", ge=1, le=100)] = 2
    min_n: Annotated[
        int, Meta(description="Shortest n-grams of a word's characters.", ge=0, le=100)
    ] = 0
    max_n: Annotated[
        int, Meta(description="Longest n-grams of a word's characters (0: none).", ge=0, le=100)
    ] = 0
    buckets: Annotated[
        Annotated[int, Meta(ge=1, le=2**31 - 1)] | None,
        Meta(description="Vectors that all n-grams share (default: as the text needs, up to 2M)."),
    ] = None
    min_count: Annotated[Count, Meta(description="Words that come less often are not kept.")] = 1
    loss: Annotated[
        Literal["softmax", "ova"],
        Meta(description="softmax: the labels' scores add up to 1; ova: each is on its own."),
    ] = "softmax"
    balance: Annotated[
        bool, Meta(description="Smaller steps for commoner labels, so that all weigh the same.")
    ] = False


STAGES: dict[str, type[Options]] = {
    "extract": Extract,
    "tag": Tag,
    "dedupe": Dedupe,
    "decontaminate": Decontaminate,
    "mix": Mix,
    "tokenize": Tokenize,
}


def build(kind: type[T], values: Mapping[str, Any], *, where: str = "") -> T:
    """The struct that plain values describe; ConfigError names the key at fault and the nearest."""
    try:
        return msgspec.convert(dict(values), kind, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where + ': ' if where else ''}{_explain(str(error), kind)}") from None


def _explain(message: str, kind: type) -> str:
    unknown = re.match(r"Object contains unknown field `(.*?)`(?: - at `\$(.*)`)?$", message)
    if unknown is None:
        message = message.replace("Object missing required field", "missing the key")
        return message.replace(" - at `$.", " - at `")
    key, place = unknown.group(1), (unknown.group(2) or "").lstrip(".")
    known = sorted(_keys_at(kind, place))
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known) or 'none'}"
    return f"unknown key {key!r}{f' in {place}' if place else ''}; {hint}"


def _keys_at(kind: Any, place: str) -> set[str]:
    """The keys of the struct that a path like `streams[...].output` leads to."""
    for name in re.findall(r"[A-Za-z_]\w*", place):
        kind = _struct_in({f.name: f.type for f in msgspec.structs.fields(kind)}[name])
        if kind is None:
            return set()
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def _struct_in(annotation: Any) -> Any:
    """The struct within `list[Struct]`, `Struct | None` and the like, or None."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _struct_in(inner)) is not None:
            return found
    return None


def read(path_or_name: str) -> dict[str, Any]:
    """A config file (YAML or JSON), or by name one of `configs/` that the package brings."""
    import yaml

    try:
        path = path_or_name
        if not os.path.exists(path):
            path = os.path.join(_shipped_folder(), f"{path_or_name}.yaml")
            if not os.path.exists(path):
                raise ConfigError(
                    f"no config {path_or_name!r}: neither a file nor one of those that "
                    "`dolma-kit list configs` shows"
                )
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        values = yaml.load(text, _unique_keys())
    except RecursionError:
        raise ConfigError(f"{path_or_name} is nested too deeply for a config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read config {path_or_name}: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path_or_name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path_or_name} holds no keys: a config is a mapping")
    resolved: dict[str, Any] = _Resolver(path_or_name).resolved(values)
    return resolved


_FROM_ENVIRONMENT = re.compile(r"\$\{oc\.env:\s*([A-Za-z_]\w*)\s*(?:,\s*([^}]*?)\s*)?\}")


class _Resolver:
    """Puts variables of the environment in the place of `${oc.env:NAME}` and
    `${oc.env:NAME,default}`, as OmegaConf has them; ConfigError for one that is not set, and for
    values that no config has: what an alias repeats without end, integers that no message can say.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._n_values = 0

    def resolved(self, value: Any, depth: int = 0) -> Any:
        self._n_values += 1
        if depth > MOST_DEPTH:
            raise ConfigError(
                f"{self._where} is nested more than {MOST_DEPTH} deep, maybe by an alias within "
                "what it names"
            )
        if self._n_values > MOST_VALUES:
            raise ConfigError(f"{self._where}: its aliases make more than {MOST_VALUES:,} values")
        if isinstance(value, dict):
            return {
                self.resolved(key, depth + 1) if isinstance(key, int) else key: (
                    self.resolved(one, depth + 1)
                )
                for key, one in value.items()
            }
        if isinstance(value, list | tuple):  # YAML's pairs are tuples
            return [self.resolved(one, depth + 1) for one in value]
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            bits = value.bit_length()
            raise ConfigError(f"{self._where}: an integer of {bits:,} bits is no setting")
        return _FROM_ENVIRONMENT.sub(self._look_up, value) if isinstance(value, str) else value

    def _look_up(self, match: re.Match[str]) -> str:
        name, default = match.groups()
        if name in os.environ:
            return os.environ[name]
        if default is None:
            raise ConfigError(f"{self._where}: the variable {name} of {match[0]} is not set")
        is_quoted = len(default) > 1 and default[0] == default[-1] and default[0] in "'\""
        return str(default[1:-1] if is_quoted else default)


@functools.cache
def _unique_keys() -> type[yaml.SafeLoader]:
    """A YAML loader that refuses a key that stands twice, of which PyYAML takes the last, and a
    scalar that is not what it looks like (a 45th of a month), on which PyYAML fails."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except (ValueError, AttributeError, LookupError, ArithmeticError):
                if not isinstance(node, yaml.ScalarNode):
                    raise
                what = node.tag.rpartition(":")[2]
                said = f"{node.value[:MOST_SAID]!r} is no {what}; quote it where it is text"
                raise yaml.constructor.ConstructorError(None, None, said, node.start_mark) from None

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            merge = "tag:yaml.org,2002:merge"  # `<<`, whose keys give way to those that stand here
            keys = [
                self.construct_object(key, deep=True) for key, _ in node.value if key.tag != merge
            ]
            for key in keys:
                if keys.count(key) > 1:
                    place = node.start_mark
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} stands twice", place
                    )
            return super().construct_mapping(node, deep)

    return Loader


def _shipped_folder() -> str:
    """`configs/`: inside the package in a wheel, beside it in a checkout."""
    package = os.path.dirname(os.path.abspath(__file__))
    inside = os.path.join(package, "_configs")
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(package), "configs")


def shipped() -> dict[str, str]:
    """The configs that come with the package: name -> what the first comment line says."""
    folder = _shipped_folder()
    about = {}
    for name in sorted(os.listdir(folder) if os.path.isdir(folder) else []):
        if name.endswith(".yaml"):
            with open(os.path.join(folder, name), encoding="utf-8") as stream:
                about[name.removesuffix(".yaml")] = stream.readline().lstrip("# ").strip()
    return about


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of plain values as canonical JSON: sorted keys, no white space."""
    return hashlib.sha256(msgspec.json.encode(values, order="deterministic")).hexdigest()
