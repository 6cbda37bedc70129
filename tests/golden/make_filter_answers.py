"""Makes what adblock-rust, asked as the package `dolma` asks it, says of URLs by lists of filters.

    python tests/golden/make_filter_answers.py

runs in the environment of `make_dolma_taggers.py`. Lists and URLs are drawn from a seed, of few
words, so that they meet; filters may be faulty. Writes `filter_answers.json`: lines of [rules,
URLs, answers], where an answer is true, false, or null if there is none.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "benchmarks"))

import dolma_worker  # noqa: E402

SEED, N_LISTS, N_URLS = 20, 150, 25
WORDS = [
    "ads",
    "ad",
    "banner",
    "example",
    "foo",
    "bar",
    "track",
    "com",
    "www",
    "org",
    "x",
    "a",
    "js",
    "img",
    "evil",
    "co",
    "uk",
    "0",
    "12",
]
PATH_WORDS = [*WORDS, "track-er", "foo_bar", "b%20c"]
MARKS = ["/", "/", "-", ".", "_", "=", "+", ",", "~", ";", "@", ":", "!", "(", ")", "|"]
EXPRESSIONS = [
    r"ads?",
    r"[a-z]+\d",
    r"(foo|bar)",
    r"ad{1,2}s",
    r"foo\/bar",
    r"\bads\b",
    r"(?!x)y",
    r"x(?=y)",
    r"foo$",
    r"^http.*ads",
    r"\w+-er",
    r"(a",
    r"[^a]ds\.",
    r"FOO",
    r"Ads\W",
]
OPTIONS = [
    "third-party",
    "~third-party",
    "script",
    "~script",
    "image",
    "other",
    "document",
    "important",
    "domain=foo.com",
    "domain=foo.com|bar.com",
    "domain=~foo.com",
    "domain=ads",
    "domain=ads|foo",
    "match-case",
    "badfilter",
    "tag=x",
    "csp=x",
    "redirect=noop",
    "redirect-rule=a",
    "removeparam=x",
    "generichide",
    "popup",
    "~document",
    "all",
    "3p",
    "1p",
    "~other",
    "xhr,~image",
]
draw = random.Random(SEED)


def host() -> str:
    return ".".join(draw.choice(WORDS) for _ in range(draw.randint(1, 4)))


def path() -> str:
    marks = MARKS[: draw.choice([2, 6, 16])]
    return "".join(draw.choice(marks) + draw.choice(PATH_WORDS) for _ in range(draw.randint(0, 5)))


def url() -> str:
    start = draw.choice(["http://", "https://", "", "", "http://www."])
    end = draw.choice(["", "/", "/?ads=1", "/?foo"])
    return start + host() + draw.choice(["", "", ":8080", ":80"]) + path() + end


def pattern() -> str:
    kind = draw.random()
    if kind < 0.1:
        start = draw.choice(["/", "/", "/^http:\\/\\/", "/\\."])
        return f"{start}{draw.choice(EXPRESSIONS)}/"
    if kind < 0.45:
        ends = ["^", "^", "", "/", "*", "^|", "|", ".", "^*"]
        text = f"||{host()}{draw.choice(ends)}"
    elif kind < 0.65:
        end = draw.choice(["", "*", "^", "|", "^|"])
        text = f"||{host()}{draw.choice(['', '^', '*'])}{path()}{end}"
    else:
        starts = ["", "|", "|http://", "http://", "*", "^", "|https://", "://"]
        end = draw.choice(["", "*", "^", "|", "^^"])
        text = draw.choice(starts) + draw.choice([path, host])() + end
    if draw.random() < 0.3 and len(text) > 4:
        i = draw.randrange(2, len(text))
        text = text[:i] + draw.choice("*^^|\\") + text[i + draw.randint(0, 1) :]
    return text


def rule() -> str:
    text = draw.choice(["", "", "", "", "@@"]) + pattern()
    if draw.random() < 0.3:
        text += "$" + ",".join(draw.choice(OPTIONS) for _ in range(draw.choice([1, 1, 2])))
    return text.strip()


def main() -> None:
    dolma_worker.registry()
    from dolma.core.url_blocker import UrlBlocker
    from dolma.taggers.url import BaseUrlTagger

    lines = []
    for _ in range(N_LISTS):
        rules = [rule() for _ in range(draw.choice([1, 2, 5, 20, 60]))]
        if draw.random() < 0.3:
            rules.append(f"{draw.choice(rules)}$badfilter")
        rules = sorted(set(rules))
        blocker = UrlBlocker(rules)
        urls, answers = [url() for _ in range(N_URLS)], []
        for text in urls:
            try:
                (address,) = BaseUrlTagger.clean_url(text)
                answers.append(blocker.check_network_urls(address))
            except ValueError:
                answers.append(None)
        lines.append(json.dumps([rules, urls, answers]))
    (HERE / "filter_answers.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
