"""thinair: a camera's picture on a producer's screen, with measured latency for every frame."""

__version__ = "0.1.0"
DISTRIBUTION = "thinair-video"  # its name for pip; `thinair` on PyPI is another project
