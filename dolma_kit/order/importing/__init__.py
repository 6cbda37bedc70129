"""Runs of other programs as a run.yaml: `trace import`.

writing        what an import asks for, which importer takes it, and the two files it writes
olmo           OLMo's config.yaml, with the train.pt beside it
olmo_core      an OLMo-core checkpoint: config.json, data_paths.txt, train/rank0.pt
mixes          a list of `label,path`, as OLMo-core's data mixes are
indices        an order file, Pythia's .idx, Megatron's cached indices
mixture        which part of which file an OLMo-core source mixture takes
train_state    a state that torch has pickled, read without running anything of it
revisions      what the names of checkpoints say of steps and tokens
"""
