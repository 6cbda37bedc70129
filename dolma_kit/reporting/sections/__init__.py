"""Sections of the page, one family a module: a report in, HTML out."""
