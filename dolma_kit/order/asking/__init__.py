"""Questions to a run beyond those of one step and one document, a file each.

phrases    when was this text seen
exposure   what has a run seen by a step, by source
planning   which bytes does a step need
comparing  where do two runs differ
verifying  is a recorded order that of this run, and if not, why likely
page       a step, as a page for eyes
"""
