"""N-gram language models with backoff: read from ARPA and KenLM files, asked, trained.

`models.load(path)` gives a model, `training.train(...)` makes one. Files are ARPA's (Doug Paul's,
as SRILM and KenLM write it) or KenLM's binary form of the kind "probing".
"""
