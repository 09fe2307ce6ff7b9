"""Changes what vivid's HDMI input receives, as a camera would. argv: NODE WHAT, where WHAT is no-signal, no-lock,
out-of-range, signal (of the mode chosen), or the number of a mode in vivid's menu `dv_timings` (0: 640x480p59, 2:
720x480p59, 9: 1280x720p60), which the next `signal` has, or at once where there is one.

Prints the µs of the guest's CLOCK_MONOTONIC before which the driver's event was not there. Fails where none comes."""

from __future__ import annotations

import select
import sys

from thinair.link.native import V4L2_EVENT_SOURCE_CHANGE, V4L2Device, now_us

# drivers/media/test-drivers/vivid/vivid-ctrls.c
SIGNAL_MODE, TIMINGS = 0x00F0F03E, 0x00F0F03F
SIGNALS = {"no-signal": 1, "no-lock": 2, "out-of-range": 3, "signal": 4}
EVENT_MS = 5000

device = V4L2Device(sys.argv[1])
device.subscribe(V4L2_EVENT_SOURCE_CHANGE)
while device.event() is not None:
    pass
what = sys.argv[2]
control = (SIGNAL_MODE, SIGNALS[what]) if what in SIGNALS else (TIMINGS, int(what))
before_us = now_us()
device.set_control(*control)
poll = select.poll()
poll.register(device.fileno(), select.POLLPRI)
if not poll.poll(EVENT_MS):
    sys.exit("no event came")
print(before_us)
