"""Evaluations as items: what a model is asked, read from the files that evaluations come in.

Two kinds of rows. *Requests*, as OLMo's evaluations keep them, have `request` and `doc`: one row
for each answer that is ranked, and those of one `task_name` and `doc_id` are one item. *Plain rows*
have fields of any names, which `fields` maps; each is an item. A file is JSONL (`.gz`, `.zst` too)
or Parquet; a folder is all such files in it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from dolma_kit import files, jsonl
from dolma_kit.errors import ConfigError, DataError, MissingInput

FORMATS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".json.gz", ".parquet")
#: what a plain row's fields are called, unless `fields` says otherwise
FIELDS = {
    "question": "question",
    "passage": "passage",
    "answer": "answer",
    "choices": "choices",
    "id": "id",
    "split": "split",
    "benchmark": "task_name",
}
_SPLIT = re.compile(r"(.+)[_-](train|training|dev|val|valid|validation|test)")
# What prompts put around a question.
_HEAD = re.compile(r"(?:(?P<passage>.*)\n)?(?:Question|Goal|Q): ?", re.DOTALL)
_TAIL = re.compile(r"(?:^|\n)(?:Answer|A):\s*$")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a benchmark; a part that it has not got is empty.

    `split` is empty where neither row nor file name says it. `choices` are all answers that are
    offered, `answer` the right one. `src` and `line` are where it stands.
    """

    benchmark: str
    split: str
    id: str
    question: str
    passage: str = ""
    answer: str = ""
    choices: tuple[str, ...] = ()
    src: str
    line: int

    def part(self, name: str) -> list[str]:
        """The texts of a part: question, passage, answer or choices."""
        if name == "choices":
            return [choice for choice in self.choices if choice]
        text: str = getattr(self, name)
        return [text] if text else []

    @property
    def fields(self) -> list[str]:
        """All that is given to a model: passage, question, and the choices, or else the answer."""
        given = self.part("passage") + self.part("question")
        return given + (self.part("choices") or self.part("answer"))


class Evaluations(NamedTuple):
    """All items, in canonical order, and what was left out."""

    items: list[Item]
    n_empty: int  # without a question, as requests for the answer's own likelihood are
    n_other_splits: int
    sha256: dict[str, str]  # of each file


def read(
    evals: Sequence[str],
    fields: Mapping[str, str] | None = None,
    splits: Sequence[str] = (),
) -> Evaluations:
    """The items of files and folders, in the order in which they are given; paths of a folder are
    sorted. With `splits`, of those alone; one of no known split is none of them.

    DataError, with file and line, for a row that lacks the named fields.
    """
    if unknown := set(fields or ()) - set(FIELDS):
        raise ConfigError(
            f"no part {', '.join(sorted(unknown))} of an item: name {', '.join(FIELDS)}"
        )
    named = FIELDS | dict(fields or {})
    items: list[Item] = []
    n_empty = n_other_splits = 0
    digests: dict[str, str] = {}
    for path in paths_of(evals):
        digests[path] = files.sha256(path)
        for item in _items_of(path, named, asked=set(fields or ())):
            if not item.question.strip():
                n_empty += 1
            elif splits and item.split not in splits:
                n_other_splits += 1
            else:
                items.append(item)
    if not items:
        left_out = f"{n_empty} have no question, {n_other_splits} are of other splits"
        raise ConfigError(f"no items in {', '.join(evals)}: {left_out}")
    return Evaluations(items, n_empty, n_other_splits, digests)


def paths_of(evals: Sequence[str]) -> list[str]:
    """The files that are named, each once."""
    found: dict[str, None] = {}
    if not evals:
        raise ConfigError("no evaluations: name files or folders with --evals")
    for argument in evals:
        own = files.expand(argument) or files.expand(f"{argument.rstrip('/')}/**")
        own = [path for path in own if path.endswith(FORMATS)]
        if not own:
            raise MissingInput(
                f"no evaluations match {argument!r}: give files that end in "
                f"{', '.join(FORMATS)}, or a folder of them"
            )
        found.update(dict.fromkeys(own))
    return list(found)


def _items_of(path: str, fields: Mapping[str, str], asked: set[str]) -> Iterator[Item]:
    benchmark, split = _named_by(path)
    group: list[dict[str, Any]] = []
    key: Any = None
    first = 0
    for line, row in _rows_of(path):
        if not isinstance(row, dict):
            raise DataError(path, line, "is no JSON object: an item is one")
        if "request" not in row:
            if group:
                yield _of_requests(path, first, group, benchmark, split)
                group = []
            yield _of_plain(path, line, row, fields, asked, benchmark, split)
            continue
        own = (row.get("task_name"), row.get("doc_id"))
        if group and own != key:
            yield _of_requests(path, first, group, benchmark, split)
            group = []
        if not group:
            key, first = own, line
        group.append(row)
    if group:
        yield _of_requests(path, first, group, benchmark, split)


