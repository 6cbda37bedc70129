"""What the taggers of URLs share: the URLs of a batch's documents, and looking for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from dolma_kit import dolma_url_lists, filter_lists, kernels, url_lists, urls
from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger
from dolma_kit.url_lists import Lists

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.kernels.string_set import StringSet

KERNELS = ("urls", "string_set")
Reading = Literal[dolma_url_lists.Reading, "abp"]


class Slices(NamedTuple):
    """A string a document: `text[starts[i]:ends[i]]`; a start of -1 is none."""

    text: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


class Apart(NamedTuple):
    """The URLs of a batch as the kernel takes them apart, see there."""

    strings: list[str | None]
    kinds: NDArray[np.uint8]
    text: NDArray[np.uint8]
    places: NDArray[np.int64]

    def slices(
        self, kind: int, start: int, end: int, plainly: Callable[[str], str | None]
    ) -> Slices:
        """Two columns of `places` where URLs are of a kind; what plain code says where not."""
        import numpy as np

        usual = self.kinds & kind > 0
        starts = np.where(usual, self.places[:, start], -1)
        ends = np.where(usual, self.places[:, end], -1)
        added, size = [], len(self.text)
        for i in np.flatnonzero(~usual).tolist():
            string = self.strings[i]
            if string and (made := plainly(string)) is not None:
                added.append(made.encode("utf-8", "surrogatepass"))
                starts[i], size = size, size + len(added[-1])
                ends[i] = size
        text = np.concatenate([self.text, np.frombuffer(b"".join(added), np.uint8)])
        return Slices(text, starts, ends)


def taken_apart(batch: Batch, key: str) -> Apart:
    """The URLs in `metadata[key]`; worked out once a batch."""

    def work_out(batch: Batch) -> Apart:
        import numpy as np
        import pyarrow as pa

        strings = batch.metadata_strings(key)
        array = pa.array(strings, pa.large_string())
        _, offsets, data = array.buffers()
        text = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
        places = np.frombuffer(offsets, np.int64, len(strings) + 1)
        return Apart(strings, *kernels.urls.take_apart(text, places, kernels.urls.CLASSES))

    return batch.once(f"URLs in metadata {key}", work_out)


def hosts(batch: Batch, key: str) -> Slices:
    """Hosts in normal form, without `www.`."""

    def work_out(batch: Batch) -> Slices:
        found = taken_apart(batch, key).slices(kernels.urls.HOST, 0, 1, urls.host_of)
        starts = url_lists.skip_www(found.text, found.starts, found.ends)
        return found._replace(starts=starts)

    return batch.once(f"hosts in metadata {key}", work_out)


def addresses(batch: Batch, key: str) -> Slices:
    """Host in normal form, without `www.`, port, path and query."""

    def work_out(batch: Batch) -> Slices:
        import numpy as np

        apart = taken_apart(batch, key)
        return apart._replace(kinds=np.zeros_like(apart.kinds)).slices(0, 0, 0, _address)

    return batch.once(f"addresses in metadata {key}", work_out)


def _address(url: str) -> str | None:
    found = urls.address_of(url)
    return None if found is None else urls.without_www(found.host) + found.rest


def dolma_addresses(batch: Batch) -> Slices:
    """Host, port and path, see `urls.cleaned`."""

    def work_out(batch: Batch) -> Slices:
        return taken_apart(batch, "url").slices(kernels.urls.ADDRESS, 0, 2, urls.cleaned)

    return batch.once("addresses as Dolma has them", work_out)


def dolma_hosts(batch: Batch) -> Slices:
    """Hosts without `w` and `.` before them, see `urls.cleaned_host`."""

    def work_out(batch: Batch) -> Slices:
        return taken_apart(batch, "url").slices(kernels.urls.ADDRESS, 3, 1, urls.cleaned_host)

    return batch.once("hosts as Dolma has them", work_out)


def dolma_requests(batch: Batch) -> tuple[filter_lists.Urls, NDArray[np.int64]]:
    """What Dolma asks adblock-rust, and of which documents."""

    def work_out(batch: Batch) -> tuple[filter_lists.Urls, NDArray[np.int64]]:
        apart = taken_apart(batch, "url")
        made: list[tuple[bytes, int, int]] = []
        rows = []
        text = apart.text.tobytes()
        columns = (apart.strings, apart.kinds.tolist(), apart.places.tolist())
        for row, (string, kind, (start, host_end, end, _)) in enumerate(zip(*columns, strict=True)):
            if kind & kernels.urls.ADDRESS:
                made.append((b"http://" + text[start:end], 7, 7 + host_end - start))
            elif string and (address := urls.cleaned(string)) is not None:
                if (found := urls.requested(address)) is None:
                    continue
                made.append(_in_bytes(*found))
            else:
                continue
            rows.append(row)
        return _asked([part[0] for part in made], made), _int64(rows)

    return batch.once("requests as Dolma has them", work_out)


def page_requests(batch: Batch, key: str) -> tuple[filter_lists.Urls, NDArray[np.int64]]:
    """The URLs in `metadata[key]` as pages that are opened, and of which documents."""

    def work_out(batch: Batch) -> tuple[filter_lists.Urls, NDArray[np.int64]]:
        made: list[tuple[bytes, int, int]] = []
        rows = []
        for row, string in enumerate(batch.metadata_strings(key)):
            if string and (found := urls.address_of(string)) is not None:
                scheme = found.scheme or "http"
                url = f"{scheme}://{found.host}{found.rest or '/'}"
                start = len(scheme) + 3
                made.append(_in_bytes(url, start, start + len(found.host)))
                rows.append(row)
        return _asked([part[0].lower() for part in made], made), _int64(rows)

    return batch.once(f"pages in metadata {key}", work_out)


def _in_bytes(url: str, host_start: int, host_end: int) -> tuple[bytes, int, int]:
    return url.encode("utf-8", "surrogatepass"), host_start, host_end  # the host is ASCII


def _int64(values: Sequence[int]) -> NDArray[np.int64]:
    import numpy as np

    return np.array(values, np.int64)


def _asked(lower: list[bytes], made: list[tuple[bytes, int, int]]) -> filter_lists.Urls:
    import numpy as np

    ends = np.cumsum([len(url) for url in lower], dtype=np.int64)
    starts = ends - _int64([len(url) for url in lower])
    host_starts = starts + _int64([start for _, start, _ in made])
    host_ends = starts + _int64([end for _, _, end in made])
    return filter_lists.Urls(
        np.frombuffer(b"".join(lower), np.uint8),
        np.frombuffer(b"".join([url for url, _, _ in made]), np.uint8),
        np.stack([starts, host_starts, host_ends, ends], axis=1),
    )


def on_list(known: StringSet, slices: Slices, *, with_parents: bool = False) -> NDArray[np.bool_]:
    """Which of the strings are in a set, (n_docs,) bool; `with_parents`, also hosts below those."""
    import numpy as np

    parents = np.full(len(slices.starts), with_parents)
    if with_parents and len(slices.text):
        last = slices.text[np.maximum(slices.ends - 1, 0)]
        for i in np.flatnonzero((last == 93) | ((last >= 48) & (last <= 57))).tolist():
            host = slices.text[slices.starts[i] : slices.ends[i]].tobytes().decode()
            parents[i] = not urls.is_address(host)  # which has none
    found: NDArray[np.bool_] = kernels.string_set.find(*known, *slices, parents)
    return found


def scores(found: NDArray[np.bool_]) -> Columns:
    """1 where a document's URL is on a list, else no value: Dolma writes no 0."""
    import numpy as np

    return {"url": np.where(found, 1.0, np.nan)}


