"""The operator's own folder: inventories, keys and outputs, outside of the checkout."""
