"""thinair: a camera's picture on a producer's screen, and how late it is."""

__version__ = "0.1.0"
