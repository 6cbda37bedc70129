"""URLs on lists: the rule of ours, and the table of Dolma's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import taggers
from dolma_kit import downloads, files, registry

from ..served import serving
from . import settings
from .test_taggers import batch_of

ROWS = json.loads(
    (Path(taggers.__file__).parent / "data" / "dolma_url_lists.json").read_text(encoding="utf-8")
)


def found(spec: dict[str, Any], urls: list[Any], key: str = "url") -> list[bool]:
    """Where the key is 1; elsewhere it has no value."""
    columns = registry.tagger(spec).tag(batch_of([""] * len(urls), [{key: url} for url in urls]))
    scores = np.asarray(columns["url"])
    assert set(scores[~np.isnan(scores)]) <= {1.0}
    return [score == 1 for score in scores.tolist()]


@pytest.fixture
def hosts(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "hosts"
    path.write_text("0.0.0.0 ads.example.com\n0.0.0.0 www.wwf.org\n0.0.0.0 xn--bcher-kva.example\n")
    return {"id": "url_list", "lists": [str(path)]}


ON_LIST = [
    "http://ads.example.com/",
    "ads.example.com/x?y",
    "https://u:p@WWW.ADS.Example.COM.:8443/",
    "http://a.b.ads.example.com",
    "http://wwf.org",
    "http://www.wwf.org",
    "ftp://bücher.example/",
]
NOT_ON_LIST = [
    "http://example.com/",
    "http://myads.example.com",
    "http://f.org",
    "http://example.com/ads.example.com",
    "http://0.0.0.0/",
    "mailto:x@ads.example.com",
    "",
    "http://",
    None,
    5,
    ["http://ads.example.com/"],
]


def test_hosts_are_found_by_the_rule_of_browsers(hosts: dict[str, Any]) -> None:
    assert found(hosts, ON_LIST) == [True] * len(ON_LIST)
    assert found(hosts, NOT_ON_LIST) == [False] * len(NOT_ON_LIST)


def test_subdomains_may_be_left_out(hosts: dict[str, Any]) -> None:
    urls = ["http://www.ads.example.com/", "http://x.ads.example.com/"]
    assert found(hosts | {"subdomains": False}, urls) == [True, False]


def test_another_key_and_name(hosts: dict[str, Any]) -> None:
    spec = hosts | {"key": "source url", "name": "ads"}
    assert found(spec, ["http://ads.example.com/"], "source url") == [True]
    assert found(spec, ["http://ads.example.com/"], "url") == [False]
    assert registry.tagger(spec).column == "ads"


def test_ip_addresses_have_no_parents(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("192.0.2.7\n2.8\n[2001:db8::1]\nexample.a1\n")
    spec = {"id": "url_list", "lists": [str(path)], "format": "domains"}
    urls = ["http://192.0.2.7:80/", "http://0xc0.0.2.7", "http://[2001:DB8:0::1]/", "http://2.7/"]
    assert found(spec, [*urls, "http://10.1.2.8"]) == [True, True, True, False, False]
    assert found(spec, ["http://x.example.a1"]) == [True]


def test_urls_and_filters(tmp_path: Path) -> None:
    links, filters = tmp_path / "links", tmp_path / "filters"
    links.write_text("http://www.a.com/x/\n")
    filters.write_text("||a.com^$document\n@@||a.com/good\n")
    urls = ["https://a.com/x#f", "http://a.com/x?q", "http://a.com/good"]
    spec = {"id": "url_list", "lists": [str(links)], "format": "urls"}
    assert found(spec, urls) == [True, False, False]
    assert found(spec | {"lists": [str(filters)], "format": "abp"}, urls) == [True, True, False]


def test_a_list_may_be_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data = (settings.GOLDEN / "url_lists" / "oisd.txt.gz").read_bytes()
    with serving() as served:
        served.files["/lists/oisd.txt.gz"] = data
        url = f"{served.address}/lists/oisd.txt.gz"
        for part_id in ("oisd_small_abp_v1", "url_list"):
            spec = {"id": part_id, "lists": [url]}
            made = registry.tagger(spec | ({"format": "abp"} if part_id == "url_list" else {}))
            scores = made.tag(batch_of([""], [{"url": "http://x.ads.example.com/"}]))["url"]
            assert np.asarray(scores).tolist() == [1.0]
            (path,) = made.models()
            assert path.startswith(downloads.cache_folder())
            assert files.sha256(path) in path
            assert made.recorded["lists"] == ["oisd.txt.gz"]
        assert served.asked == ["/lists/oisd.txt.gz"]


def test_the_table_has_dolmas_27() -> None:
    ids = {row["id"] for row in ROWS}
    assert len(ids) == len(ROWS) == 27 == len(settings.URL_LISTS)
    assert ids == set(settings.URL_LISTS)
    for row in ROWS:
        made = registry.tagger(row["id"])
        assert made.spec["lists"] == [row["folder"] + name for name in row["files"]]
        assert all(name.startswith("https://dolma-artifacts.org/") for name in made.spec["lists"])
        assert row["class"] in str(type(made).__doc__)


@pytest.mark.parametrize("part_id", ["url_list", "domain_blocklist_utp_v1", "brave_core_abp_v1"])
def test_a_url_of_a_megabyte(part_id: str) -> None:
    size = 1_000_000
    urls = [f"http://a.com/{'ads/' * (size // 4)}", f"http://{'a.' * (size // 2)}com", "x" * size]
    assert found(settings.spec(part_id), urls) == [False] * 3
