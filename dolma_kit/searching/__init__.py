"""Search: exact n-grams by suffix arrays of tokens, full text, and what of a text a corpus holds.

No server: an index is files beside the tokens, mapped when a question is asked.
"""
