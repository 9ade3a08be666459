"""The pipeline of one delivery, and the checks that it would work."""
