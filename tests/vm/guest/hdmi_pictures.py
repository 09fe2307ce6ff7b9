"""The HDMI source on vivid, item by item, while the camera does things; prints lines of JSON. argv: NODE"""

import json
import sys
from typing import Any

from thinair.link.native import V4L2Device
from thinair.sender.picture import NewMode, NoPicture, Picture
from thinair.sender.sources import open_source

# drivers/media/test-drivers/vivid/vivid-ctrls.c
OSD_TEXT, SIGNAL, TIMINGS = 0x00F0F001, 0x00F0F03E, 0x00F0F03F
CURRENT, NO_LOCK, SELECTED = 0, 2, 4  # of SIGNAL
VGA = 0  # of TIMINGS: 640x480p59
ITEMS = 150  # the most that an act may take

node = sys.argv[1]
device = V4L2Device(node)
source = open_source(f"hdmi:{node}")


def said(item: object) -> Any:
    if isinstance(item, NewMode):
        return ["mode", str(item.mode), item.colour.bt709, item.colour.full_range]
    if isinstance(item, NoPicture):
        return ["state", item.state.code.name]
    assert isinstance(item, Picture)
    return ["picture", item.frame.width, item.frame.height, item.seq, 0 < item.capture_us <= item.dequeue_us]


def act(name: str, pictures: int, *, until_state: str = "") -> None:
    """Takes items until there were so many pictures in a row, or the state; prints what came, pictures counted."""
    items: list[Any] = []
    row = 0
    for _ in range(ITEMS):
        item = said(source.next())
        row = row + 1 if item[0] == "picture" else 0
        items.append(item)
        if (row and row == pictures) or item == ["state", until_state]:
            break
    print(json.dumps([name, items]))


def sample(plane: Any, across: float, down: float) -> int:
    """Of a plane (av), by parts of its width and height."""
    return int(memoryview(plane)[int(down * plane.height) * plane.line_size + int(across * plane.width)])


device.set_control(OSD_TEXT, 2)
act("start", 5)
picture = source.next()
while not isinstance(picture, Picture):
    picture = source.next()
bars = [[sample(plane, (2 * bar + 1) / 16, 1 / 3) for plane in picture.frame.planes] for bar in range(8)]
print(json.dumps(["bars", bars]))
device.set_control(SIGNAL, NO_LOCK)
act("lost", 0, until_state="NO_SYNC")
device.set_control(SIGNAL, CURRENT)
act("back", 5)
device.set_control(TIMINGS, VGA)
device.set_control(SIGNAL, SELECTED)
act("smaller", 5)
source.close()
