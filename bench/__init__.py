"""Measurement: `thinair bench NAME`."""

if __name__ != "thinair.bench":
    raise ImportError("import thinair.bench: the folder bench/ is a part of the package thinair")
