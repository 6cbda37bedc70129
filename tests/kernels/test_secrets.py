"""Secrets against the library detect-secrets itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from detect_secrets.settings import default_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import secret_names, secrets
from dolma_kit.kernels.secret_forms import NAMED, QUOTED, TOKEN
from taggers import secret_plugins
from taggers import secrets as tagger
from tests.naive import as_arrays
from tests.naive import secrets as naive

HEX, ALNUM = "0123456789abcdef", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
SIGNS = [*"\"\"''``  ==:;,][().-_$x1", "==", "!=", "!==", "====", ":=", "=>", "::", "  ", "é", "٣"]
NAMES = [
    "password", "passwd", "pwd", "secret", "api_key", "API_KEY", "Secret", "auth_key", "db_pass",
    "key_pass", "contraseña", "client_key", "ap\u0131_key", "\u017fecret", "api_\u212aey", "x",
]  # fmt: skip
TOKENS = [
    *NAMES, "key", "token", "pw", "cl", "sl", "softlayer_", "ibm", "cos_", "_api_", "secret_key",
    "aws", "AWS_", "AKIA", "AKC", "APA", "AC", "SK", "ghp_", "SG.", "xoxb-", "xoxp-12-", "eyJ",
    "eyJhIjoxfQ", "-us12", "sq0csp-", "sk_live_", "://", "https://", "user:", "@", "//", "npm_",
    "/:_authToken=", "AccountKey=", "BEGIN RSA PRIVATE KEY", "PuTTY-User-Key-File-2",
    "https://hooks.slack.com/services/T1/B2/", ".cloudant.com", "api.softlayer.com/soap/v3/", "_id",
    "userid", "# pragma: allowlist secret", "/* pragma: allowlist nextline secret", "*/", "-->",
    "<!-- pragma: whitelist-secret", "\n", "\n", "\r\n", "\u2028", "{", "}", "foo(", "\\", "\t",
]  # fmt: skip
rows = st.one_of(
    st.tuples(st.just(HEX), st.sampled_from([8, 9, 12, 32, 40, 48, 64])),
    st.tuples(st.just(ALNUM), st.sampled_from([10, 16, 22, 23, 24, 34, 36, 40, 43, 44, 64, 88])),
    st.tuples(st.just(ALNUM[:26]), st.sampled_from([24, 32, 64])),
).flatmap(lambda row: st.text(row[0], min_size=row[1], max_size=row[1]))
texts = st.lists(st.sampled_from(TOKENS + SIGNS) | rows, max_size=20).map("".join)
lines = st.lists(st.sampled_from(NAMES + SIGNS), max_size=20).map("".join)


@pytest.fixture(scope="module", autouse=True)
def _settings_of_the_library() -> Iterator[None]:
    with default_settings():
        yield


def found(text: str) -> list[tuple[str, int, int]]:
    candidates = secrets.find_candidates(*as_arrays([text]))
    made = tagger.secrets_of(text, candidates.lines.tolist(), candidates.kinds.tolist())
    return [tuple(secret) for secret in made]  # type: ignore[misc]


@settings(deadline=None, max_examples=300)
@given(texts)
def test_equals_the_library(text: str) -> None:
    assert found(text) == naive.secrets(text)


@settings(deadline=None, max_examples=400)
@given(lines)
def test_values_of_names_are_those_of_the_plugin(line: str) -> None:
    assert set(secret_names.find(line)) == naive.values_of_names(line)


@pytest.mark.parametrize(
    "line",
    [
        "password: `a`b,` c", "pwd='a'", "secret 'a'; 'b';", "`x` == pwd `y` != secret", "pwd:",
        "'a' == 'b' != my_secret", "pwd" + "x" * 51 + "'a';", "pwd" + "-" * 50 + " 'a';",
        "pwd" + "-" * 51 + "'a';", "secret `a,`; `b`;", "secret: 'a,'", "pwd !=== a",
    ],
)  # fmt: skip
def test_edges_of_names(line: str) -> None:
    assert set(secret_names.find(line)) == naive.values_of_names(line)


def test_candidates() -> None:
    lines = ["x = 1", f"'{HEX}'", "the password", "password: x", "eyJ", "'abcdefghijkl'", "ıd", ""]
    candidates = secrets.find_candidates(*as_arrays(["", "\r\n".join(lines), "pwd=1"]))
    assert candidates.docs.tolist() == [1, 1, 1, 1, 2]
    assert candidates.lines.tolist() == [1, 3, 4, 6, 0]
    assert candidates.kinds.tolist() == [QUOTED, NAMED, TOKEN, QUOTED | NAMED | TOKEN, NAMED]
    assert len(secrets.find_candidates(*as_arrays([])).docs) == 0


@pytest.mark.parametrize(
    "unit",
    [
        "`a` == pwd ", "(", " ", "password ", "password:`x", "password`x`", "'a", "eyJ", "key  ",
        "A", "=", "://", "//:_authToken=", "secret 'a'", "_id'0123456789abcdef' ", "aws key ",
        "xoxb-1-",
    ],
)  # fmt: skip
def test_time_is_linear(unit: str) -> None:
    # The library would take from minutes to years.
    text = f"{unit * (150_000 // len(unit))} eyJ password :\u0131 key=@"
    assert all(0 <= start < end <= len(text) for _, start, end in found(text))


def test_many_secrets_on_a_line_are_placed_in_linear_time() -> None:
    digests = [f"{i:08d}abcdef{i:08d}" for i in range(20_000)]
    text = " ".join(f"'{digest}'" for digest in digests)
    spans = {text[a:b]: a for _, a, b in found(text)}
    assert len(spans) > 9_000
    assert all(text.index(digest) == spans[digest] for digest in digests[::997] if digest in spans)


def test_the_library_has_the_plugins_that_are_known() -> None:
    assert sorted(secret_plugins.plugins()) == sorted(secret_plugins.TYPES)
