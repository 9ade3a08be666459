"""The pipeline of one delivery, and the checks of a feed before it."""
