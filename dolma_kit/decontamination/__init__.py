"""Decontamination: which documents hold items of an evaluation, by the rules that are in use.

`items` reads evaluations, `rules` has what each rule asks and with which parameters, `stage` runs
any of them over the documents at once.
"""
