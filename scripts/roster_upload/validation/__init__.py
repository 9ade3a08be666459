"""Validation: a package against the rules of its format, which are data in `spec/`."""
