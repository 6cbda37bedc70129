"""Lists of hosts and URLs: their forms, and files that are none."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pytest

from dolma_kit import dolma_url_lists, registry, url_lists
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.kernels.string_set import StringSet
from dolma_kit.url_lists import Format

from .taggers.test_taggers import batch_of

HOSTS = """# comment
! comment
127.0.0.1 localhost
::1 ip6-localhost
255.255.255.255 broadcasthost
0.0.0.0 0.0.0.0
0.0.0.0 a.com
0.0.0.0\tWWW.B.com  # comment
10.0.0.1 c.com d.com
::1 e.com
0.0.0.0 bücher.example
fe80::1%lo0 localhost
nonsense
"""
DOMAINS = """a.com
*.b.com
.c.com
||d.com^
address=/e.com/0.0.0.0
server=/f.com/
http://g.com:80/x
h.com,adult,2024
"i.com",x
www.j.com
www.com
1.2.3.4
[::1]
k.com # comment
not a host
"""
LINKS = "http://a.com/x/\nB.com/y?z#f\n\n# c\nwww.c.com\nx\n"


def strings(known: StringSet) -> set[str]:
    data, bounds = known.data.tobytes().decode(), known.offsets.tolist()
    return {data[a:b] for a, b in itertools.pairwise(bounds)}


@pytest.mark.parametrize(
    ("text", "format", "expected", "n_skipped"),
    [
        (HOSTS, "hosts", {"a.com", "b.com", "c.com", "d.com", "e.com", "xn--bcher-kva.example"}, 1),
        (
            DOMAINS,
            "domains",
            {*(f"{x}.com" for x in "abcdefghijk"), "www.com", "1.2.3.4", "[::1]"},
            1,
        ),
        (LINKS, "urls", {"a.com/x", "b.com/y?z", "c.com"}, 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_forms(
    tmp_path: Path, text: str, format: Format, expected: set[str], n_skipped: int,
    newline: str, mark: str,
) -> None:  # fmt: skip
    path = tmp_path / "list.txt.gz"
    path.write_bytes(gzip.compress((mark + text.replace("\n", newline)).encode()))
    found = url_lists.read([str(path)], format)
    assert (strings(found.known), found.n_skipped) == (expected, n_skipped)


def test_lists_are_one(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text(f"{path.name}.com\n")
    found = url_lists.read([str(path) for path in paths], "domains")
    assert strings(found.known) == {"a.com", "b.com"}


def test_a_list_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "list"
    for name in ("a.com", "bc.com"):
        path.write_text(name)
        assert strings(url_lists.read([str(path)], "domains").known) == {name}


@pytest.mark.parametrize(
    ("text", "format", "reason"),
    [
        ("", "hosts", "holds no host"),
        ("# only a comment\n", "domains", "holds no host"),
        ("a.com\n", "hosts", "holds no host"),
        ("0.0.0.0 a.com\n", "domains", "holds no host"),
        ("", "urls", "holds no URL"),
        ("! x\nx##.ads\n", "abp", "holds no filter"),
        ("a.com\nthis is\nsome prose\n", "domains", "2 of 3 lines are no domains"),
        *((" <!DOCTYPE html>\na.com", name, "is a web page") for name in ("hosts", "urls", "abp")),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, text: str, format: Format, reason: str) -> None:
    path = tmp_path / "list"
    path.write_text(text)
    spec = {"id": "url_list", "lists": [str(path)], "format": format}
    with pytest.raises(DataError, match=rf"list: {reason}"):
        registry.tagger(spec).tag(batch_of([""]))


@pytest.mark.parametrize("reading", ["domain", "link", "wikidata"])
def test_a_web_page_is_none_of_dolmas_lists(
    tmp_path: Path, reading: dolma_url_lists.Reading
) -> None:
    path = tmp_path / "list"
    path.write_text("<html>a.com</html>")
    with pytest.raises(DataError, match="is a web page"):
        dolma_url_lists.read([str(path)], reading)


def test_wikidata_that_is_no_json_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text('[{"url": "http://a.com"}]\n[]\nb.com\n')
    with pytest.raises(DataError, match="list:3: is no JSON array"):
        dolma_url_lists.read([str(path)], "wikidata")
    path.write_text('[\n{"url": "http://a.com"},\n5, {"url": null}]')
    assert strings(dolma_url_lists.read([str(path)], "wikidata")) == {"a.com", "www.a.com"}


def test_a_broken_container_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "list.gz"
    path.write_bytes(gzip.compress(b"a.com\n" * 1000)[:-9])
    with pytest.raises(DataError, match=r"list\.gz: broken or truncated gz"):
        url_lists.read([str(path)], "domains")
    with pytest.raises(ConfigError, match="is not there: name a file or a URL"):
        url_lists.read([str(tmp_path / "none")], "domains")


def test_a_line_on_which_dolmas_expression_would_hang(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text(f"||{'a' * 1_000_000}/\n{'b.' * 300_000}c\nwww.wwf.org\n")
    assert strings(dolma_url_lists.read([str(path)], "domain")) == {"f.org", f"{'b.' * 300_000}c"}
