"""Which distribution brings a Python package that is missing, and the line that installs it.

Debian 12 has none of these in the versions needed but jeepney, and a virtual environment does not see Debian's: no line
names apt.
"""

from __future__ import annotations

import os
import sys

# What `import NAME` needs, as in pyproject.toml.
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "PIL": ("pillow>=11",),
    "aiohttp": ("aiohttp>=3.11",),
    "aiortc": ("aiortc>=1.14",),
    "av": ("av>=18,<19",),
    "ifaddr": ("zeroconf>=0.140",),
    "jeepney": ("jeepney>=0.8",),
    "matplotlib": ("matplotlib>=3.9",),
    "numpy": ("numpy>=2",),
    "playwright": ("playwright>=1.49",),
    "prometheus_client": ("prometheus_client>=0.21",),
    "sdl2": ("pysdl2>=0.9.17", "pysdl2-dll>=2.30"),
    "shtab": ("shtab>=1.7",),
    "zeroconf": ("zeroconf>=0.140",),
}


def install_line(module: str) -> str:
    """The shell command that installs what brings `module`, such as `pip install 'aiohttp>=3.11'`. An environment that
    is not activated is named by its own pip. Raises KeyError for a module that is not in REQUIREMENTS."""
    wanted = " ".join(f"'{requirement}'" for requirement in REQUIREMENTS[module.partition(".")[0]])
    own = sys.prefix != sys.base_prefix and os.environ.get("VIRTUAL_ENV") != sys.prefix
    return f"{sys.prefix}/bin/pip install {wanted}" if own else f"pip install {wanted}"
