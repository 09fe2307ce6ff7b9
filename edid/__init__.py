"""EDIDs and the video timings in them: parse, check, mend, build, explain. Standard library only. Nothing is loaded
from here, since a sender needs the timings and a ready EDID alone."""
