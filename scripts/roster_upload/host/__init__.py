"""The machine: accounts, files, locks, memory, signals, units."""
