"""A corpus and its runs as one page: what was made of what, what it holds, and what a run saw."""
