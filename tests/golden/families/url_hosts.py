"""Documents from awkward URLs, asked of Dolma's lists of hosts and links.

`url_lists/` has small lists in the forms that Dolma's have, `files.json` says which stands for
which, and `urls_hosts.txt` are URLs. Lines at which Dolma fails are not in the lists.
"""

import json
from pathlib import Path

LISTS = Path(__file__).parents[1] / "url_lists"
FILES = json.loads((LISTS / "files.json").read_text(encoding="utf-8"))
TAGGERS = [
    "blocklist_firebog_malicious_v1",
    "blocklist_hosts_porn_v1",
    "domain_blocklist_phishing_v1",
    "domain_blocklist_utp_v1",
    "link_blocklist_phishing_v1",
]
URLS = (LISTS / "urls_hosts.txt").read_text(encoding="utf-8").splitlines()
OTHERS = {
    "no metadata": None,
    "empty metadata": {},
    "null": {"url": None},
    "empty": {"url": ""},
    "spaces": {"url": " \t\n"},
    "number": {"url": 5},
    "list": {"url": ["http://ads.example.com/"]},
    "outer spaces": {"url": "  http://ads.example.com/  "},
    "inner newline": {"url": "http://ads.exam\nple.com/"},
    "newline at the end": {"url": "http://ads.example.com\n"},
    "newline in the path": {"url": "http://ads.example.com/x\ny"},
    "space in the path": {"url": "http://path.example/banner/x y"},
    "NUL": {"url": "http://ads.example.com\0/"},
    "another key": {"URL": "http://ads.example.com/", "source_url": "http://wwf.org"},
    "long path": {"url": "http://ads.example.com/" + "a/" * 300 + "banner/ads-1"},
    "many words": {"url": "http://z.example/" + "ab/" * 123 + "my-advert.png"},
    "too many words": {"url": "http://z.example/" + "ab/" * 200 + "page/my-advert.png"},
    "long host": {"url": "http://" + "a." * 200 + "ads.example.com/"},
    "long label": {"url": "http://" + "ü" * 70 + ".example/"},
}
METADATA = OTHERS | {f"URL {url}": {"url": url} for url in URLS}
TEXTS = {name: [("text of ", 1), (name, 1)] for name in METADATA}


def prepare() -> None:
    from dolma.core.registry import TaggerRegistry

    for name in TAGGERS:
        TaggerRegistry.get(name).BLOCKLIST_PATHS = [str(LISTS / file) for file in FILES[name]]
