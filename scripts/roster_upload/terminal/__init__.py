"""Text for terminals, journals and pipes."""
