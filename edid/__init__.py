"""EDIDs and the video timings in them: parse, check, fix, build, explain. Standard library only. Nothing is loaded
from here, since a sender needs the timings and a ready EDID alone."""

if __name__ != "thinair.edid":
    raise ImportError("import thinair.edid: the folder edid/ is a part of the package thinair")
