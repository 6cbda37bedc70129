"""Documents by where they come from: whether their URL is on a list of hosts, links or filters.

A URL stands in a document's metadata. `url_list` asks any list; the others are Dolma's, whose lists
and classes are in `taggers/data/dolma_url_lists.json`. The key is `url`: 1 where the URL is on the
list, else it has no value. A document without a URL has none either.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from dolma_kit import filter_lists, registry, url_lists, url_tagging
from dolma_kit.attributes import Columns
from dolma_kit.documents import Batch
from dolma_kit.url_lists import Format, Lists
from dolma_kit.url_tagging import DolmaListTagger, ListTagger


class UrlList(ListTagger, frozen=True):
    """Whether a document's URL is on a list, by path or URL.

    `lists` are files, or URLs that are fetched once; together they are one list. `format` is
    `hosts` (as /etc/hosts), `domains` (one a line, also `*.example.com`, Dnsmasq, `||example.com^`
    or the first field of a CSV), `urls`, or `abp` (filters of Adblock Plus). `name` stands in the
    columns' names instead of `url_list`. `key` is where the URL is in the metadata.

    Differs from Dolma: hosts are those that a browser would ask (IDNA, ports, user
    information, a dot at the end, IP addresses in any form); `www.` does not matter; a host on the
    list stands for those below it unless `subdomains` is false; addresses before hosts and the
    machine's own names are not on the list; comments may follow a host. Of `urls`, scheme, fragment
    and a `/` at the end do not matter, query and case do. Of `abp`, the URL is a page that is
    opened as itself: rules for scripts, images or third parties do not block it, see
    `dolma_kit.filter_lists`. Lines of no such form are skipped, see `dolma_kit.url_lists`. Source:
    the URL Standard (WHATWG) for hosts, Adblock Plus' documentation of filters.
    """

    id: ClassVar[str] = "url_list"
    format: Format = "hosts"
    name: str | None = None
    key: Annotated[str, Meta(min_length=1)] = "url"
    subdomains: bool = True

    @property
    def column(self) -> str:
        if self.name is None:
            return self.id
        registry.check_id(self.name)
        return self.name

    def kernels(self) -> tuple[str, ...]:
        lists = filter_lists.KERNELS if self.format == "abp" else url_lists.KERNELS
        return (*url_tagging.KERNELS, *lists)

    def tag(self, batch: Batch) -> Columns:
        if self.format == "abp":
            rules = filter_lists.read(self.lists, "document")
            return url_tagging.scores(
                url_tagging.blocked(rules, url_tagging.page_requests(batch, self.key), len(batch))
            )
        known = url_lists.read(self.lists, self.format).known
        if self.format == "urls":
            return url_tagging.scores(
                url_tagging.on_list(known, url_tagging.addresses(batch, self.key))
            )
        hosts = url_tagging.hosts(batch, self.key)
        return url_tagging.scores(url_tagging.on_list(known, hosts, with_parents=self.subdomains))


def _dolmas(row: dict[str, Any]) -> type[DolmaListTagger]:
    """The tagger of a row of the table."""
    lists = tuple(row["folder"] + name for name in row["files"])
    document = f"""Whether a document's URL is on a list of {row["about"]}.

    {_READINGS[row["reading"]]} `lists` are Dolma's by default, of February 2024. Differs from
    Dolma: a URL on which it fails has no value, lines of a list on which it fails are skipped.
    Source: Dolma's taggers/url.py, {row["class"]}.
    """
    made: Any = msgspec.defstruct(
        row["class"],
        [("lists", Lists, lists)],
        bases=(DolmaListTagger,),
        namespace={"id": row["id"], "reading": row["reading"], "__doc__": document},
        module=__name__,
        frozen=True,
        kw_only=True,
    )
    tagger: type[DolmaListTagger] = made
    return tagger


_READINGS = {
    "domain": "By its host, which any `w` and `.` at its start do not matter to, as Dolma has it.",
    "link": "By host, port and path; `http://a.com/b?c` has to stand in the list as `a.com/b`.",
    "wikidata": "By its host, or the last two labels of it where it has three or more.",
    "abp": "By the answers of adblock-rust to a request of another site for host, port and path.",
}
for _row in json.loads(
    (Path(__file__).parent / "data" / "dolma_url_lists.json").read_text("utf-8")
):
    globals()[_row["class"]] = _dolmas(_row)