def _named_by(path: str) -> tuple[str, str]:
    """Benchmark and split by a file's name, or by its folder's if it is called `requests`."""
    *folders, name = path.split("/")
    stem = name.split(".")[0]
    if stem == "requests" and folders:
        stem = folders[-1]
    match = _SPLIT.fullmatch(stem)
    return (match[1], match[2]) if match else (stem, "")


def _rows_of(path: str) -> Iterator[tuple[int, Any]]:
    if path.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows = pq.read_table(path).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise DataError(path, None, f"cannot be read as Parquet: {error}") from None
        yield from enumerate(rows, 1)
        return
    n = 0
    with contextlib.closing(files.Reader(path)) as reader:
        for piece in jsonl.whole_lines(reader):
            for line in piece.removesuffix(b"\n").split(b"\n"):
                n += 1
                if not line.strip():
                    continue
                try:
                    yield n, msgspec.json.decode(line)
                except msgspec.DecodeError as error:
                    raise DataError(path, n, f"is no JSON: {error}") from None


def _of_plain(
    path: str, line: int, row: dict[str, Any], fields: Mapping[str, str], asked: set[str],
    benchmark: str, split: str,
) -> Item:  # fmt: skip
    for part in ("question", *sorted(asked)):
        if fields[part] not in row:
            raise DataError(
                path, line,
                f"has no field {fields[part]!r} for the {part}, but {', '.join(row)}: name the "
                f"right one with --fields {part}=NAME",
            )  # fmt: skip
    values = {part: row.get(name) for part, name in fields.items()}
    labels, choices = _choices(values["choices"])
    answer = values["answer"]
    if isinstance(answer, list):  # accepted ones: the first stands for them
        answer = answer[0] if answer else ""
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        answer = choices[answer]
    elif answer in labels:
        answer = choices[labels.index(answer)]
    return Item(
        benchmark=_text(path, line, "benchmark", values["benchmark"]) or benchmark,
        split=_text(path, line, "split", values["split"]) or split,
        id=_text(path, line, "id", values["id"]) or str(line),
        question=_text(path, line, "question", values["question"]),
        passage=_text(path, line, "passage", values["passage"]),
        answer=_text(path, line, "answer", answer),
        choices=tuple(_text(path, line, "choices", choice) for choice in choices),
        src=path,
        line=line,
    )


def _choices(value: Any) -> tuple[list[Any], list[Any]]:
    """Labels and texts of choices: a list, or as ARC has them `{"label": [...], "text": [...]}`."""
    if isinstance(value, dict):
        return list(value.get("label") or ()), list(value.get("text") or ())
    return [], list(value) if isinstance(value, list | tuple) else []


def _text(path: str, line: int, part: str, value: Any) -> str:
    """A part as text: numbers and truth values are written as JSON has them."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    kind = "a list" if isinstance(value, list) else "an object"
    raise DataError(path, line, f"has {kind} for the {part}: a part is text")


def _of_requests(
    path: str, line: int, rows: Sequence[dict[str, Any]], benchmark: str, split: str
) -> Item:
    """An item of its requests. Where their contexts differ, as when the choice stands in them, the
    question is the whole text of the right one."""
    first = rows[0]
    made = []
    for row in rows:
        request = row["request"]
        if not isinstance(request, dict) or not isinstance(request.get("context"), str):
            raise DataError(path, line, "has a request without a context: an item needs one")
        made.append((request["context"], str(request.get("continuation") or "")))
    gold = first.get("label")
    right = gold if isinstance(gold, int) and 0 <= gold < len(made) else 0
    common: dict[str, Any] = {
        "benchmark": str(first.get("task_name") or benchmark),
        "split": str(first.get("split") or split),
        "id": _id_of(first, line),
        "src": path,
        "line": line,
    }
    if any(context != made[0][0] for context, _ in made):
        return Item(question="".join(made[right]), **common)
    question, passage = made[0][0], ""
    if head := _HEAD.match(question):
        question, passage = question[head.end() :], head["passage"] or ""
    choices = tuple(continuation.strip() for _, continuation in made)
    return Item(
        question=_TAIL.sub("", question),
        passage=passage,
        answer=choices[right],
        choices=choices if len(choices) > 1 else (),
        **common,
    )


def _id_of(row: dict[str, Any], line: int) -> str:
    for key in ("native_id", "doc_id"):
        if row.get(key) is not None:
            return str(row[key])
    return str(line)
