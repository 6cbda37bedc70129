"""Figures, one kind a module: numbers in, SVG for a page out."""
