"""Check the English of documents, docstrings, comments, descriptions and messages."""
