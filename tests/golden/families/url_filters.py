"""Documents from awkward URLs, asked of Dolma's lists of filters.

`url_lists/` has small lists in the forms that Dolma's have, `files.json` says which stands for
which, and `urls_filters.txt` are URLs. Lines at which Dolma fails are not in the lists.
"""

import json
from pathlib import Path

LISTS = Path(__file__).parents[1] / "url_lists"
FILES = json.loads((LISTS / "files.json").read_text(encoding="utf-8"))
TAGGERS = [
    "brave_core_abp_v1",
    "brave_nsfw_abp_v1",
    "oisd_big_abp_v1",
]
URLS = (LISTS / "urls_filters.txt").read_text(encoding="utf-8").splitlines()
OTHERS = {
    "outer spaces": {"url": "  http://ads.example.com/  "},
    "inner newline": {"url": "http://ads.exam\nple.com/"},
    "newline at the end": {"url": "http://ads.example.com\n"},
    "newline in the path": {"url": "http://ads.example.com/x\ny"},
    "NUL": {"url": "http://ads.example.com\0/"},
    "long path": {"url": "http://ads.example.com/" + "a/" * 300 + "banner/ads-1"},
    "many words": {"url": "http://z.example/" + "ab/" * 123 + "my-advert.png"},
    "too many words": {"url": "http://z.example/" + "ab/" * 200 + "page/my-advert.png"},
    "long host": {"url": "http://" + "a." * 200 + "ads.example.com/"},
}
METADATA = OTHERS | {f"URL {url}": {"url": url} for url in URLS}
TEXTS = {name: [("text of ", 1), (name, 1)] for name in METADATA}


def prepare() -> None:
    from dolma.core.registry import TaggerRegistry

    for name in TAGGERS:
        TaggerRegistry.get(name).BLOCKLIST_PATHS = [str(LISTS / file) for file in FILES[name]]
