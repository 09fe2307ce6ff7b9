"""thinair: a camera's picture on a producer's screen, and how late it is."""

__version__ = "0.1.0"
DISTRIBUTION = "thinair-video"  # its name for pip; `thinair` on PyPI is another project
