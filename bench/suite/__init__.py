"""The pytest-benchmark suite: `make bench`. Every hot piece by itself, its times, its allocations, its instructions."""
