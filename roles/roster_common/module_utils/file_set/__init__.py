"""The parts of the module `file_set`."""
