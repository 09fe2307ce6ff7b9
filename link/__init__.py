"""What both ends share."""

if __name__ != "thinair.link":
    raise ImportError("import thinair.link: the folder link/ is a part of the package thinair")
