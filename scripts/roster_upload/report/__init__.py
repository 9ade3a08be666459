"""The report of a host for its control node: the machine, and each feed's receipts in brief."""
