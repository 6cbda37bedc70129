"""In which shares the streams of a mix are taken: budgets, weights, curves over quality.

`surveying` measures what the rules leave of each stream, `solving` finds the rates that give what
was asked for, `sampling` applies them, `composition` says what came of it.
"""
