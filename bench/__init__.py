"""Benchmarks and the chaos run: `make bench`, `make bench-switch`, `make chaos`."""
