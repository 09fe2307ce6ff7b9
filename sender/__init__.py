"""The camera's end: from pixels to packets."""

if __name__ != "thinair.sender":
    raise ImportError("import thinair.sender: the folder sender/ is a part of the package thinair")
