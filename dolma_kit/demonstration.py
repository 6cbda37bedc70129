"""The whole pipeline on text that every machine with Python has.

Three sources: the standard library's modules as code, their docstrings as prose, and the
licences, READMEs and descriptions of the installed packages as pages from the web, with the
e-mail addresses that really stand in them. What it runs is written to `recipe.yaml`, so the same
stages can be run again with `dolma-kit run -c`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import os
import sysconfig
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from dolma_kit import config, files, kernels
from dolma_kit.config import Recipe
from dolma_kit.errors import ConfigError, VerificationError
from dolma_kit.execute import engine_for
from dolma_kit.summary import Summary

SOURCES = ("code", "prose", "web")
WEIGHTS = {"code": 0.5, "prose": 1.0, "web": 1.5}
MAX_SOURCE_BYTES = 8_000_000
SKIPPED_FOLDERS = {
    "site-packages",
    "test",
    "tests",
    "idle_test",
    "__pycache__",
    "lib2to3",
    "_vendor",
}
PAGE_NAMES = ("license", "licence", "copying", "notice", "authors", "readme")
PAGE_SUFFIXES = ("", ".txt", ".md", ".rst")
VOCABULARY = 8192
TRAINING_BYTES = 6_000_000
EOS = "<|endoftext|>"
MASKS = ("|||EMAIL_ADDRESS|||", "|||PHONE_NUMBER|||", "|||IP_ADDRESS|||")
SEQUENCE_LENGTH = 2048
BATCH_SIZE = 8
STEP = 3
TABLE_HEAD = f"{'stage':<20}{'read':>10}{'kept':>10}{'removed':>10}{'seconds':>9}"
KERNELS = ("unicode", "gopher", "c4", "pii", "rounding", "paragraphs", "hashing", "bloom")


class Row(NamedTuple):
    """A line of the closing table; what a stage removes is what later stages do not see."""

    stage: str
    seconds: float
    read: int | None = None
    kept: int | None = None
    note: str = ""

    def __str__(self) -> str:
        removed = None if self.read is None or self.kept is None else self.read - self.kept
        numbers = "".join(
            f"{'' if n is None else format(n, ','):>10}" for n in (self.read, self.kept, removed)
        )
        return f"{self.stage:<20}{numbers}{self.seconds:>9.2f}  {self.note}".rstrip()


def demonstrate(
    folder: str,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    say: Callable[[str], Any] = print,
) -> Summary:
    """Run the demo into `folder` and say what happens; a folder that is in use is refused.

    Running it again does what is missing, on the documents and with the tokenizer of the first
    time, also where packages were installed since; `overwrite` starts again.
    """
    ours = os.path.exists(os.path.join(folder, "recipe.yaml"))
    if os.path.isdir(folder) and os.listdir(folder) and not ours:
        raise ConfigError(f"{folder} is not empty and holds no demo: name another folder")
    started = time.perf_counter()
    recipe = _recipe(folder)
    about = "The demo's stages: dolma-kit run -c FILE runs them again, from the folder it ran in."
    _write_yaml(os.path.join(folder, "recipe.yaml"), recipe, about)
    rows = [_written(folder, overwrite, say)]
    compiling = time.perf_counter()
    kernels.load(KERNELS)
    rows.append(Row("numba compiles", time.perf_counter() - compiling, note="once a machine"))
    settings = config.build(
        Recipe, {**recipe, "workers": workers, "overwrite": overwrite, "quiet": True}
    )
    summaries = _run_stages(settings, folder, rows, say)
    run_path = _describe_run(folder)
    answer = _show_step(run_path, rows, say)
    seconds = time.perf_counter() - started
    say(_table(rows, seconds))
    say(f"when was it seen: dolma-kit trace doc {answer} --run {run_path}")
    say(f"look around:      dolma-kit view --run {run_path}")
    say(f"the whole report: dolma-kit report {folder} --out {os.path.join(folder, 'report.html')}")
    tokenized = summaries[-1]
    return Summary(
        command="demo",
        documents=summaries[0].documents,
        bytes_in=summaries[0].bytes_in,
        bytes_out=sum(summary.bytes_out for summary in summaries),
        seconds=round(seconds, 3),
        mb_per_s=round(summaries[0].bytes_in / 1e6 / seconds, 3),
        outputs=[folder, run_path],
        compile_seconds=round(rows[1].seconds, 3),
        counts={"tokens": tokenized.counts["tokens"], "rows": [row._asdict() for row in rows]},
    )


def _paths(folder: str, source: str) -> list[str]:
    """Two files a source."""
    documents = os.path.join(folder, source, "documents")
    return [os.path.join(documents, f"{source}-{i:04d}.jsonl.gz") for i in range(2)]


def _written(folder: str, overwrite: bool, say: Callable[[str], Any]) -> Row:
    """Write the documents of the three sources, if they are not there."""
    started = time.perf_counter()
    if not overwrite and all(os.path.exists(p) for s in SOURCES for p in _paths(folder, s)):
        return Row("write documents", time.perf_counter() - started, note="they are there")
    modules = list(_modules())
    documents = {
        "code": ((name, text, None) for name, text in modules),
        "prose": ((name, text, None) for name, text in _docstrings(modules)),
        "web": _pages(),
    }
    n_documents = n_bytes = 0
    for source in SOURCES:
        lines, size = [], 0
        for name, text, url in documents[source]:
            if not text.strip():
                continue
            metadata = {"name": name} | ({"url": url} if url else {})
            document_id = hashlib.sha1(f"{source} {name}".encode()).hexdigest()
            row = {"id": document_id, "text": text, "source": source, "metadata": metadata}
            lines.append(msgspec.json.encode(row) + b"\n")
            size += len(lines[-1])
            if size > MAX_SOURCE_BYTES:
                break
        if not lines:
            raise VerificationError(f"this machine has no text for the source {source!r}")
        half = (len(lines) + 1) // 2
        for path, part in zip(_paths(folder, source), (lines[:half], lines[half:]), strict=True):
            _write_if_new(path, files.compress(b"".join(part), "gz"))
        n_documents += len(lines)
        n_bytes += size
        say(f"{source}: {len(lines):,} documents, {size / 1e6:.1f} MB")
    seconds = time.perf_counter() - started
    note = f"documents, {n_bytes / 1e6:.1f} MB of three sources"
    return Row("write documents", seconds, kept=n_documents, note=note)


def _write_if_new(path: str, data: bytes) -> None:
    """An unchanged file keeps its time, so that a second demo finds its stages done."""
    if os.path.exists(path):
        with open(path, "rb") as stream:
            if stream.read() == data:
                return
    with files.write_atomically(path) as stream:
        stream.write(data)


def _modules() -> Iterator[tuple[str, str]]:
    """(name, source) of the standard library's modules, in order."""
    root = sysconfig.get_paths()["stdlib"]
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        for name in sorted(names):
            if name.endswith(".py"):
                path = os.path.join(place, name)
                with open(path, encoding="utf-8", errors="replace") as stream:
                    yield os.path.relpath(path, root), stream.read()


