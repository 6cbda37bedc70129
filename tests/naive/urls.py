"""Plain twins of the kernels of URLs, their lists and filters; `dolma_kit.urls` has others."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dolma_kit import filter_rules, urls
from dolma_kit.filter_rules import Rule

_PATH = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]"
_USUAL = re.compile(
    rf"(?:https?://)?(?P<host>[A-Za-z0-9._-]+)(?::(?P<port>[1-9]\d{{0,4}}))?(?P<path>(?:/{_PATH}*)?)"
    r"(?P<rest>.*)",
    re.DOTALL | re.IGNORECASE,
)


def take_apart(url: str) -> tuple[str | None, str | None, str | None]:
    """kernels.urls.take_apart: the address and host that Dolma looks up, and the host in normal
    form, of a URL of the usual form."""
    found = _USUAL.fullmatch(url)
    if found is None or (found["rest"] and found["rest"][0] not in "?#" and not found["path"]):
        return None, None, None
    if found["port"] and (int(found["port"]) > 65535 or "." not in found["host"]):
        return None, None, None
    host, label = found["host"].lower(), found["host"].rpartition(".")[2]
    is_plain = found["rest"][:1] in ("", "?", "#") and "/." not in found["path"]
    is_name = bool(re.match("[A-Za-z]", label)) and len(host) <= urls.MAX_HOST
    address, name = (urls.cleaned(url), urls.cleaned_host(url)) if is_plain else (None, None)
    return address, name, host if is_name else None


def in_set(known: Iterable[str], text: str, with_parents: bool) -> bool:
    """kernels.string_set.find"""
    parts = text.split(".") if with_parents else [text]
    return any(".".join(parts[i:]) in set(known) for i in range(len(parts)))


_LINE = re.compile(r"(?:(0\.0\.0\.0|127\.0\.0\.1)[ \t]+)?([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)")


def host_line(line: str) -> tuple[int, str]:
    """kernels.host_lists.read of one line: its kind, and its host or all of it."""
    line = line.strip(" \t")
    if not line or line[0] in "#;!":
        return 0, line
    if found := _LINE.fullmatch(line):
        return {None: 1, "0.0.0.0": 2, "127.0.0.1": 3}[found[1]], found[2]
    return 4, line


def matches(rule: Rule, url: str, host: str) -> bool:
    """kernels.filters: whether a rule's pattern fits a URL in lower case, for pages."""
    expression = filter_rules.expression_of(rule) if rule.pattern else ""
    if rule.host is None:
        return re.search(expression, url) is not None
    before = r"(?:^|(?<=\.))" if rule.host[:1] not in ("", ".") else "^" if not rule.host else ""
    after = r"(?=\.|$)" if not rule.mask & filter_rules.WILD_HOST and rule.host[-1:] != "." else ""
    for found in re.finditer(
        f"(?={before}{re.escape(rule.host)}{after if rule.host else ''})", host
    ):
        end = found.start() + len(rule.host)
        rest = url[url.index("//") + 2 + end :]
        is_tied = rule.mask & filter_rules.RIGHT and not rule.mask & filter_rules.LEFT
        if not rule.pattern and is_tied:
            if end == len(host) or not rule.host:
                return True
        elif is_tied and not rule.mask & filter_rules.WILD:
            if url.endswith(rule.pattern):
                return True
        elif re.search(expression, rest):
            return True
    return False
