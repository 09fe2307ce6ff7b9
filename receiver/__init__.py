"""The producer's end: from packets to pixels."""

if __name__ != "thinair.receiver":
    raise ImportError("import thinair.receiver: the folder receiver/ is a part of the package thinair")
