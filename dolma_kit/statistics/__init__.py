"""Statistics of a corpus: what its documents are, in one pass, with errors stated.

A *statistic* measures batches of documents; what it found of a file is a *partial*, a small table
on disk, and partials add up. So a corpus that has grown is measured where it is new, several
statistics share one reading of each file, and corpora are compared by what is saved of them.
`dolma-kit stats` asks; `sql` asks what no statistic has.
"""
