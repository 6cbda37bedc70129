"""Plug-ins: parts from files and wheels, what they may return, and what is refused."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import dolma_kit as package
from dolma_kit import files, plugins, registry, tagging
from dolma_kit.errors import ConfigError, DataError

from .conftest import RunCommand, WriteDocuments

ROOT = Path(package.__file__).parent.parent
TEXTS = ["Hello WORLD", "", "é😀 WORLD x", "none"]
HEAD = "import dolma_kit\nimport numpy as np\n"

DOCUMENT = '''
@dolma_kit.tagger("world_v1", keys={"length": "score", "n": "score", "word": "spans"})
def world(document):
    """Where the world is.

    Not on the first line."""
    found = {"length": len(document.text), "n": document.metadata.get("n")}
    if (at := document.text.find("WORLD")) >= 0:
        found["word"] = [(at, at + 5, 0.5)]
    return found
'''
KERNEL = '''
@dolma_kit.tagger("kernel_v1", keys={"n_bytes": "score", "first": "spans"}, kernel=True)
def kernel(text_bytes, offsets):
    """Bytes, and the first character."""
    n_bytes = np.diff(offsets)
    some = n_bytes > 0
    n = int(some.sum())
    spans = (np.r_[0, np.cumsum(some)], np.zeros(n, int), np.ones(n, int), np.full(n, 2.0))
    return {"n_bytes": np.where(some, n_bytes, np.nan), "first": spans}
'''
CLASS = '''
from typing import ClassVar
from dolma_kit.registry import Tagger

class Letters(Tagger, frozen=True, kw_only=True):
    """How often a letter occurs."""

    id: ClassVar[str] = "letters_v1"
    letter: str
    times: float = 1.0
    line: int = 0  # a name that parts made of functions have for something else

    @property
    def keys(self):
        return {f"n_{self.letter}": "score"}

    def tag(self, batch):
        counts = [text.count(self.letter) * self.times for text in batch.texts]
        return {f"n_{self.letter}": np.array(counts)}

Alias = Letters
'''
MIXER = '''
COLUMNS = ["world_v1__length", "q__world_v1__word", "world_v1__n"]

@dolma_kit.mixer("world_policy_v1", columns=COLUMNS)
def world_policy(document, attributes):
    """Keep worlds, masked."""
    assert list(attributes) == COLUMNS
    assert attributes["world_v1__length"] == len(document.text)
    if document.id == "0":
        assert attributes["world_v1__n"] is None
        return [(a, b, "<{}>") for a, b, score in attributes["q__world_v1__word"] if score == 0.5]
    return bool(document.text)
'''


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)]
    rows[2] |= {"metadata": {"n": 7}, "source": "s"}
    write_documents(tmp_path / "web/documents/a.jsonl", rows)
    return tmp_path


def write(*code: str, name: str = "my.py") -> str:
    Path(name).write_text(HEAD + "".join(textwrap.dedent(part) for part in code), encoding="utf-8")
    return name


def tag(*taggers: str, **keys: Any) -> Any:
    defaults = {"documents": ["web"], "experiment": "q", "workers": 1, "plugin": ["my.py"]}
    return package.tag(**{**defaults, "taggers": list(taggers), **keys})


def columns(name: str = "web/attributes/q/a.parquet") -> dict[str, list[Any]]:
    """The columns of an attribute file, spans as tuples."""
    return {
        name: [[tuple(s.values()) for s in v] if isinstance(v, list) else v for v in values]
        for name, values in pq.read_table(name).to_pydict().items()
        if name != "id"
    }


WORLD = {
    "q__world_v1__length": [11.0, 0.0, 10.0, 4.0],
    "q__world_v1__n": [None, None, 7.0, None],
    "q__world_v1__word": [[(6, 11, 0.5)], [], [(3, 8, 0.5)], []],
}


def test_a_function_of_a_document(corpus: Path) -> None:
    write(DOCUMENT)
    tag("world_v1")
    assert columns() == WORLD


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", 1.0), ("True", 1.0), ("None", None), ("np.float32(0.5)", 0.5), ("np.int8(3)", 3.0),
     ("np.bool_(True)", 1.0), ("2**70", 2.0**70)],
)  # fmt: skip
def test_what_counts_as_a_number(corpus: Path, value: str, expected: float | None) -> None:
    write(f'dolma_kit.tagger("n_v1", keys={{"k": "score"}})(lambda document: {{"k": {value}}})')
    tag("n_v1", limit=1)
    assert columns() == {"q__n_v1__k": [expected]}


def test_a_kernel(corpus: Path) -> None:
    write(KERNEL)
    tag("kernel_v1")
    assert columns() == {
        "q__kernel_v1__n_bytes": [11.0, None, 14.0, 4.0],
        "q__kernel_v1__first": [[(0, 1, 2.0)], [], [(0, 1, 2.0)], [(0, 1, 2.0)]],
    }


def test_a_kernel_that_numba_compiles(corpus: Path) -> None:
    write(
        """
        import numba

        @dolma_kit.tagger("compiled_v1", keys={"n_spaces": "score"}, kernel=True)
        @numba.njit
        def compiled(text_bytes, offsets):
            counts = np.zeros(len(offsets) - 1)
            for i in range(len(counts)):
                for j in range(offsets[i], offsets[i + 1]):
                    counts[i] += text_bytes[j] == 32
            return {"n_spaces": counts}
        """
    )
    tag("compiled_v1")
    assert columns() == {"q__compiled_v1__n_spaces": [1.0, 0.0, 2.0, 0.0]}


def test_a_class_with_settings(corpus: Path) -> None:
    write(CLASS)
    tag("letters_v1(letter=l, times=2)")
    assert columns() == {"q__letters_v1__n_l": [4.0, 0.0, 0.0, 0.0]}
    with pytest.raises(ConfigError, match=r"letters_v1: unknown key 'leter'; .*'letter'"):
        tag("letters_v1(leter=l)", experiment="r")


def test_a_class_that_mixes(corpus: Path) -> None:
    write(
        '''
        from typing import ClassVar
        from dolma_kit.mixing import Decision
        from dolma_kit.registry import Mixer

        class Longest(Mixer, frozen=True, kw_only=True):
            """Drop what is too long."""

            id: ClassVar[str] = "longest_v1"
            n: int = 5

            def columns(self, known):
                return []

            def decide(self, batch, columns):
                return Decision(batch.n_characters > self.n)
        '''
    )
    assert mix("longest_v1")["removed"] == {"longest_v1": 2}
    assert mix("longest_v1(n=10)", overwrite=True)["removed"] == {"longest_v1": 1}
    write(Path("my.py").read_text().replace("Decision(", "list("))
    with pytest.raises(DataError, match=r"mixer 'longest_v1' \(my.py\) .*not a Decision"):
        mix("longest_v1", overwrite=True)


def mix(policy: str, *attributes: str, plugin: str = "my.py", **keys: Any) -> dict[str, Any]:
    stream = {
        "name": "w",
        "documents": ["web"],
        "attributes": list(attributes),
        "policies": [policy],
        "output": {"path": "out"},
    }
    summary = package.mix(streams=[stream], plugin=[plugin], workers=1, **keys)
    counts: dict[str, Any] = summary.counts["streams"]["w"]
    return counts


def test_a_function_that_mixes(corpus: Path) -> None:
    write(DOCUMENT, MIXER)
    tag("world_v1")
    counts = mix("world_policy_v1", "q")
    assert counts["removed"] == {"world_policy_v1": 1}
    assert counts["replaced"] == {"regions": 1}
    (path,) = Path("out/documents").iterdir()
    texts = [json.loads(line)["text"] for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert texts == ["Hello <WORLD>", "é😀 WORLD x", "none"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("None", "returned None: True keeps"),
        ("'yes'", "returned 'yes': True keeps"),
        ("[(0, 1)]", r"holds \(0, 1\), not \(start, end, replacement\)"),
        ("[(0, 1, 5)]", r"holds \(0, 1, 5\)"),
        ("[(0.0, 1, '')]", r"holds \(0.0, 1, ''\)"),
        ("[(5, 12, '')]", "a replacement has the span 5 to 12 in a text of 11 code points"),
        ("[(-1, 2, '')]", "a replacement has the span -1 to 2"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_a_policy_must_not_say(corpus: Path, answer: str, message: str) -> None:
    write(f'@dolma_kit.mixer("p_v1")\ndef p(document, attributes):\n    return {answer}\n')
    place = r"web/documents/a.jsonl:1: mixer 'p_v1' \(my.py:\d\), document '0': "
    with pytest.raises(DataError, match=place + message):
        mix("p_v1")


@pytest.mark.parametrize(
    ("column", "attributes", "message"),
    [
        ("world_v1__lenght", ["q"], "has no column .*did you mean 'q__world_v1__length'"),
        ("zzz", ["q"], "has no column 'zzz'; name its experiment in `attributes`"),
        ("world_v1__n", ["q", "r"], "several .* say which: q__world_v1__n or r__world_v1__n"),
    ],
)
def test_a_column_that_a_policy_wants_and_is_not_there(
    corpus: Path, column: str, attributes: list[str], message: str
) -> None:
    policy = f'@dolma_kit.mixer("p_v1", columns=[{column!r}])\ndef p(d, a):\n    return True\n'
    write(DOCUMENT, policy)
    for experiment in attributes:
        tag("world_v1", experiment=experiment)
    with pytest.raises(ConfigError, match=rf"p_v1 \(my.py:\d+\): .*{message}"):
        mix("p_v1", *attributes)


def test_same_bytes_for_one_worker_and_two(corpus: Path, write_documents: WriteDocuments) -> None:
    write_documents(corpus / "web/documents/b.jsonl.gz", [{"id": "b", "text": "WORLD " * 9}])
    write(DOCUMENT, KERNEL, CLASS, MIXER)
    made = []
    for workers in (1, 2):
        for format in ("parquet", "jsonl"):
            tag("world_v1", "kernel_v1", "letters_v1(letter=o)", "char_length_v1",
                workers=workers, format=format, overwrite=True)  # fmt: skip
            made.append({p.name: p.read_bytes() for p in Path("web/attributes/q").glob("[ab].*")})
    assert made[0] == made[2]
    assert made[1] == made[3]
    assert len(made[0]) == len(made[1]) == 2


def test_a_worker_needs_no_such_file(corpus: Path) -> None:
    """The task brings the source; what it defines is never pickled."""
    settings = package.config.Tag(
        documents=["web"], taggers=["world_v1"], experiment="q", plugin=[write(DOCUMENT)]
    )
    (unit,) = tagging.plan(settings).phases[0].units
    Path("my.py").unlink()
    Path("task").write_bytes(pickle.dumps(unit.task))
    script = (
        "import pickle; from dolma_kit.execute.reading import read; "
        "read(pickle.load(open('task', 'rb')))"
    )
    subprocess.run(
        [sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert columns() == WORLD


def test_a_file_is_loaded_once_a_process_and_content(corpus: Path) -> None:
    write('with open("log", "a") as log:\n    log.write("loaded")\n', DOCUMENT)
    for experiment in ("q", "r"):
        tag("world_v1", "char_length_v1", experiment=experiment, plugin=["my.py", "./my.py"])
    assert Path("log").read_text() == "loaded"


def test_the_name_stays_the_function_and_files_beside_it_are_found(corpus: Path) -> None:
    Path("words.txt").write_text("WORLD")
    write(
        """
        from pathlib import Path
        WORD = (Path(__file__).parent / "words.txt").read_text()
        """,
        DOCUMENT.replace('"WORLD"', "WORD"),
        """
        class Plain:
            text, metadata = "WORLD", {}
        assert world(Plain) == {"length": 5, "n": None, "word": [(0, 5, 0.5)]}
        """,
    )
    tag("world_v1")
    assert columns() == WORLD


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("None", "returned None, not a dict"),
        ('{"k": 1, "x": 2}', "gave the key 'x', which was not declared; declared: k, s"),
        ('{"k": "high"}', "'k' is 'high', no finite number; leave the key out for no value"),
        ('{"k": float("nan")}', "'k' is nan, no finite number"),
        ('{"k": float("inf")}', "'k' is inf, no finite number"),
        ('{"k": 10**400}', "'k' is 1000.*, no finite number"),
        ('{"k": [0.5]}', r"'k' is \[0.5\], no finite number"),
        ('{"s": 0}', r"'s' is 0, not a list of \(start, end, score\)"),
        ('{"s": [(0, 1)]}', r"'s' holds \(0, 1\), not \(start, end, score\)"),
        ('{"s": [3]}', r"'s' holds 3, not \(start, end, score\)"),
        ('{"s": [(0.0, 1, 1.0)]}', r"'s' holds \(0.0, 1, 1.0\)"),
        ('{"s": [(0, True, 1.0)]}', r"'s' holds \(0, True, 1.0\)"),
        ('{"s": [(0, 1, None)]}', r"'s' holds \(0, 1, None\), whose score is no number"),
        ('{"s": [(0, 12, 1.0)]}', "'s' has the span 0 to 12 in a text of 11 code points"),
        ('{"s": [(-1, 2, 1.0)]}', "'s' has the span -1 to 2"),
        ('{"s": [(3, 2, 1.0)]}', "'s' has the span 3 to 2"),
        ("document.txt", "AttributeError: .* no attribute 'txt'"),
    ],
)
def test_what_a_tagger_must_not_say(corpus: Path, answer: str, message: str) -> None:
    write(
        '@dolma_kit.tagger("t_v1", keys={"k": "score", "s": "spans"})\n',
        f"def t(document):\n    return {answer}\n",
    )
    place = r"^web/documents/a.jsonl:1: tagger 't_v1' \(my.py:\d\), document '0': "
    with pytest.raises(DataError, match=place + message):
        tag("t_v1")
    assert not Path("web/attributes/q/a.parquet").exists()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("[]", r" in lines 1 to 4: returned \[\], not a dict of columns"),
        ("{}", " in lines 1 to 4: no column 'k', which was declared"),
        ("ok | {'x': 1}", " in lines 1 to 4: gave the key 'x', which was not declared"),
        ("ok | {'k': np.zeros(3)}", " in lines 1 to 4: 'k' is array.*not an array of 4 numbers"),
        ("ok | {'k': ['a'] * 4}", " in lines 1 to 4: 'k' is .*not an array of 4 numbers"),
        ("ok | {'k': [0, 0, np.inf, 0]}", ", document '2': 'k' is infinite"),
        ("ok | {'s': np.zeros(4)}", r" in .*: 's' is array.*, not \(offsets, start, end, score\)"),
        ("ok | {'s': ([0, 1, 1, 1, 1], [0.5], [1], [1.0])}", " in .*: 's' is .*, not .offsets"),
        ("ok | {'s': ([0, 1, 1, 1], [0], [1], [1.0])}", " in .*: 's' has offsets that do not"),
        ("ok | {'s': ([0, 1, 0, 1, 1], [0], [1], [1.0])}", " in .*: 's' has offsets that do not"),
        ("ok | {'s': ([0, 0, 0, 1, 2], [0], [1], [1.0])}", " in .*: 's' has 1 starts, 1 ends"),
        ("ok | {'s': ([0, 0, 0, 1, 1], [0], [11], [1.0])}",
         ", document '2': 's' has the span 0 to 11 in a text of 10 code points"),
        ("ok | {'s': ([0, 1, 1, 1, 1], [0], [1], [np.nan])}",
         ", document '0': 's' has a span whose score is no number"),
        ("text_bytes[99]", " in lines 1 to 4: IndexError: "),
        ("text_bytes.fill(0)", " in lines 1 to 4: ValueError: .*read-only"),
    ],
)  # fmt: skip
def test_what_a_kernel_must_not_say(corpus: Path, answer: str, message: str) -> None:
    write(
        "zeros = np.zeros(0, int)\n",
        'ok = {"k": np.zeros(4), "s": (np.zeros(5, int), zeros, zeros, zeros)}\n',
        '@dolma_kit.tagger("t_v1", keys={"k": "score", "s": "spans"}, kernel=True)\n',
        f"def t(text_bytes, offsets):\n    return {answer}\n",
    )
    with pytest.raises(DataError, match=r"^web.*jsonl(:\d)?: tagger 't_v1' \(my.py:\d\)" + message):
        tag("t_v1")


TAGGER = "@dolma_kit.tagger({}, keys={})\ndef t(document):\n    return {{}}\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def f(:\n", "my.py:3: SyntaxError: invalid syntax"),
        ("x = '\0'\n", "my.py.*null bytes"),
        ("\nimport nowhere_at_all\n", "my.py:4: ModuleNotFoundError: No module named"),
        ("def f():\n    1 / 0\n\nf()\n", "my.py:4: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)\n", "my.py:3: SystemExit: 3"),
        ("x = 1\n", "the plug-in my.py holds no parts: put @dolma_kit.tagger"),
        ("from taggers.length import CharLength\n", "the plug-in my.py holds no parts"),
        (TAGGER.format("'a b'", "{'k': 'score'}"), "my.py:3: the id 'a b' cannot name a column"),
        (TAGGER.format("'1a'", "{'k': 'score'}"), "the id '1a' cannot name a column"),
        (TAGGER.format("'a__b'", "{'k': 'score'}"), "the id 'a__b' cannot name a column"),
        (TAGGER.format("''", "{'k': 'score'}"), "the id '' cannot name a column"),
        (TAGGER.format("5", "{'k': 'score'}"), "my.py:3: 5 is no id"),
        (TAGGER.format("'t_v1'", "{'k': 'number'}"), "'k' is of kind 'number': score or spans"),
        (TAGGER.format("'t_v1'", "['k']"), r"t_v1: keys is \['k'\]: write keys="),
        (TAGGER.format("'t_v1'", "{}"), "t_v1: keys is {}: write keys="),
        (TAGGER.format("'t_v1'", "{'': 'score'}"), "the key '' cannot name a column"),
        (TAGGER.format("'t_v1'", "{'a-b': 'score', 'a.b': 'score'}"),
         "the keys 'a-b' and 'a.b' would be one column"),
        ("@dolma_kit.tagger('t_v1')\ndef t(d): ...\n", "my.py:3: TypeError: .* 'keys'"),
        ("dolma_kit.mixer('t_v1', columns='abc')(len)\n", "my.py:3: t_v1: columns is 'abc'"),
        ("dolma_kit.mixer('t_v1')(3)\n", "my.py:3: t_v1: 3 is no function"),
        (TAGGER.format("'c4_v2'", "{'k': 'score'}"),
         "two taggers have the id 'c4_v2': taggers/c4.py .shipped. and plugin my.py:3; give one"),
        (TAGGER.format("'t_v1'", "{'k': 'score'}") * 2, "plugin my.py:3 and plugin my.py:6"),
        (CLASS.replace("letters_v1", "letters.v1"), "my.py: the id 'letters.v1' cannot name"),
        (CLASS.replace("ClassVar[str] =", "str ="), "my.py: .* is no id: write id: ClassVar"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_plug_in(corpus: Path, code: str, message: str) -> None:
    write(code)
    with pytest.raises(ConfigError, match=message):
        tag("char_length_v1")
    assert not list(corpus.rglob("attributes"))


def test_two_plug_ins_of_one_id(corpus: Path) -> None:
    write(DOCUMENT)
    write(MIXER, name="other.py")
    tag("world_v1", plugin=["my.py", "other.py"])
    write(DOCUMENT, name="other.py")
    with pytest.raises(ConfigError, match=r"'world_v1': plugin my.py:\d and plugin other.py:\d"):
        tag("world_v1", plugin=["my.py", "other.py"])


def test_keys_of_a_class_are_checked_where_they_are_known(corpus: Path) -> None:
    write(CLASS.replace('"score"', '"number"'))
    with pytest.raises(ConfigError, match=r"letters_v1 \(my.py\): the key 'n_o' is of kind"):
        tag("letters_v1(letter=o)")


def test_another_content_is_another_config_another_name_is_not(corpus: Path) -> None:
    write(DOCUMENT, MIXER)
    tag("world_v1")
    mix("world_policy_v1", "q")
    Path("my.py").rename("renamed.py")
    assert tag("world_v1", plugin=["renamed.py"]).units_skipped == 1
    mix("world_policy_v1", "q", plugin="renamed.py")
    write(DOCUMENT, MIXER, "# changed\n")
    for again in (lambda: tag("world_v1"), lambda: mix("world_policy_v1", "q")):
        with pytest.raises(ConfigError, match=r"plugins was .*, is .*; .* --overwrite"):
            again()
    tag("world_v1", overwrite=True)
    (sha256,) = _note()["plugins"].values()
    assert sha256 == files.sha256("my.py")


def _note() -> dict[str, Any]:
    note: dict[str, Any] = json.loads(
        pq.read_schema("web/attributes/q/a.parquet").metadata[b"dolma_kit"]
    )
    return note


def test_a_plug_in_that_decides_nothing_is_no_config(corpus: Path) -> None:
    tag("char_length_v1", plugin=[])
    write(DOCUMENT)
    assert tag("char_length_v1").units_skipped == 1
    assert "plugins" not in _note()


def test_a_score_in_jsonl_without_a_ledger_is_one_because_the_plug_in_says_so(corpus: Path) -> None:
    import shutil

    write(DOCUMENT, MIXER)
    tag("world_v1", format="jsonl")
    shutil.rmtree("web/attributes/q/.dolma-kit")
    assert mix("world_policy_v1", "q")["removed"] == {"world_policy_v1": 1}


def test_a_recipe_gives_its_plug_ins_to_the_stages_that_take_some(
    corpus: Path, dolma_kit: RunCommand
) -> None:
    write(DOCUMENT, MIXER)
    stream = {"name": "w", "documents": ["web"], "attributes": ["q"],
              "policies": ["world_policy_v1"], "output": {"path": "out"}}  # fmt: skip
    recipe = {
        "workers": 1,
        "stages": [
            {"tag": {"documents": ["web"], "taggers": ["world_v1"], "experiment": "q"}},
            {"dedupe": {"documents": ["web"], "by": "document", "name": "dup"}},
            {"mix": {"streams": [stream]}},
        ],
    }
    Path("recipe.yaml").write_text(json.dumps(recipe))
    answer = dolma_kit("run", "-c", "recipe.yaml", "--plugin", "my.py")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["counts"]["stages"][2]["counts"]["kept"] == 3
    Path("recipe.yaml").write_text(json.dumps(recipe | {"plugin": ["my.py"]}))
    assert dolma_kit("run", "-c", "recipe.yaml").json["units_skipped"] == 4


@pytest.mark.parametrize("command", ["list taggers", "tag web --taggers t_v1 --experiment q"])
def test_on_the_command_line_a_fault_is_one_line(
    corpus: Path, dolma_kit: RunCommand, command: str
) -> None:
    write("1 / 0\n", name="a,b.py")
    answer = dolma_kit(*command.split(), "--plugin", "a,b.py")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "dolma-kit: a,b.py:3: ZeroDivisionError: division by zero\n"
    answer = dolma_kit(*command.split(), "--plugin", "nowhere.py")
    assert (answer.code, answer.out) == (2, "")
    assert (
        answer.err == "dolma-kit: cannot read the plug-in nowhere.py: No such file or directory\n"
    )
    assert "1 / 0" in dolma_kit(*command.split(), "--plugin", "a,b.py", "--traceback").err


def test_a_workers_fault_shows_the_strangers_line_on_request(
    corpus: Path, dolma_kit: RunCommand
) -> None:
    write('@dolma_kit.tagger("t_v1", keys={"k": "score"})\ndef t(document):\n    return 1 / 0\n')
    line = "tag web --taggers t_v1 --experiment q --plugin my.py --workers 2"
    command = line.split()
    answer = dolma_kit(*command)
    assert answer.code == 1
    assert answer.err == (
        "dolma-kit: web/documents/a.jsonl:1: tagger 't_v1' (my.py:5), document '0': "
        "ZeroDivisionError: division by zero\n"
    )
    assert "return 1 / 0" in dolma_kit(*command, "--traceback").err


def test_list_tells_where_parts_come_from(corpus: Path, dolma_kit: RunCommand) -> None:
    write(DOCUMENT, MIXER, CLASS)
    answer = dolma_kit("list", "taggers", "--plugin", "my.py")
    lines = {line.split()[0]: line for line in answer.out.splitlines()}
    assert lines["world_v1"].endswith("  Where the world is.  (my.py, plugin my.py)")
    assert lines["letters_v1"].endswith("  How often a letter occurs.  (my.py, plugin my.py)")
    assert lines["c4_v2"].endswith("(taggers/c4.py, shipped)")
    rows = dolma_kit("list", "mixers", "--plugin", "my.py", "--json").json["mixers"]
    assert {"id": "world_policy_v1", "about": "Keep worlds, masked.", "file": "my.py",
            "origin": "plugin my.py"} in rows  # fmt: skip


_number = itertools.count()


@pytest.fixture
def wheel(corpus: Path, monkeypatch: Any) -> Any:
    """Installs a wheel `fixture-wheel 1.2` with one module, as pip would leave it."""

    def install(code: str, points: str) -> str:
        module = f"fixture_wheel_{next(_number)}"
        site = corpus / module
        info = site / "fixture_wheel-1.2.dist-info"
        info.mkdir(parents=True)
        write(code, name=str(site / f"{module}.py"))
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fixture-wheel\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(points.replace("MODULE", module))
        monkeypatch.syspath_prepend(site)
        return module

    return install


POINTS = """
[dolma_kit.taggers]
world_v1 = MODULE:world
letters_v1 = MODULE:Letters
[dolma_kit.mixers]
world_policy_v1 = MODULE:world_policy
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_parts_of_an_installed_wheel(
    corpus: Path, wheel: Any, dolma_kit: RunCommand, workers: int
) -> None:
    module = wheel(DOCUMENT + MIXER + CLASS, POINTS)
    tag("world_v1", "letters_v1(letter=o)", plugin=[], workers=workers)
    assert columns() == WORLD | {"q__letters_v1__n_o": [1.0, 0.0, 0.0, 1.0]}
    assert _note()["plugins"]["world_v1"].startswith("fixture-wheel 1.2, sha256 ")
    lines = {line.split()[0]: line for line in dolma_kit("list", "taggers").out.splitlines()}
    origin = f"({module}.py, wheel fixture-wheel 1.2)"
    assert lines["world_v1"].endswith(f"  Where the world is.  {origin}")
    stream = {"name": "w", "documents": ["web"], "attributes": ["q"], "output": {"path": "out"}}
    package.mix(streams=[stream | {"policies": ["world_policy_v1"]}], workers=workers)


