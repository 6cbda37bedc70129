"""Tokens: documents encoded to ids, in files that trainers map into memory.

    tokenizer_file   which tokenizer.json, its sha256, its ids, the dtype that holds them
    encoder          texts -> ids, by the fastest library that gives the ids of `tokenizers`
    self_check       the texts by which that is found out
    counting         how many tokens texts have, for taggers
    store            the files: part-00000.npy and what stands beside it
    stage            `tokenize`: the plan that makes them

Importing this package imports none of them: `from dolma_kit.tokens.stage import tokenize`.
"""
