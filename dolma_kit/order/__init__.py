"""Data order: which instances and documents a training step saw, and when a document was seen.

Four layers, each a file that knows only the ones before it:

    paths         path table      path, bytes, dtype
    instances     instance table  what an instance is made of (also `packing`, `megatron`)
    permutation   position <-> instance, one an epoch (also `stored`; `kinds` chooses)
    schedule      step <-> positions, in segments

Only the first looks at files, and `remote` reads ranges of them wherever they lie. `views` are the
second and third layer at one sequence length. `description` reads run.yaml, `tokens_json` what
tokenizing has recorded, `documents` maps tokens to documents, `finding` finds those of an id, and
`removal` says why there are none; `repetitions` is the instance filter. `run` joins all of it,
`steps` are what one step saw, `answers` holds the JSON of `trace`, `fingerprint` is a run in 64
characters, `step_trace` what a training run notes of its steps, `export` writes the order file that
OLMo reads. `asking` are further questions, `importing` reads other programs' runs. Importing this
package imports none of them: `from dolma_kit.order.run import open_run`.
"""