def _docstrings(modules: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(name, all docstrings of the module as paragraphs)."""
    for name, source in modules:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented)]
        yield name, "\n\n".join(text for text in found if text)


def _pages() -> Iterator[tuple[str, str, str | None]]:
    """(name, text, url) of installed packages: their metadata, licences and READMEs, in order."""
    found: dict[str, tuple[str, str | None]] = {}
    for package in importlib.metadata.distributions():
        name, url = package.metadata["Name"], package.metadata["Home-page"]
        described = package.read_text("METADATA")
        if not name or not described:
            continue
        found[f"{name}/METADATA"] = (described, url)
        for file in package.files or ():
            if file.name.lower().startswith(PAGE_NAMES) and file.suffix.lower() in PAGE_SUFFIXES:
                try:
                    found[f"{name}/{file}"] = (file.read_text(encoding="utf-8"), url)
                except (OSError, UnicodeDecodeError):
                    continue  # listed but not there, or not text
    for name, (text, home) in sorted(found.items()):
        yield name, text, home


def _recipe(folder: str) -> dict[str, Any]:
    """The stages of the demo, as one would write them in a recipe."""
    documents = [os.path.join(folder, source) for source in SOURCES]
    taggers = ["language_en_v1", "gopher_v2", "c4_v2", "pii_regex_with_counts_fast_v2"]
    streams = [
        {
            "name": source,
            "documents": [os.path.join(folder, source)],
            "attributes": ["q", "dup_documents", "dup_paragraphs"],
            "keep": "dup_documents = 0 AND q__gopher_v2__word_count >= 20",
            "span_replacement": [{"span": "dup_paragraphs", "min_score": 0.5, "replacement": ""}],
            "policies": [{"id": "pii_mask_v1", "max_spans": 50}],
            "rate": WEIGHTS[source],
            "output": {"path": os.path.join(folder, "mixed"), "min_text_length": 1},
        }
        for source in SOURCES
    ]
    return {
        "stages": [
            {"tag": {"documents": documents, "taggers": taggers, "experiment": "q"}},
            {"dedupe": {"documents": documents, "by": "document", "name": "dup_documents"}},
            {
                "dedupe": {
                    "documents": documents,
                    "by": "paragraph",
                    "name": "dup_paragraphs",
                    "min_words": 3,
                }
            },
            {"mix": {"streams": streams}},
            {
                "tokenize": {
                    "documents": [os.path.join(folder, "mixed")],
                    "tokenizer": os.path.join(folder, "tokenizer.json"),
                    "eos_token_id": 0,
                    "out": os.path.join(folder, "tokens"),
                    "sequence_length": SEQUENCE_LENGTH,
                }
            },
        ]
    }


def _run_stages(
    settings: Recipe, folder: str, rows: list[Row], say: Callable[[str], Any]
) -> list[Summary]:
    """The recipe's stages one by one, with the tokenizer trained between mixing and tokenizing."""
    from dolma_kit import recipe

    summaries = []
    with engine_for(settings) as engine:
        for name, stage in recipe.resolve(settings):
            if name == "tokenize":
                rows.append(_train_tokenizer(folder, settings.overwrite))
            summary = recipe.run_stage(name, stage, engine)
            summaries.append(summary)
            rows.append(_row(name, stage, summary))
            say(str(rows[-1]))
    return summaries


def _row(name: str, stage: Any, summary: Summary) -> Row:
    counts = summary.counts
    n_documents = summary.documents
    if name == "dedupe":
        return Row(
            f"dedupe by {stage.by}",
            summary.seconds,
            read=counts["keys"],
            kept=counts["keys"] - counts["duplicates"],
            note=f"{stage.by}s, the others are marked for mix",
        )
    if name == "mix":
        removed: dict[str, int] = {}
        n_spans = 0
        for stream in counts["streams"].values():
            n_spans += stream["replaced"].get("regions", 0)
            for rule, n in stream["removed"].items():
                removed[rule] = removed.get(rule, 0) + n
        why = ", ".join(f"{rule} {n:,}" for rule, n in sorted(removed.items()))
        note = f"documents; {why}; {n_spans:,} spans cut or masked; {counts['written']:,} written"
        return Row(name, summary.seconds, n_documents, counts["kept"], note)
    if name == "tokenize":
        note = f"documents, {counts['tokens']:,} tokens, by {counts['encoder']}"
        return Row(name, summary.seconds, n_documents, n_documents - counts["empty"], note)
    note = f"documents, {len(stage.taggers)} taggers"
    return Row(name, summary.seconds, n_documents, n_documents, note)


def _train_tokenizer(folder: str, overwrite: bool) -> Row:
    """A byte-level BPE on the mixed text, with OLMo's masks as added tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    from dolma_kit.documents import DocumentReader
    from dolma_kit.layout import find

    started = time.perf_counter()
    path = os.path.join(folder, "tokenizer.json")
    if os.path.exists(path) and not overwrite:
        return Row("train tokenizer", time.perf_counter() - started, note="it is there")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(MASKS),
        special_tokens=[EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    shards = find([os.path.join(folder, "mixed")])
    share = TRAINING_BYTES // len(shards)

    def texts() -> Iterator[str]:
        for shard in shards:
            n_bytes = 0
            for batch in DocumentReader(shard.path):
                for text in batch.texts:
                    yield text
                    n_bytes += len(text)
                    if n_bytes > share:
                        break
                if n_bytes > share:
                    break

    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_tokens([AddedToken(mask, normalized=False) for mask in MASKS])
    _write_if_new(path, tokenizer.to_str(pretty=True).encode())
    note = f"{tokenizer.get_vocab_size():,} ids"
    return Row("train tokenizer", time.perf_counter() - started, note=note)


def _describe_run(folder: str) -> str:
    """Write `run.yaml`: a training run over the tokens, in OLMo's order."""
    path = os.path.join(folder, "run.yaml")
    run = {
        "tokens": "tokens",
        "sequence_length": SEQUENCE_LENGTH,
        "global_batch_size": BATCH_SIZE,
        "order": {"kind": "olmo", "seed": 6198, "epoch": 0, "world_size": 1, "drop_last": True},
        "epochs": 1,
    }
    _write_yaml(path, run, "A training run over the demo's tokens; `dolma-kit trace` reads it.")
    return path


def _write_yaml(path: str, values: dict[str, Any], about: str) -> None:
    import yaml

    text = f"# {about}\n{yaml.safe_dump(values, sort_keys=False)}"
    _write_if_new(path, text.encode())


def _show_step(run_path: str, rows: list[Row], say: Callable[[str], Any]) -> str:
    """Show what a step saw; returns the id of one of its documents."""
    from dolma_kit.cli.trace import step_text
    from dolma_kit.order.run import open_run
    from dolma_kit.order.steps import trace_step

    started = time.perf_counter()
    run = open_run(run_path)
    answer = trace_step(run, min(STEP, run.n_steps))
    say("")
    say(step_text(answer))
    n_documents = sum(len(instance.documents) for instance in answer.instances)
    note = f"of {run.n_steps}; {n_documents} documents in {len(answer.instances)} instances"
    rows.append(Row(f"trace step {answer.step}", time.perf_counter() - started, note=note))
    return answer.instances[0].documents[0].id


def _table(rows: list[Row], seconds: float) -> str:
    return "\n".join(["", TABLE_HEAD, *map(str, rows), str(Row("in all", seconds))])
