"""What the machine gives: accounts, files, locks, memory, signals, units."""
