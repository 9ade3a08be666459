"""The stored records of deliveries: receipts, the ledger, packages and nights."""
