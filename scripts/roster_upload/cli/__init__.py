"""The command line: what you type, and what you see."""
