"""A whole tiny run, against OLMo's loader restated and a list of which document owns each token."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer

from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.order import permutation
from dolma_kit.order.answers import DocumentPart
from dolma_kit.order.run import Run, open_run
from dolma_kit.order.steps import trace_doc, trace_step

from .naive_loader import chunks, global_indices
from .tiny_run import CODE, EOS, WEB, T, plain_run, write_ids, write_run

SPECS: dict[str, dict[str, Any]] = {
    "two epochs": {},
    "one epoch from OLMo's second": {
        "epochs": 1,
        "order": {"kind": "olmo", "seed": 6198, "epoch": 1},
    },
    "padded": {
        "order": {"kind": "olmo", "seed": 1, "world_size": 4, "drop_last": False},
        "global_batch_size": 8,
    },
    "a path twice": {
        "tokens": ["tokens/part-00001.npy", "tokens/part-00000.npy", "tokens/part-00001.npy"]
    },
}


@pytest.fixture(params=list(SPECS.values()), ids=list(SPECS))
def run(request: pytest.FixtureRequest, tmp_path: Path, tokenizer: Path) -> Run:
    return open_run(write_run(tmp_path, tokenizer, **request.param))


def encoded(answer: msgspec.Struct) -> Any:
    return json.loads(msgspec.json.encode(answer))


def plain_batches(run: Run) -> list[tuple[int, int, list[int]]]:
    """(epoch, batch, instances) of every step, by OLMo's loader."""
    order, size = run.description.order, run.description.global_batch_size
    steps = []
    for epoch in range(order.epoch, order.epoch + run.description.epochs):
        n = run.instances.n_instances
        indices = global_indices(n, order.seed, epoch, order.world_size, order.drop_last)
        for batch in range(len(indices) // size):
            steps.append((epoch, batch, indices[batch * size : (batch + 1) * size]))
    return steps


def test_every_step(run: Run, tokenizer: Path) -> None:
    decode = Tokenizer.from_file(str(tokenizer)).decode
    table = chunks([file.n_tokens for file in run.files], T)
    batches = plain_batches(run)
    assert run.n_steps == len(batches)
    for step, (epoch, batch, instances) in enumerate(batches, start=1):
        answer = trace_step(run, step)
        assert (answer.step, answer.batch, answer.epoch) == (step, batch, epoch)
        assert [i.instance for i in answer.instances] == instances
        assert run.step(step).instances.tolist() == instances
        assert run.step(step).documents() == [d for i in answer.instances for d in i.documents]
        for q, seen in enumerate(answer.instances):
            size, world_size = len(instances), run.description.order.world_size
            assert (seen.position, seen.rank) == (batch * size + q, q % world_size)
            assert run.order_of(epoch)[seen.position] == seen.instance
            file, first = table[seen.instance]
            tokens = np.fromfile(run.files[file].path, dtype="<u4")
            owners = run.documents(file)
            rows = np.repeat(np.arange(len(owners)), owners.ends - owners.starts)
            at = 0
            for part in seen.documents:
                assert part.start == at < part.end
                row = owners[int(rows[first + at])]
                assert (part.id, part.source, part.src) == (row.id, row.source, row.src)
                assert part.line == row.line
                assert row.start + part.doc_start == first + part.start
                assert row.start + part.doc_end == first + part.end <= row.end
                ids = tokens[first + part.start : first + part.end].tolist()
                if first + part.end == row.end:
                    assert ids.pop() == 0
                assert part.text == decode(ids, skip_special_tokens=False)
                at = part.end
            assert at == T


def test_every_document(run: Run) -> None:
    seen_in_steps: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for step in range(1, run.n_steps + 1):
        answer = encoded(trace_step(run, step))
        for instance in answer["instances"]:
            for part in instance["documents"]:
                seen_in_steps[part["id"]].append(
                    {
                        "step": step,
                        "batch": answer["batch"],
                        "epoch": answer["epoch"],
                        "rank": instance["rank"],
                        "instance": instance["instance"],
                        "start": part["start"],
                        "end": part["end"],
                    }
                )
    for doc_id in {doc_id for doc_id, *_ in WEB + CODE}:
        expected = seen_in_steps[doc_id]
        expected.sort(key=lambda s: (s["step"], s["instance"], s["start"], s["rank"]))
        answer = encoded(trace_doc(run, doc_id))
        assert answer["id"] == doc_id
        assert answer["seen"] == expected
        assert (answer["never"] is None) == bool(expected)
        assert [msgspec.to_builtins(s) for s in run.steps_of(doc_id)] == expected


def test_keys_stand_in_the_order_of_the_design(run_yaml: Path) -> None:
    run = open_run(run_yaml)
    step = encoded(trace_step(run, 1))
    assert list(step) == ["step", "batch", "epoch", "instances"]
    instance = step["instances"][0]
    assert list(instance) == ["instance", "position", "rank", "status", "documents"]
    assert instance["status"] == "trained"
    part = "id source src line start end doc_start doc_end text"
    assert " ".join(instance["documents"][0]) == part
    doc = encoded(trace_doc(run, "w1"))
    assert list(doc) == ["id", "seen", "never"]
    assert " ".join(doc["seen"][0]) == "step batch epoch rank instance start end"


def parts_by_id(run: Run) -> dict[str, list[DocumentPart]]:
    parts = defaultdict(list)
    for instance in range(run.instances.n_instances):
        for part in run.parts_of(instance):
            parts[part.id].append(part)
    return parts


def test_text_of_a_document_is_put_together_again(tmp_path: Path, tokenizer: Path) -> None:
    run = open_run(write_run(tmp_path, tokenizer))
    parts = parts_by_id(run)
    assert len(parts["w1"]) > 1
    assert "".join(part.text for part in parts["w1"]) == WEB[0][2]
    # only the EOS that ends a document is no text; one within it is
    assert "".join(part.text for part in parts["w3"]) == f"one {EOS} two"


def test_part_that_is_only_the_eos_has_no_text(tmp_path: Path, tokenizer: Path) -> None:
    write_ids(tmp_path / "p", {"a": [5] * T + [0], "b": [6] * (T - 2) + [0]})
    part = plain_run(tmp_path, tokenizer, ["p.npy"]).parts_of(1)[0]
    assert (part.id, part.start, part.end, part.doc_start, part.doc_end) == ("a", 0, 1, T, T + 1)
    assert (part.text, part.source) == ("", None)


def test_document_that_does_not_end_in_eos_is_shown_whole(tmp_path: Path, tokenizer: Path) -> None:
    write_ids(tmp_path / "p", {"a": [40] * T})
    part = plain_run(tmp_path, tokenizer, ["p.npy"]).parts_of(0)[0]
    assert part.text == Tokenizer.from_file(str(tokenizer)).decode([40] * T)


def test_id_that_occurs_twice(run_yaml: Path) -> None:
    run = open_run(run_yaml)
    instances = {s.instance for s in run.steps_of("twice")}
    files = {run.instances.locate(i)[0] for i in instances}
    assert files == {0, 1}


def test_never_because_of_the_file_remainder(tmp_path: Path, tokenizer: Path) -> None:
    cut = [7] * (T - 1) + [0]  # its head is in an instance, so it was seen
    write_ids(tmp_path / "p", {"a": [7] * (T - 4) + [0], "cut": cut, "c": [7, 0]})
    run = plain_run(tmp_path, tokenizer, ["p.npy"])
    assert (run.n_steps, run.instances.n_remainder_tokens) == (1, 7)
    assert [trace_doc(run, doc_id).never for doc_id in ("a", "cut", "c")] == [
        None,
        None,
        "file-remainder",
    ]


@pytest.mark.parametrize(("world_size", "n_positions"), [(1, 3), (2, 2)])
def test_never_because_of_the_epoch_tail(
    tmp_path: Path, tokenizer: Path, world_size: int, n_positions: int
) -> None:
    document = [7] * (T - 1) + [0]
    write_ids(tmp_path / "p", {"a": document, "b": document})
    write_ids(tmp_path / "q", {"c": document})
    order = {"kind": "olmo", "seed": 1, "world_size": world_size}
    run = plain_run(tmp_path, tokenizer, ["p.npy", "q.npy"], order=order, global_batch_size=2)
    assert len(run.order) == n_positions  # the batch leaves one over, or the ranks do
    left_over = "abc"[global_indices(3, 1, 0, 1, True)[2]]
    assert {i: trace_doc(run, i).never for i in "abc"} == {
        i: "epoch-tail" if i == left_over else None for i in "abc"
    }


def test_unknown_document(run_yaml: Path) -> None:
    with pytest.raises(ConfigError, match=f"no document 'w99' among the 10 of {run_yaml}"):
        open_run(run_yaml).steps_of("w99")


def test_step_beyond_the_end(run_yaml: Path) -> None:
    run = open_run(run_yaml)
    with pytest.raises(ConfigError, match=f"step 412 is .* the run has {run.n_steps} steps"):
        run.step(412)


def test_size_changed_since_tokenizing(run_yaml: Path) -> None:
    part = run_yaml.parent / "tokens" / "part-00001.npy"
    n_tokens = part.stat().st_size // 4
    part.write_bytes(part.read_bytes()[:-8])
    with pytest.raises(VerificationError, match=f"has {n_tokens - 2} tokens, .* says {n_tokens}"):
        open_run(run_yaml)
    record = run_yaml.parent / "tokens" / "tokens.json"
    recorded = json.loads(record.read_text())
    recorded["parts"][1]["tokens"] -= 2
    record.write_text(json.dumps(recorded))
    run = open_run(run_yaml)
    with pytest.raises(VerificationError, match=f"ends at token {n_tokens}, .* {n_tokens - 2} tok"):
        run.steps_of("c1")


def test_a_folder_has_the_parts_that_it_records(run_yaml: Path) -> None:
    """An order over other parts than those that were trained on would be another order."""
    tokens = run_yaml.parent / "tokens"
    (tokens / "part-00009.npy").write_bytes((tokens / "part-00000.npy").read_bytes())
    with pytest.raises(VerificationError, match=r"part-00009.npy is there but not recorded \(3 "):
        open_run(run_yaml)
    (tokens / "part-00009.npy").unlink()
    (tokens / "part-00001.npy").unlink()
    with pytest.raises(VerificationError, match=r"part-00001.npy is recorded but not there \(1 "):
        open_run(run_yaml)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sequence_length": 2048}, r"sequence_length is 2048, .* has \d+$"),
        ({"global_batch_size": 64}, r"global_batch_size is 64, an epoch has \d+ instances"),
        ({"global_batch_size": 5}, "global_batch_size 5 is no multiple of world_size 2"),
    ],
)
def test_too_little(tmp_path: Path, tokenizer: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_run(write_run(tmp_path, tokenizer, **changed))


def test_another_tokenizer(tmp_path: Path, tokenizer: Path) -> None:
    run_yaml = write_run(tmp_path, tokenizer)
    copy = tmp_path / "tokens" / tokenizer.name
    copy.write_bytes(copy.read_bytes() + b" ")
    with pytest.raises(VerificationError, match=r"has sha256 .* the tokens were made with "):
        open_run(run_yaml).step(1).documents()
    copy.unlink()
    assert len(open_run(run_yaml).step(1).instances) == 4  # the order needs no tokenizer
    with pytest.raises(ConfigError, match=f"no tokenizer file {copy}"):
        open_run(run_yaml).step(1).documents()


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [(None, ConfigError, "no key tokenizer"), ("run.yaml", DataError, "run.yaml: no tokenizer")],
)
def test_no_tokenizer(
    tmp_path: Path, tokenizer: Path, named: str | None, error: type[Exception], message: str
) -> None:
    write_ids(tmp_path / "p", {"a": [40] * T})
    run = plain_run(tmp_path, tokenizer, ["p.npy"], tokenizer=named)
    with pytest.raises(error, match=message):
        run.step(1).documents()


def test_shuffled_once_an_epoch(run_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shuffle = permutation.shuffled_instances
    seeds = []

    def counted(n_instances: int, seed: int) -> Any:
        seeds.append(seed)
        return shuffle(n_instances, seed)

    monkeypatch.setattr(permutation, "shuffled_instances", counted)
    run = open_run(run_yaml)
    assert not seeds  # opening shuffles nothing
    for doc_id in ("w1", "c1", "w2"):
        run.steps_of(doc_id)
    for step in range(1, run.n_steps + 1):
        run.step(step)
    assert seeds == [6198, 6199]
