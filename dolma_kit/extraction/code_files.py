"""What the path and the first line of a source file tell: its language, and whose work it is.

Languages are named as Pygments names its lexers. Where several have a suffix, `_PREFERRED` says
which is meant, else the first of their names.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import re

_PREFERRED = {
    ".as": "ActionScript 3", ".asm": "NASM", ".ASM": "NASM", ".aspx": "aspx-cs",
    ".bas": "QBasic", ".cl": "Common Lisp", ".cp": "C++", ".def": "Modula-2", ".ecl": "ECL",
    ".feature": "Gherkin", ".fs": "F#", ".g": "ANTLR With Java Target", ".gd": "GDScript",
    ".h": "C", ".hh": "C++", ".i": "SWIG", ".inc": "PHP", ".inf": "INI", ".j": "Objective-J",
    ".lean": "Lean4", ".m": "Objective-C", ".mac": "Maxima", ".mm": "Objective-C++",
    ".n": "Nemerle", ".pl": "Perl", ".pm": "Perl", ".pro": "Prolog", ".prolog": "Prolog",
    ".rl": "Embedded Ragel", ".s": "GAS", ".S": "GAS", ".scd": "SuperCollider",
    ".sc": "SuperCollider", ".sql": "SQL", ".t": "Perl", ".tst": "Scilab", ".toc": "TeX",
    ".ttl": "Turtle", ".u": "UrbiScript", ".v": "verilog", ".xsl": "XSLT", ".xslt": "XSLT",
}  # fmt: skip
_INTERPRETERS = {
    "deno": "TypeScript", "gawk": "Awk", "mawk": "Awk", "node": "JavaScript",
    "nodejs": "JavaScript", "rscript": "S", "ts-node": "TypeScript", "bun": "JavaScript",
    "pypy": "Python", "dash": "Bash", "ash": "Bash", "wish": "Tcl", "tclsh": "Tcl",
    "runhaskell": "Haskell", "make": "Makefile", "osascript": "AppleScript",
}  # fmt: skip
_SHEBANG = re.compile(rb"#![ \t]*(\S+)(?:[ \t]+(?:-S[ \t]*|-\S+[ \t]+|\w+=\S*[ \t]+)*(\S+))?")
_VERSION = re.compile(r"[\d.]+$")

# After the lists of GitHub's linguist (vendor.yml, generated.rb), the common ones.
_VENDORED = re.compile(
    r"(^|/)(node_modules|bower_components|jspm_packages|vendors?|third[-_]?party|3rd[-_]?party"
    r"|externals?|extern|Godeps|Pods|Carthage|site-packages|\.yarn|\.bundle|deps|dist-packages"
    r"|_vendor|vendored|subprojects/packagecache)/"
    r"|(^|/)(jquery|bootstrap|d3|angular|react|vue|lodash|underscore|modernizr|mootools|prototype"
    r"|ember|backbone|raphael|dojo|yui|fontawesome|font-awesome|normalize)([-.]?\d[\w.]*)?"
    r"(\.(slim|bundle|custom|all))?(\.min)?\.(js|css)$"
    r"|(^|/)(gradlew(\.bat)?|mvnw(\.cmd)?|config\.guess|config\.sub|ltmain\.sh|aclocal\.m4"
    r"|libtool\.m4|install-sh)$"
)
_GENERATED = re.compile(
    r"\.min\.(js|mjs|css)$|\.(js|css)\.map$|[-.]bundle\.js$"
    r"|_pb2(_grpc)?\.pyi?$|\.pb\.(go|cc|h|c|rb|swift)$|\.pb-c\.[ch]$|_pb\.(js|d\.ts|rb)$"
    r"|(^|/)zz_generated\..*\.go$|_generated\.(go|rs|py|ts|cs)$|\.g(enerated)?\.(cs|dart|ts)$"
    r"|\.freezed\.dart$|\.designer\.cs$|(^|/)(package-lock|npm-shrinkwrap|composer\.lock)\.json$"
    r"|(^|/)(package-lock\.json|yarn\.lock|pnpm-lock\.yaml|poetry\.lock|uv\.lock|Pipfile\.lock"
    r"|Cargo\.lock|Gemfile\.lock|composer\.lock|go\.sum|flake\.lock|mix\.lock|pubspec\.lock"
    r"|Package\.resolved|Podfile\.lock|deno\.lock|bun\.lock)$"
    r"|(^|/)(__generated__|generated|autogen)/|\.(xcodeproj|xcworkspace)/|\.pbxproj$"
    r"|(^|/)(parser|lexer)\.tab\.[ch]$|\.tab\.[ch]$|(^|/)configure$|(^|/)Makefile\.in$",
    re.IGNORECASE,
)


def extension_of(path: str) -> str:
    """Without its point, as The Stack writes it; of a name without one the name, if it is that of
    a Dockerfile or a Makefile.

    >>> extension_of("a/b.tar.gz"), extension_of("Makefile"), extension_of(".bashrc")
    ('gz', 'Makefile', '')
    """
    name = path.rsplit("/", 1)[-1]
    return os.path.splitext(name)[1][1:] or (name if name in ("Dockerfile", "Makefile") else "")


def language_of(path: str, head: bytes) -> str | None:
    """By the file's name, its suffix, or the interpreter that its first line names."""
    name = path.rsplit("/", 1)[-1]
    return _by_name(name) or _by_shebang(head)


def is_vendored(path: str) -> bool:
    """Whether a path looks like other people's work that was copied in."""
    return _VENDORED.search(path) is not None


def is_generated(path: str) -> bool:
    """Whether a path looks like the work of a program."""
    return _GENERATED.search(path) is not None


@functools.cache
def _patterns() -> tuple[dict[str, str], list[tuple[str, str]], dict[str, str]]:
    """Names and suffixes -> language, patterns of another form with theirs, alias -> language."""
    from pygments.lexers import get_all_lexers

    exact: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    aliases: dict[str, str] = {}
    for language, names, patterns, _ in sorted(get_all_lexers(plugins=False)):
        for alias in names:
            aliases.setdefault(alias.lower(), language)
        for pattern in patterns:
            plain = pattern[1:] if pattern.startswith("*.") else pattern
            if any(mark in plain for mark in "*?["):
                others.append((pattern, language))
            else:
                exact.setdefault(plain, language)
    known = set(aliases.values())  # some have no other suffix
    exact |= {suffix: name for suffix, name in _PREFERRED.items() if name in known}
    return exact, others, aliases


@functools.lru_cache(maxsize=1 << 14)
def _by_name(name: str) -> str | None:
    exact, others, _ = _patterns()
    parts = name.split(".")
    suffixes = ["." + ".".join(parts[i:]) for i in range(1, len(parts))]  # the longest first
    for candidate in (name, *suffixes, *(suffix.lower() for suffix in suffixes)):
        if candidate in exact:
            return exact[candidate]
    for pattern, language in others:
        if fnmatch.fnmatchcase(name, pattern):
            return language
    return None


def _by_shebang(head: bytes) -> str | None:
    found = _SHEBANG.match(head)
    if found is None:
        return None
    program, argument = found[1], found[2]
    if os.path.basename(program) == b"env":
        program = argument or b""
    name = os.path.basename(program).decode("utf-8", "replace").lower()
    name = _VERSION.sub("", name)
    return _INTERPRETERS.get(name) or _patterns()[2].get(name)
