"""The address of every view, below the token: plain paths and queries, the same tomorrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

MOST_BYTES = 60_000  # of an address; the server takes 64 kB, a browser's own headers included


@dataclass(frozen=True)
class Addresses:
    """Addresses below `/TOKEN/`; keys that have their default are left out.

    >>> here = Addresses("t")
    >>> here.step(3, instance=7), here.document("a b&c", copy=2), here.phrase("the")
    ('/t/step/3?instance=7#i7', '/t/document?id=a+b%26c&mix=2', '/t/phrase?q=the')
    """

    token: str

    @property
    def start(self) -> str:
        return f"/{self.token}/"

    @property
    def steps(self) -> str:
        """Where a form asks for a step by its number."""
        return f"/{self.token}/step"

    @property
    def documents(self) -> str:
        return f"/{self.token}/document"

    @property
    def phrases(self) -> str:
        return f"/{self.token}/phrase"

    def step(self, step: int, *, instance: int | None = None, first: int = 0) -> str:
        """The page of a step that shows an instance, or the instances from one of the batch on."""
        if instance is not None:
            return f"{self.steps}/{step}?instance={instance}#i{instance}"
        return f"{self.steps}/{step}{_query([('from', first)] if first else [])}"

    def document(
        self,
        doc_id: str,
        *,
        copy: int = 1,
        show: Sequence[str] | None = None,
        at: int = 0,
        tokens_at: int = 0,
        seen: int = 0,
    ) -> str:
        """A document's page: of which of its copies, with spans of which columns (None: as the page
        chooses), from which character of each of its texts and which sighting on."""
        keys: list[tuple[str, object]] = [("id", doc_id)]
        keys += [("mix", copy)] if copy != 1 else []
        keys += [] if show is None else [("show", ",".join(show))]
        keys += [("at", at)] if at else []
        keys += [("tokens_at", tokens_at)] if tokens_at else []
        keys += [("seen", seen)] if seen else []
        return self.documents + _query(keys)

    def no_page(self, doc_id: str) -> str | None:
        """Why a document has no page of its own; None for one that has."""
        if not doc_id:
            return "its id is empty, which no address can ask for"
        if len(self.document(doc_id)) > MOST_BYTES:
            return "its id is too long for an address; `dolma-kit trace doc` takes it"
        return None

    def phrase(self, text: str, *, limit: int | None = None) -> str:
        keys: list[tuple[str, object]] = [("q", text)]
        return self.phrases + _query(keys + ([] if limit is None else [("limit", limit)]))

    def more(self) -> str:
        """The first page with what takes time to find out."""
        return f"{self.start}?more=1"


def _query(keys: Sequence[tuple[str, object]]) -> str:
    return f"?{urlencode(keys, errors='replace')}" if keys else ""
