"""How the page looks, beside what all pages of ours share (`markup`): calm, aligned, in two themes,
at any width, and on paper."""

from __future__ import annotations

STYLE = """
body { max-width: none; padding: 0; font-size: 0.95rem; }
.page { display: grid; grid-template-columns: 15rem minmax(0, 1fr); max-width: 82rem;
  margin: 0 auto; }
main { padding: 1.5rem 2rem 4rem; min-width: 0; }
nav.side { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow-y: auto;
  padding: 1.7rem 0 2rem 1.2rem; font-size: 0.87rem; }
nav.side p { font-size: 0.8rem; margin: 0 0 0.4rem; border: 0; padding: 0; color: var(--soft);
  font-weight: 600; }
nav ol { list-style: none; margin: 0; padding: 0; } nav li { margin: 0.1rem 0; }
nav a { text-decoration: none; display: block; padding: 0.12rem 0.5rem;
  border-left: 2px solid var(--line); color: var(--ink); }
nav a:hover { border-left-color: var(--link); color: var(--link); }
nav .off { color: var(--soft); font-style: italic; }
details.contents { display: none; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 0.3rem; }
h2 { font-size: 1.3rem; margin: 0 0 0.5rem; line-height: 1.3; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 0.3rem; }
h4 { font-size: 0.95rem; margin: 1.1rem 0 0.2rem; }
main > section { border-top: 1px solid var(--line); margin-top: 2.4rem; padding-top: 1.4rem;
  scroll-margin-top: 0.5rem; }
main p { max-width: 52rem; }
table { font-size: 0.88rem; }
caption { color: var(--soft); font-size: 0.9rem; max-width: min(52rem, calc(100vw - 2.2rem)); }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; white-space: nowrap; }
tbody th { font-weight: 400; }
th, td { overflow-wrap: break-word; padding: 0.22rem 1rem 0.22rem 0; }
tr > :last-child { padding-right: 0.2rem; } td.n, th.n { text-align: right; }
tbody th, td { max-width: 26rem; } tr.sum > * { border-top: 2px solid var(--line);
  font-weight: 600; }
td.text, th.text { min-width: 11rem; } tbody th { min-width: 5rem; }
.key { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0.8rem;
  margin: 1.2rem 0; padding: 0; }
.key div { border-left: 3px solid var(--c0); padding: 0.1rem 0 0.1rem 0.8rem; }
.key dt { color: var(--soft); font-size: 0.85rem; } .key dd { margin: 0; font-size: 1.3rem;
  font-variant-numeric: tabular-nums; line-height: 1.3; }
.key small { display: block; font-size: 0.8rem; color: var(--soft); }
code { font: 0.87em/1.5 ui-monospace, monospace; }
.command { color: var(--soft); font-size: 0.85rem; margin: 0.2rem 0 0.6rem; max-width: none; }
.command code { background: var(--card); border: 1px solid var(--line); border-radius: 0.25rem;
  padding: 0.05rem 0.4rem; user-select: all; color: var(--ink); }
.note { border-left: 3px solid var(--mark); padding: 0.1rem 0 0.1rem 0.8rem; margin: 0.5rem 0; }
.badge { font-size: 0.78rem; border: 1px solid currentColor; border-radius: 1rem;
  padding: 0 0.5rem; white-space: nowrap; } .exact { color: var(--good); }
.estimated { color: var(--mark); } .bad { color: var(--bad); } .good { color: var(--good); }
details { margin: 0.4rem 0; } details pre { background: var(--card); padding: 0.6rem 0.8rem;
  border-radius: 0.35rem; max-height: 26rem; overflow: auto; }
bdi.text { white-space: pre-wrap; overflow-wrap: anywhere; }
bdi.mono { font: 0.85em/1.45 ui-monospace, monospace; }
.when { white-space: nowrap; }
.more { color: var(--soft); white-space: nowrap; }
.heat td { text-align: right; padding: 0.25rem 0.6rem; font-variant-numeric: tabular-nums;
  white-space: nowrap; border: 1px solid var(--paper); }
.heat tbody th { border-bottom-color: transparent; } .heat th.n { padding-right: 0.6rem; }
.heat td small { display: block; color: var(--ink); font-size: 0.78rem; }
.h1 { background: color-mix(in srgb, var(--c0) 8%, var(--paper)); }
.h2 { background: color-mix(in srgb, var(--c0) 16%, var(--paper)); }
.h3 { background: color-mix(in srgb, var(--c0) 24%, var(--paper)); }
.h4 { background: color-mix(in srgb, var(--c0) 32%, var(--paper)); }
.h5 { background: color-mix(in srgb, var(--c0) 42%, var(--paper)); }
.pair { display: grid; gap: 0 2rem; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%),
  1fr)); align-items: start; } .pair > div { min-width: 0; }
.edges { display: grid; gap: 1.2rem 2.5rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); }
.edges > div { min-width: 0; } .edges h4 { margin-top: 0;
  font-size: 0.88rem; } .edges table { font-size: 0.82rem; }
svg.small { vertical-align: middle; } ul.small { max-width: 52rem; }
figure { margin: 0.8rem 0; } figcaption { color: var(--soft); font-size: 0.9rem;
  max-width: 52rem; }
.drawn { overflow-x: auto; } .drawn svg { display: block; width: 100%; height: auto; }
.drawn svg * { stroke-linejoin: round; stroke-linecap: butt; }
.drawn text { font-family: system-ui, sans-serif; unicode-bidi: isolate;
  font-variant-numeric: tabular-nums; }
@media (max-width: 62rem) { .page { display: block; } nav.side { display: none; }
  main { padding: 1rem 1rem 3rem; } details.contents { display: block; }
  details.contents nav { padding: 0.4rem 0; } details.contents a { padding: 0.35rem 0.5rem; } }
@media print { .page { display: block; } nav, details.contents { display: none !important; }
  main { padding: 0; } .drawn, .scroll { overflow: visible; }
  .drawn svg { min-width: 0 !important; }
  figure, tr { break-inside: avoid; } h2, h3, h4 { break-after: avoid; }
  table { font-size: 0.66rem; } th, td { padding-right: 0.5rem; overflow-wrap: anywhere; }
  thead th, .when { white-space: normal; } details pre { max-height: none; } }
"""
