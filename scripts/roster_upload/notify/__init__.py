"""Notify people: events, the channels that carry them, and metrics."""