def test_a_wheel_is_imported_only_for_its_own_parts(corpus: Path, wheel: Any) -> None:
    module = wheel("1 / 0\n", POINTS)
    tag("char_length_v1", plugin=[])
    assert module not in sys.modules
    broken = f"cannot load .* = {module}:.* of the wheel fixture-wheel 1.2: ZeroDivisionError"
    with pytest.raises(ConfigError, match=broken):
        registry.parts("taggers")
    with pytest.raises(ConfigError, match=broken):
        tag("world_v1", plugin=[], experiment="r")


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("other_v1 = MODULE:world", "names .*:world 'other_v1', but its id is 'world_v1'"),
        ("world_v1 = MODULE:np", "world_v1 = .*:np of the wheel fixture-wheel 1.2 is no tagger"),
        ("world_v1 = MODULE:world_policy", "fixture-wheel 1.2 is no tagger"),
        ("world_v1 = MODULE:nothing", "cannot load .*AttributeError"),
        ("c4_v2 = MODULE:world", "'c4_v2': taggers/c4.py .shipped. and wheel fixture-wheel 1.2"),
    ],
)
def test_entry_points_that_are_wrong(corpus: Path, wheel: Any, points: str, message: str) -> None:
    wheel(DOCUMENT + MIXER, f"[dolma_kit.taggers]\n{points}\n")
    with pytest.raises(ConfigError, match=message):
        registry.parts("taggers")


def test_a_plug_in_with_the_id_of_a_wheel(corpus: Path, wheel: Any) -> None:
    wheel(DOCUMENT, POINTS)
    given = plugins.read([write(DOCUMENT)])
    with pytest.raises(ConfigError, match=r"wheel fixture-wheel 1.2 and plugin my.py:\d"):
        registry.entries("taggers", given)
