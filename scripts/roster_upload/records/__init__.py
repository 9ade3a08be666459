"""What is kept of deliveries: receipts, the ledger, packages, nights."""
