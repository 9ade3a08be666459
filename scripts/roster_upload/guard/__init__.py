"""Compare an export with the last accepted one, and hold it if it would remove too much."""
