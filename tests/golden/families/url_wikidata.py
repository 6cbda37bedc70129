"""Documents from awkward URLs, asked of Dolma's list of websites that Wikidata knows.

`url_lists/` has small lists in the forms that Dolma's have, `files.json` says which stands for
which, and `urls_wikidata.txt` are URLs. Lines at which Dolma fails are not in the lists.
"""

import json
from pathlib import Path

LISTS = Path(__file__).parents[1] / "url_lists"
FILES = json.loads((LISTS / "files.json").read_text(encoding="utf-8"))
TAGGERS = [
    "allowlist_wikidata_v1",
]
URLS = (LISTS / "urls_wikidata.txt").read_text(encoding="utf-8").splitlines()
METADATA = {f"URL {url}": {"url": url} for url in URLS}
TEXTS = {name: [("text of ", 1), (name, 1)] for name in METADATA}


def prepare() -> None:
    from dolma.core.registry import TaggerRegistry

    for name in TAGGERS:
        TaggerRegistry.get(name).BLOCKLIST_PATHS = [str(LISTS / file) for file in FILES[name]]
