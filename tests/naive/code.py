"""Plain twins of the kernels for source code."""

from __future__ import annotations

import re

import regex

_COMMENT = re.compile(r"/\*[^*]*\*+(?:[^/*][^*]*\*+)*/")
_TOKEN = regex.compile(r"\w+|[^\w\s]+")
_OPENING = re.compile(r"\"\"\"|'''|[\"']")
_LINE_STRING = {q: re.compile(rf"[^\n{q}\\]*(?:\\.[^\n{q}\\]*)*({q}|\\\r?\n)") for q in "\"'"}
_STRING = {q: re.compile(rf"[^{q}\\]*(?:\\.[^{q}\\]*)*{q}") for q in "\"'"} | {
    3 * q: re.compile(rf"[^{q}\\]*(?:(?:\\.|{q}(?!{q}{q}))[^{q}\\]*)*{q}{q}{q}") for q in "\"'"
}


def notice(text: str) -> tuple[int, int, int]:
    """kernels.code.find_notices: kind, start, end."""
    if match := _COMMENT.search(text):
        says = re.search("copyright", match[0], re.IGNORECASE)
        return (1, *match.span()) if says else (0, 0, 0)
    end = n_lines = 0
    for line in text.split("\n"):
        if line and not line.startswith(("//", "#", "--")):
            break
        end += len(line) or 1
        n_lines += 1
    return (2 if n_lines else 0, 0, end)


def counts(text: str) -> list[int]:
    """kernels.code.count"""
    lines = [len(line) for line in text.splitlines()]
    return [
        len(text),
        sum(map(str.isalnum, text)),
        sum(map(str.isalpha, text)),
        len(_TOKEN.findall(text)),
        len(lines),
        sum(lines),
        max(lines, default=0),
    ]


def stripped_lines(text: str) -> list[str]:
    """kernels.code.stripped_lines"""
    return [line for line in map(str.strip, text.splitlines()) if line]


def python_comments(text: str) -> str:
    """kernels.python_comments.find: what tokenize of Python 3.11 finds, line by line."""
    found: list[str] = []
    indents = [0]
    n_open = 0
    is_continued = needs_backslash = False
    inside: re.Pattern[str] | None = None  # the end of the string that we are in
    for line in [*re.findall(r"[^\n]*\n|[^\n]+$", text), ""]:
        i = 0
        if inside is not None:
            if not line:
                return ""
            if match := inside.match(line):
                i, inside, needs_backslash = match.end(), None, False
            else:
                if needs_backslash and not line.endswith(("\\\n", "\\\r\n")):
                    inside = None
                continue
        elif n_open == 0 and not is_continued:
            blank = line[: len(line) - len(line.lstrip(" \t\f"))]
            if blank == line:
                break
            column = len(blank.rsplit("\f", 1)[-1].expandtabs(8))
            i = len(blank)
            if line[i] == "#":
                found.append(line[i:].rstrip("\r\n"))
            if line[i] in "#\r\n":
                continue
            if column > indents[-1]:
                indents.append(column)
            elif column not in indents:
                return ""
            indents = indents[: indents.index(column) + 1]
        elif not line:
            return ""
        else:
            is_continued = False
        while i < len(line):
            character = line[i]
            if character == "#":
                comment = re.split(r"[\r\n]", line[i:], maxsplit=1)[0]
                found.append(comment)
                i += len(comment)
            elif match := _OPENING.match(line, i):
                quote = match[0]
                ending = _STRING[quote] if len(quote) == 3 else _LINE_STRING[quote]
                closed = ending.match(line, match.end())
                if closed and (len(quote) == 3 or closed[1] == quote):
                    i = closed.end()
                elif closed or len(quote) == 3:
                    inside = _STRING[quote]
                    needs_backslash |= len(quote) == 1
                    break
                else:
                    i += 1
            else:
                is_continued |= re.compile(r"\\\r?\n").match(line, i) is not None
                n_open += (character in "([{") - (character in ")]}")
                i += 1
    return "".join(found).replace("#", "")
