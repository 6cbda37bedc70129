"""Data order: which instances and documents a training step saw, and when a document was seen.

Four layers, each a file that knows only the ones before it:

    paths         path table      path, bytes, dtype
    instances     instance table  offsets; the remainder of each file is dropped
    permutation   position <-> instance, one shuffle an epoch
    schedule      step <-> positions

Only the first looks at files. `description` reads run.yaml, `tokens_json` what tokenizing has
recorded, `documents` maps tokens to documents, `run` joins all of it, `answers` holds the JSON of
`trace`, and `export` writes the order file that OLMo reads. Importing this package imports none
of them: `from dolma_kit.order.run import open_run`.
"""
