"""The keys of `dolma-kit report`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from dolma_kit.config import Count, Options

KEPT_IN = "statistics"


class Report(Options, frozen=True, kw_only=True):
    """Describe a corpus and its runs on one page, with a JSON twin and a data card.

    DIR is a folder that stages wrote to. What is not there is said on the page, with the command
    that makes it. See docs/report.md.
    """

    folder: Annotated[
        str,
        Meta(description="Folder to report on.", extra={"argument": "DIR"}),
    ] = ""
    out: Annotated[
        str, Meta(description="The page; its twins end in .json and .md instead of .html.")
    ] = "report.html"
    title: Annotated[str | None, Meta(description="Title (default: the folder's name).")] = None
    measure: Annotated[
        Literal["auto", "missing", "none"],
        Meta(
            description="Statistics that are not there: measure them if all documents are below "
            "100 MB as stored, in any case, or not at all."
        ),
    ] = "auto"
    statistics: Annotated[
        str | None,
        Meta(
            description="Folder that measured statistics are kept in (default: DIR/statistics; "
            "nothing is kept where that cannot be written)."
        ),
    ] = None
    examples: Annotated[
        int, Meta(description="Documents shown on each side of a threshold.", ge=0, le=20)
    ] = 3
    excerpts: Annotated[
        Literal["masked", "none"],
        Meta(description="Starts of documents: with personal data masked, or not shown."),
    ] = "masked"
    answers: Annotated[
        str | None,
        Meta(description="YAML with answers to the data card's questions, by their keys."),
    ] = None
    watts_per_core: Annotated[
        float, Meta(description="Of a core at work, where no counter tells.", gt=0, le=10_000)
    ] = 10.0
    pue: Annotated[
        float, Meta(description="Energy of the building by that of its devices.", ge=1, le=10)
    ] = 1.0
    kg_per_kwh: Annotated[
        Annotated[float, Meta(ge=0, le=10)] | None,
        Meta(description="Carbon intensity of the power (default: no carbon is told)."),
    ] = None
    top: Annotated[Count, Meta(description="Of n-grams, domains and clusters measured now.")] = 20
