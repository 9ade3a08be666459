"""The guard: what is remembered of an accepted package, and the comparison with it."""
