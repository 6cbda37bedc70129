"""Documents asked of those of Dolma's taggers of URLs whose siblings the other families ask.

`url_lists/` has small lists in the forms that Dolma's have, `files.json` says which stands for
which, and `urls_others.txt` are URLs. Lines at which Dolma fails are not in the lists.
"""

import json
from pathlib import Path

LISTS = Path(__file__).parents[1] / "url_lists"
FILES = json.loads((LISTS / "files.json").read_text(encoding="utf-8"))
TAGGERS = [
    "allowlist_wikidata_cleaned_v1",
    "blocklist_firebog_ads_v1",
    "blocklist_firebog_crypto_v1",
    "blocklist_firebog_nsfw_v1",
    "blocklist_firebog_social_v1",
    "blocklist_firebog_suspicious_v1",
    "blocklist_firebog_trackers_v1",
    "blocklist_hosts_adware_malware_v1",
    "blocklist_hosts_fakenews_v1",
    "blocklist_hosts_gambling_v1",
    "blocklist_hosts_social_v1",
    "blocklist_project_ads_v1",
    "blocklist_project_crime_v1",
    "blocklist_project_nsfw_v1",
    "blocklist_project_social_v1",
    "blocklist_project_vice_v1",
    "oisd_nsfw_abp_v1",
    "oisd_small_abp_v1",
]
URLS = (LISTS / "urls_others.txt").read_text(encoding="utf-8").splitlines()
METADATA = {f"URL {url}": {"url": url} for url in URLS}
TEXTS = {name: [("text of ", 1), (name, 1)] for name in METADATA}


def prepare() -> None:
    from dolma.core.registry import TaggerRegistry

    for name in TAGGERS:
        TaggerRegistry.get(name).BLOCKLIST_PATHS = [str(LISTS / file) for file in FILES[name]]
