import sys

from thinair.cli import main

sys.exit(main())