class ListTagger(Tagger, frozen=True, kw_only=True):
    """A base: `lists` are paths or URLs of files that count as one list; the key is `url`."""

    lists: Lists

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"url": "score"}

    @property
    def recorded(self) -> dict[str, Any]:
        names = [os.path.basename(url_lists.local_path(name)) for name in self.lists]
        return self.spec | {"lists": names}

    def models(self) -> tuple[str, ...]:
        return tuple(url_lists.local_path(name) for name in self.lists)


class DolmaListTagger(ListTagger, frozen=True, kw_only=True):
    """A base of those under Dolma's ids, which have Dolma's `lists` by default."""

    reading: ClassVar[Reading]

    def kernels(self) -> tuple[str, ...]:
        lists = filter_lists.KERNELS if self.reading == "abp" else url_lists.KERNELS
        return (*KERNELS, *lists)

    def tag(self, batch: Batch) -> Columns:
        if self.reading == "abp":
            rules = filter_lists.read(self.lists, "resource")
            return scores(blocked(rules, dolma_requests(batch), len(batch)))
        known = dolma_url_lists.read(self.lists, self.reading)
        if self.reading == "wikidata":
            return scores(_in_wikidata(known, batch))
        slices = dolma_hosts(batch) if self.reading == "domain" else dolma_addresses(batch)
        return scores(on_list(known, slices))


def blocked(
    rules: filter_lists.FilterList,
    asked: tuple[filter_lists.Urls, NDArray[np.int64]],
    n_documents: int,
) -> NDArray[np.bool_]:
    """Which documents have a URL that rules block, (n_docs,) bool."""
    import numpy as np

    found = np.zeros(n_documents, np.bool_)
    requests, rows = asked
    found[rows] = rules.blocks(requests)
    return found


def _in_wikidata(known: StringSet, batch: Batch) -> NDArray[np.bool_]:
    import numpy as np

    names: list[bytes] = []
    rows: list[int] = []
    for row, string in enumerate(batch.metadata_strings("url")):
        for name in dolma_url_lists.looked_up(string) if string else ():
            names.append(name.encode("utf-8", "surrogatepass"))
            rows.append(row)
    ends = np.cumsum([len(name) for name in names], dtype=np.int64)
    starts = ends - _int64([len(name) for name in names])
    hits = on_list(known, Slices(np.frombuffer(b"".join(names), np.uint8), starts, ends))
    found = np.zeros(len(batch), np.bool_)
    found[_int64(rows)[hits]] = True
    return found
