"""What is kept, and in which form: one policy a file.

A policy is a frozen struct that derives from `dolma_kit.registry.Mixer`, with an `id` that never
changes its meaning; its fields are its settings. To add one, add a file here and its test.
"""
