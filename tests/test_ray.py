"""The Ray engine: the local engine's bytes and errors, retries, and no flood of tasks."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import dolma_kit
from dolma_kit import config, files, ledger, recipe
from dolma_kit.config import Options, Recipe
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.execute import Phase, Plan, Unit, engine_for, execute, running
from dolma_kit.execute import ray as ray_engine
from dolma_kit.execute.local import LocalEngine, WorkerDied
from dolma_kit.execute.progress import advance
from dolma_kit.execute.ray import ATTEMPTS, IN_FLIGHT_PER_CPU, RayEngine
from dolma_kit.files import is_temporary, write_atomically
from dolma_kit.ledger import Result
from tests.conftest import RAY_CPUS, RunCommand, WriteDocuments

QUIET = Options(quiet=True)
EOS = "<|endoftext|>"


# Units, by what they do


def write(task: tuple[str, int]) -> Result:
    path, n = task
    if n == 13:
        raise DataError(path, n, "unlucky")
    advance(1, n)
    with write_atomically(path) as stream:
        stream.write(str(n * n).encode())
    return Result(documents=1, bytes_in=n, outputs=[path], counts={"n": n})


def write_at_the_second_attempt(task: tuple[str, int]) -> Result:
    path, n = task
    first = Path(f"{path}.tried")
    with write_atomically(path) as stream:
        if not first.exists():
            first.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        stream.write(str(n).encode())
    return Result(documents=1, outputs=[path])


def die(task: tuple[str, int]) -> Result:
    with open(f"{task[0]}.deaths", "a", encoding="utf-8") as stream:
        stream.write("x")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def linger(task: tuple[str, int]) -> Result:
    with write_atomically(task[0]):
        for _ in range(600):  # an interrupt is heard between two calls
            time.sleep(0.1)
    return Result()


def raise_what_cannot_travel(task: tuple[str, int]) -> Result:
    raise Unpicklable(lambda: None)


class Unpicklable(Exception):
    pass


def count_nothing(task: tuple[str, int]) -> Result:
    return Result(counts={"pid": os.getpid(), "threads": os.environ["RAYON_NUM_THREADS"]})


def plan(folder: Path, work: Any, numbers: Any, kernels: tuple[str, ...] = ()) -> Plan:
    units = []
    for n in numbers:
        path = str(folder / f"{n}.out")
        units.append(Unit(f"unit {n}", (path, n), (), str(folder), n_bytes=n, claims=(path,)))
    return Plan(stage="numbers", config={}, phases=[Phase("doing", work, units)], kernels=kernels)


def temporaries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if is_temporary(path.name)]


# What runs, and what comes back


def test_results_come_in_the_order_of_the_units(tmp_path: Path, ray_cluster: RayEngine) -> None:
    outcome = execute(plan(tmp_path, write, range(10)), QUIET, ray_cluster)
    assert [result.counts["n"] for result in outcome.results["doing"]] == list(range(10))
    assert (tmp_path / "9.out").read_text() == "81"
    again = execute(plan(tmp_path, write, range(12)), QUIET, ray_cluster)
    assert (again.units_skipped, again.engine) == (10, "ray")


def test_thousands_of_units_are_submitted_as_earlier_ones_end(
    tmp_path: Path, ray_cluster: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    in_flight = []
    wait = ray.wait

    def counted(refs: list[Any], **options: Any) -> Any:
        in_flight.append(len(refs))
        return wait(refs, **options)

    monkeypatch.setattr(ray, "wait", counted)
    outcome = execute(plan(tmp_path, count_nothing, range(2000)), QUIET, ray_cluster)
    assert len(outcome.results["doing"]) == 2000
    assert max(in_flight) == IN_FLIGHT_PER_CPU * RAY_CPUS
    # One process a CPU did all of it, so models and kernels are loaded once in each.
    assert outcome.total("doing", "documents") == 0
    results = outcome.results["doing"]
    assert len({result.counts["pid"] for result in results}) == RAY_CPUS
    assert {result.counts["threads"] for result in results} == {"1"}


def test_fewer_workers_than_the_cluster_has_bound_what_runs(
    tmp_path: Path, ray_cluster: RayEngine
) -> None:
    one = RayEngine(1)
    outcome = execute(plan(tmp_path, count_nothing, range(20)), QUIET, one)
    assert len(outcome.results["doing"]) == 20
    assert one._most_in_flight() == 1
    one.close()
    execute(plan(tmp_path, write, [1]), QUIET, ray_cluster)  # is still there


def test_kernels_are_loaded_once_and_for_all_workers(
    tmp_path: Path, ray_cluster: RayEngine
) -> None:
    engine = RayEngine(RAY_CPUS)
    assert engine.prepare(["bloom", "hashing"]) > 0
    assert engine.prepare(["bloom"]) == 0
    execute(plan(tmp_path, write, range(3), kernels=("paragraphs",)), QUIET, engine)
    assert engine._kernels == ["bloom", "hashing", "paragraphs"]


# What fails


def test_a_fault_of_a_unit_comes_out_as_itself(tmp_path: Path, ray_cluster: RayEngine) -> None:
    with pytest.raises(DataError, match=r"13.out:13: unlucky") as caught:
        execute(plan(tmp_path, write, range(1, 14)), QUIET, ray_cluster)
    assert caught.value.line == 13
    assert "in write" in str(caught.value.__cause__)
    assert temporaries(tmp_path) == []
    execute(plan(tmp_path, write, range(1, 10)), QUIET, ray_cluster)


def test_a_fault_that_cannot_travel_is_told_in_words(
    tmp_path: Path, ray_cluster: RayEngine
) -> None:
    with pytest.raises(RuntimeError, match="Unpicklable"):
        execute(plan(tmp_path, raise_what_cannot_travel, [1]), QUIET, ray_cluster)


def test_a_unit_whose_worker_dies_is_done_again(
    tmp_path: Path, ray_cluster: RayEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    execute(plan(tmp_path, write_at_the_second_attempt, [1, 2]), Options(), ray_cluster)
    assert [(tmp_path / f"{n}.out").read_text() for n in (1, 2)] == ["1", "2"]
    assert temporaries(tmp_path) == []
    said = sorted(capfd.readouterr().err.splitlines())
    assert said == [
        f"numbers: doing: the worker that did unit {n} was killed or crashed (out of memory?); "
        f"unit {n} is done again"
        for n in (1, 2)
    ]


def test_a_unit_that_always_kills_its_worker_is_named(
    tmp_path: Path, ray_cluster: RayEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WorkerDied, match=rf"^the worker that did unit 7 .* {ATTEMPTS} times; .*$"):
        execute(plan(tmp_path, die, [7]), QUIET, ray_cluster)
    assert (tmp_path / "7.out.deaths").read_text() == "x" * ATTEMPTS
    assert capfd.readouterr().err == ""
    execute(plan(tmp_path, write, [7]), QUIET, ray_cluster)


def test_ctrl_c_ends_units_in_the_middle(tmp_path: Path, ray_cluster: RayEngine) -> None:
    ended = threading.Event()

    def interrupt() -> None:
        while not list(tmp_path.glob(".*.out.*.tmp")):
            time.sleep(0.05)
        # One that comes while Ray runs a finalizer is lost, as any exception there is: press again.
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
            if ended.wait(15):
                return

    threading.Thread(target=interrupt, daemon=True).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        execute(plan(tmp_path, linger, range(20)), QUIET, ray_cluster)
    ended.set()
    assert time.monotonic() - started < 50
    assert temporaries(tmp_path) == []


def test_an_import_of_kernels_is_not_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is interrupted between two imports serves others later."""
    loaded: list[str] = []

    def load(names: list[str]) -> None:
        signal.raise_signal(signal.SIGINT)
        loaded.extend(names)

    monkeypatch.setattr(ray_engine.kernels, "load", load)
    monkeypatch.setattr(ray_engine, "_loaded", set())
    before = signal.getsignal(signal.SIGINT)
    there = ray_engine._Place(dolma_kit.__version__, ("gopher",), str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        ray_engine._make_ready(there)
    assert loaded == ["gopher"]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("address", "said"),
    [("auto", "cannot connect to Ray at auto"), ("127.0.0.1:1", "no Ray cluster at 127.0.0.1:1")],
)
def test_an_address_without_a_cluster(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ConfigError, match=said):
        RayEngine(1, address).start()


