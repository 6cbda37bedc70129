"""De-duplication: which documents or paragraphs occur before, in canonical order.

`stage` runs it, `keys` says what is compared, `bloom` sizes the filter that remembers.
"""
