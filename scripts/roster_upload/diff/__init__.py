"""Comparisons of packages: whom one removes, adds and changes, and what the guard says."""
