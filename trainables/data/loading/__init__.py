"""What data sets share: sources, images and streams in memory, files read ahead, downloads."""
