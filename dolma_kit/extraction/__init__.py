"""From what one downloads to documents: one reader a kind of source, one stage for all of them."""
