"""What to search: one runnable study per file, and what runs it."""
