"""What data sets have in common: their interface, data in memory, files read ahead, and downloads."""
