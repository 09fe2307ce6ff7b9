"""`python -m thinair.bench.armv6`, the same as `thinair bench armv6`."""

import sys

from thinair.cli import main

sys.exit(main(["bench", "armv6", *sys.argv[1:]]))
