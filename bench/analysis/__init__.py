"""Runs as data: read, summed up, compared."""
