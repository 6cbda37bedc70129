"""What is measured: one family of taggers a file.

A tagger is a frozen struct that derives from `dolma_kit.registry.Tagger`, with an `id` that never
changes its meaning; its fields are its settings. To add one, add a class here and its test; its
module must import no heavy library at the top, as listing the taggers imports it.
"""
