"""Prints the V4L2 node that bears a name, such as vivid-000-vid-cap. argv: NAME"""

import sys
from pathlib import Path

for node in sorted(Path("/sys/class/video4linux").iterdir()):
    if sys.argv[1] in (node / "name").read_text():
        print(f"/dev/{node.name}")
        break
else:
    names = [(node / "name").read_text().strip() for node in Path("/sys/class/video4linux").iterdir()]
    sys.exit(f"no V4L2 node called {sys.argv[1]}; there are {names}")
