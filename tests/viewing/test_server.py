"""Who may ask, and what every answer says of itself."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dolma_kit.cli import view
from dolma_kit.viewing import server, start_view
from tests.conftest import RunCommand

from .sites import TOKEN, Site, serving

STEP = f"/{TOKEN}/step/1"
#: requests of every kind: method, path, headers, status
KINDS = [
    ("GET", f"/{TOKEN}/", {}, 200),
    ("GET", STEP, {}, 200),
    ("HEAD", STEP, {}, 200),
    ("GET", f"/{TOKEN}/document?id=web-1", {}, 200),
    ("GET", f"/{TOKEN}/phrase?q=fox", {}, 200),
    ("GET", f"/{TOKEN}/step?n=2", {}, 303),
    ("GET", f"/{TOKEN}/phrase?q=fox&limit=x", {}, 400),
    ("GET", f"/{TOKEN}/step/9999", {}, 404),
    ("GET", f"/{TOKEN}/no/such/page", {}, 404),
    ("GET", "/", {}, 404),
    ("GET", "/wrong-secret-of-tests/step/1", {}, 404),
    ("POST", STEP, {}, 405),
    ("DELETE", f"/{TOKEN}/", {}, 405),
    ("OPTIONS", STEP, {"Origin": "https://example.org"}, 405),
    ("GET", STEP, {"Host": "example.org"}, 400),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), KINDS)
def test_every_answer_protects_itself(
    site: Site, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = site.ask(path, method, **headers)
    assert answer.status == status
    said = answer.headers
    csp = dict(part.strip().split(" ", 1) for part in said["content-security-policy"].split(";"))
    assert csp["default-src"] == csp["base-uri"] == csp["frame-ancestors"] == "'none'"
    assert csp["form-action"] == "'self'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", csp["script-src"])
    assert said["referrer-policy"] == "no-referrer"
    assert said["x-content-type-options"] == "nosniff"
    assert said["cache-control"] == "no-store"
    assert not [name for name in said if name.startswith("access-control") or name == "server"]


@pytest.mark.parametrize(
    "path",
    ["/", "/favicon.ico", f"/{TOKEN[:-1]}/", f"/{TOKEN}x/step/1", f"//{TOKEN}/", "/%00/",
     f"/{TOKEN.upper()}/", "/step/1", "/%C3%A9/"],
)  # fmt: skip
def test_without_the_secret_there_is_nothing(site: Site, path: str) -> None:
    answer = site.ask(path)
    assert (answer.status, answer.body) == (404, "Not Found")


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("localhost:1234", 200), ("LOCALHOST", 200), ("example.org", 400),
     ("127.0.0.1.example.org", 400), ("localhost.example.org:80", 400), ("", 400)],
)  # fmt: skip
def test_another_name_for_this_machine_is_refused(site: Site, host: str, status: int) -> None:
    assert site.ask(STEP, Host=host).status == status


def test_the_script_of_a_page_is_the_one_that_is_allowed(site: Site) -> None:
    answer = site.ask(STEP)
    (script,) = re.findall(r"<script>(.*?)</script>", answer.body, flags=re.DOTALL)
    assert (
        server.policy(script).split("script-src ")[1] in answer.headers["content-security-policy"]
    )


def test_nothing_of_another_place_is_on_a_page(site: Site) -> None:
    for path in (site.to.start, STEP, site.to.document("web-1"), site.to.phrase("fox")):
        for tag, attributes in site.get(path).tags:
            assert tag not in ("img", "link", "iframe", "object", "embed", "base")
            for name in ("href", "action", "src"):
                assert (attributes.get(name) or "#").startswith((f"/{TOKEN}/", "#"))


def test_what_is_missing_is_said_and_looked_for_again(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "run.yaml"
    run.write_text(made.read_text())
    with serving(run) as site:
        page = site.get(site.to.start)
        assert f"tokens: no folder {tmp_path}/tokens" in page.text
        for path in (site.to.step(1), site.to.document("web-1"), site.to.phrase("fox")):
            assert f"tokens: no folder {tmp_path}/tokens" in site.get(path, 409).text
        assert "Search" in site.get(site.to.phrases).text  # the forms are there
        (tmp_path / "tokens").symlink_to(made.parent / "tokens")
        assert "Instance" in site.get(site.to.step(1)).text
        run.write_text("nonsense: [")
        assert "run.yaml" in site.get(site.to.start).text
        run.unlink()
        assert str(run) in site.get(site.to.step(1), 409).text


def test_token_files_that_go_while_the_server_runs(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made.parent / "tokens", tmp_path / "tokens")
    run = tmp_path / "run.yaml"
    run.write_text(made.read_text())
    with serving(run) as site:
        site.get(site.to.step(1))
        (tmp_path / "tokens/part-00000.npy").unlink()
        assert "part-00000.npy" in site.get(site.to.step(1), 409).text


def test_an_error_of_ours_goes_to_the_terminal(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", said.append)
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "handlers", [handler])

    def fail(*_: object) -> str:
        raise RuntimeError("a bug with /its/path")

    monkeypatch.setattr(start_view, "answer", fail)
    answer = site.ask(site.to.start)
    assert answer.status == 500
    assert "terminal" in answer.body
    assert "bug" not in answer.body
    assert "Traceback" not in answer.body
    begun = time.monotonic()
    while not said and time.monotonic() < begun + 5:  # it is written after the answer
        time.sleep(0.01)
    assert [str(record.exc_info[1]) for record in said if record.exc_info] == [
        "a bug with /its/path"
    ]
    monkeypatch.undo()
    assert site.ask(site.to.start).status == 200


def test_the_command_says_its_address_and_ends_with_ctrl_c(made: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "dolma_kit", "view", "--run", made, "--token", TOKEN],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert started.stdout is not None
    address = started.stdout.readline()
    found = re.fullmatch(rf"http://127\.0\.0\.1:(\d+)/{TOKEN}/\n", address)
    assert found, address
    assert "Instance" in Site(int(found[1])).ask(STEP).body
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=20)
    assert (started.returncode, out, err) == (0, "", "press Ctrl-C to stop\n")


def test_many_may_ask_at_the_same_time(site: Site) -> None:
    paths = [site.to.step(n) for n in range(1, 9)] + [site.to.document("web-1")] * 4
    alone = [site.ask(path).body for path in paths]
    with ThreadPoolExecutor(8) as pool:
        assert [answer.body for answer in pool.map(site.ask, paths)] == alone


def test_a_run_that_is_not_there_is_refused(
    made: Path, tmp_path: Path, dolma_kit: RunCommand
) -> None:
    for path, said in ((tmp_path / "no.yaml", "no file"), (made.parent, "a folder: name the run")):
        answer = dolma_kit("view", "--run", path)
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
        assert f"--run {path} is {said}" in answer.err


def test_a_run_that_is_broken_is_a_page(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "run.yaml"
    with serving(run) as site:
        for text in ("created: 2001-13-45\n", "x: &a [*a]\n"):
            run.write_text(made.read_text() + text)
            assert "run.yaml" in site.get(site.to.start).text
            assert "run.yaml" in site.get(site.to.step(1), 409).text


def test_decisions_that_were_cut_short_cost_no_other_example(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made.parent, tmp_path / "own")
    path = tmp_path / "own/mixed/decisions.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with serving(tmp_path / "own/run.yaml") as site:
        page = site.get(site.to.start)
    assert "decisions.parquet: not a readable Parquet file" in page.text
    assert len([link for link in page.links if "id=" in link]) == start_view.EXAMPLE_IDS


def test_a_port_in_use_is_refused(made: Path, dolma_kit: RunCommand) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answer = dolma_kit("view", "--run", made, "--port", port)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert f"port {port} on 127.0.0.1" in answer.err


@pytest.mark.parametrize("token", ["", "short", "a/b" * 9, "é" * 20, "a" * 15 + "\n"])
def test_a_secret_that_is_none_is_refused(made: Path, dolma_kit: RunCommand, token: str) -> None:
    answer = dolma_kit("view", "--run", made, "--token", token)
    assert answer.code == 2
    assert "16 to 200" in answer.err


def test_secrets_are_new_each_time(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr(server, "serve", lambda run, token, port, started: given.append(token))
    for _ in range(2):
        view.view(run=os.fspath(made))
    assert len(set(given)) == 2
    assert all(view.TOKEN.fullmatch(token) and len(token) >= 40 for token in given)
