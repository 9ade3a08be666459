"""The status of every feed: rows, the table, the page, and the last reports of all hosts."""
