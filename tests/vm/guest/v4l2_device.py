"""Puts questions to a V4L2Device in the guest. argv: NODE EXPRESSION..., where `d` is the device; prints each value's
repr, or the name of the errno it raised."""

import errno
import sys
from typing import Any

from link.native import V4L2Device

device = V4L2Device(sys.argv[1])
names: dict[str, Any] = {"d": device}
for expression in sys.argv[2:]:
    try:
        print(repr(eval(expression, names)))
    except OSError as error:
        print(errno.errorcode[error.errno or 0])
    except ValueError as error:
        print(error)
