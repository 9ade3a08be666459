"""The watch: status.yml after the deadline, and alerts for red feeds and silent hosts."""
