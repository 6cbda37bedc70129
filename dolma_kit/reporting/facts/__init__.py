"""What a report can say to the questions of a data card: question -> facts, in their order."""

from __future__ import annotations

from dolma_kit.reporting.facts import composition, processing, provenance, quality
from dolma_kit.reporting.facts.measured import Fact

FACTS: dict[str, tuple[Fact, ...]] = {
    "composition-instances": (
        Fact("composition", composition.kinds),
        Fact("languages", composition.languages),
    ),
    "composition-count": (Fact("composition", composition.counts),),
    "composition-sample": (Fact("funnel", processing.kept),),
    "composition-instance-data": (Fact("lengths", composition.lengths),),
    "composition-labels": (Fact("attributes", processing.labels, "if empty"),),
    "composition-missing": (
        Fact("summary", composition.without_text),
        Fact("urls", composition.without_url),
        Fact("dates", composition.without_date),
        Fact("licenses", composition.without_licence),
    ),
    "composition-relationships": (
        Fact("duplicates", quality.equal_texts),
        Fact("overlap", quality.shared, "never"),
    ),
    "composition-errors": (
        Fact("duplicates", quality.duplicates),
        Fact("lengths", quality.spikes, "never"),
        Fact("provenance", quality.quarantined, "if empty"),
    ),
    "composition-self-contained": (Fact("urls", composition.self_contained),),
    "composition-offensive": (Fact("toxicity", quality.toxic),),
    "composition-identifiable": (Fact("pii", quality.personal_data),),
    "collection-acquired": (Fact("urls", composition.domains),),
    "collection-sampling": (Fact("funnel", processing.sampled),),
    "collection-timeframe": (Fact("dates", composition.dates),),
    "preprocessing-done": (
        Fact("provenance", processing.steps),
        Fact("funnel", processing.filters),
    ),
    "preprocessing-raw-saved": (Fact("corpora", provenance.raw, "if empty"),),
    "preprocessing-software": (Fact("provenance", provenance.software),),
    "preprocessing-other": (Fact("costs", provenance.costs),),
    "uses-already": (Fact("order", provenance.runs),),
    "uses-impact": (Fact("contamination", quality.contamination),),
    "distribution-restrictions": (Fact("licenses", composition.licences),),
    "maintenance-versions": (Fact("provenance", provenance.digests),),
}
