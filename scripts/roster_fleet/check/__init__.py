"""Check an inventory as it is written: readable files, known names, meant values, own places."""
