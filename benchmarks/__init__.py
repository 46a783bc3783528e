"""Benchmarks: ratios of speed, measured side by side in one run; each module answers one question."""