def test_a_node_without_our_folder_or_version_says_so(tmp_path: Path) -> None:
    nowhere = ray_engine._Place(ray_engine.dolma_kit.__version__, (), str(tmp_path / "gone"))
    answer = ray_engine._do(nowhere, b"")
    assert "cannot enter" in str(getattr(answer, "error", None))


# Which engine runs


@pytest.mark.parametrize(
    ("keys", "environment", "kind"),
    [
        ({}, None, LocalEngine),
        ({}, "10.0.0.1:6379", RayEngine),
        ({"ray_address": "auto"}, None, RayEngine),
        ({"engine": "ray"}, None, RayEngine),
        ({"engine": "local"}, "10.0.0.1:6379", LocalEngine),
    ],
)
def test_an_address_is_a_wish_for_ray(
    keys: dict[str, Any], environment: str | None, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if environment is not None:
        monkeypatch.setenv("RAY_ADDRESS", environment)
    with engine_for(config.build(Options, {"workers": 2} | keys)) as engine:
        assert isinstance(engine, kind)


def test_local_at_an_address_is_refused() -> None:
    options = config.build(Options, {"engine": "local", "ray_address": "auto"})
    with pytest.raises(ConfigError, match="--engine local runs at no --ray-address"), \
        engine_for(options):  # fmt: skip
        pass


# The stages


PLUGIN = """
import dolma_kit


@dolma_kit.tagger("vowels_v1", keys={"share": "score"})
def vowels(document):
    return {"share": sum(c in "aeiou" for c in document.text) / len(document.text)}
"""


def chain() -> list[dict[str, Any]]:
    stream = {
        "name": "mixed",
        "documents": ["web", "books"],
        "attributes": ["q", "dup"],
        "keep": "q__gopher_v2__word_count >= 3 AND q__vowels_v1__share > 0.1",
        "span_replacement": [{"span": "dup", "min_score": 0.5, "replacement": ""}],
        "rate": 1.5,
        "output": {"path": "mixed", "max_size_in_bytes": 3_000},
    }
    sources = ["web", "books"]
    return [
        {
            "tag": {
                "documents": sources,
                "taggers": ["gopher_v2", "c4_v2", "vowels_v1"],
                "experiment": "q",
            }
        },
        {"dedupe": {"documents": sources, "by": "paragraph", "name": "dup"}},
        {"mix": {"streams": [stream]}},
        {
            "tokenize": {
                "documents": ["mixed"],
                "tokenizer": "../tokenizer.json",
                "eos_token_id": 0,
                "out": "tokens",
                "sequence_length": 64,
                "max_tokens_per_part": 2_000,
            }
        },
    ]


def make_tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the paragraph of a document"], trainer)
    tokenizer.save(str(path))


def outputs(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ledger.FOLDER not in path.parts
    }


@pytest.mark.parametrize("shared", [False, True], ids=["a file a task", "files shared"])
def test_the_chain_gives_the_bytes_of_the_local_engine(
    tmp_path: Path,
    ray_cluster: RayEngine,
    write_documents: WriteDocuments,
    monkeypatch: pytest.MonkeyPatch,
    shared: bool,
) -> None:
    """With a plug-in; a file a task also with bad input, set aside."""
    if shared:
        monkeypatch.setattr(files, "READ_BYTES", 1000)
        monkeypatch.setattr(running, "SHARED_BYTES", 0)
        monkeypatch.setattr(running, "UNEVEN", 0.0)
    make_tokenizer(tmp_path / "tokenizer.json")
    made = {}
    for kind in ("local", "ray"):
        folder = tmp_path / kind
        for source in ("web", "books"):
            for part, n in (("a", 20), ("b", 45)):
                documents = [
                    {
                        "id": f"{source}-{part}-{i}",
                        "text": f"Paragraph {i} of {source}, écrit en {part}.\n"
                        f"This one stands in {i % 7} documents, word for word.\nüber 🙂 {i * i}",
                    }
                    for i in range(n)
                ]
                write_documents(folder / source / "documents" / f"{part}.jsonl.gz", documents)
        monkeypatch.chdir(folder)
        Path("my.py").write_text(PLUGIN)
        settings: dict[str, Any] = {
            "stages": chain(),
            "workers": 1 if kind == "local" else 2,
            "quiet": True,
            "plugin": ["my.py"],
        }
        if not shared:
            settings["on_error"] = "quarantine"
            with open("web/documents/bad.jsonl", "wb") as stream:
                stream.write(b'{"id": "1", "text": "a good one of theirs"}\n{"id": 2}\n')
        summary = recipe.run(config.build(Recipe, settings | {"engine": kind}))
        assert summary.quarantined == (0 if shared else 3)
        assert [stage["engine"] for stage in summary.counts["stages"]] == [kind] * 4
        made[kind] = outputs(folder)
    assert made["local"].keys() == made["ray"].keys()
    assert [name for name, data in made["local"].items() if data != made["ray"][name]] == []
    assert sum(name.endswith(".npy") for name in made["ray"]) > 1
    assert sum(name.startswith("mixed/documents/") for name in made["ray"]) > 1


def test_the_command_line_names_the_engine_and_the_fault(
    tmp_path: Path,
    ray_cluster: RayEngine,
    write_documents: WriteDocuments,
    dolma_kit: RunCommand,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_documents(Path("web/documents/a.jsonl"), [{"id": "1", "text": "one two"}])
    tag = ["tag", "web", "--taggers", "char_length_v1", "--quiet"]
    answer = dolma_kit(*tag, "--engine", "ray", "--experiment", "q")
    assert (answer.code, answer.err) == (0, "")
    assert (answer.json["command"], answer.json["engine"]) == ("tag", "ray")
    assert answer.json["documents"] == 1
    path.write_bytes(path.read_bytes() + b'{"id": "2", "text": "cut sho\n')
    faults = {
        kind: dolma_kit(*tag, "--engine", kind, "--experiment", kind) for kind in ("local", "ray")
    }
    assert faults["ray"].code == faults["local"].code == 1
    assert faults["ray"].err == faults["local"].err
    assert faults["ray"].err.startswith("dolma-kit: web/documents/a.jsonl:2: ")
