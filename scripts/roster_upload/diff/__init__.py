"""Removed, added and changed people between two packages, shown only on root's terminal."""
