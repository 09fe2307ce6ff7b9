"""Plays the camera on the pretended TC358743: a cable, TMDS, sync, a picture's size, each through the chip's registers.

argv: plug|unplug|no-signal|no-sync, or mode WIDTH HEIGHT TOTAL_WIDTH TOTAL_HEIGHT FPS [interlaced], or show.
Registers: drivers/media/i2c/tc358743_regs.h."""

from __future__ import annotations

import os
import sys

SYS_INT, CLK_INT, MISC_INT = 0x8502, 0x8503, 0x850B
DDC, IN_DE_CHANGED, SYNC_CHANGED = 0x01, 0x01, 0x02  # bits of those three
SYS_STATUS = 0x8520
SYNC, HDMI, SCDT, PLL, TMDS, DDC5V = 0x80, 0x10, 0x08, 0x04, 0x02, 0x01
VI_STATUS1, INTERLACED = 0x8522, 0x01
DE_WIDTH, DE_HEIGHT, H_SIZE, V_SIZE, FV_CNT = 0x8582, 0x8588, 0x858A, 0x858C, 0x85A1
HPD_CTL, EDID_LENGTH, EDID_RAM = 0x8544, 0x85CA, 0x8C00


class Camera:
    def __init__(self) -> None:
        self._chip = os.open("/dev/pretended-tc358743", os.O_RDWR | os.O_CLOEXEC)

    def read(self, register: int, count: int = 1) -> bytes:
        return os.pread(self._chip, count, register)

    def write(self, register: int, *values: int) -> None:
        os.pwrite(self._chip, bytes(values), register)

    def write16(self, register: int, value: int) -> None:
        self.write(register, value & 0xFF, value >> 8)

    def plug(self) -> None:
        """+5 V, and nothing sent yet."""
        self.write(SYS_STATUS, DDC5V)
        self.write(SYS_INT, DDC)

    def unplug(self) -> None:
        self.write(SYS_STATUS, 0)
        self.write(MISC_INT, SYNC_CHANGED)
        self.write(SYS_INT, DDC)

    def no_signal(self) -> None:
        self.write(SYS_STATUS, DDC5V)
        self.write(MISC_INT, SYNC_CHANGED)

    def no_sync(self) -> None:
        self.write(SYS_STATUS, DDC5V | TMDS | PLL | HDMI)
        self.write(MISC_INT, SYNC_CHANGED)

    def mode(
        self, width: int, height: int, total_width: int, total_height: int, fps: int, *, interlaced: bool = False
    ) -> None:
        """Sizes of one field where interlaced; `fps` in fields then."""
        for register, value in (
            (DE_WIDTH, width),
            (DE_HEIGHT, height),
            (H_SIZE, total_width),
            (V_SIZE, total_height * 2),  # in half lines
            (FV_CNT, round(10_000 / fps)),  # in 0.1 ms
        ):
            self.write16(register, value)
        self.write(VI_STATUS1, INTERLACED if interlaced else 0)
        self.write(SYS_STATUS, SYNC | HDMI | SCDT | PLL | TMDS | DDC5V)
        self.write(CLK_INT, IN_DE_CHANGED)
        self.write(MISC_INT, SYNC_CHANGED)

    @property
    def hotplug(self) -> bool:
        return bool(self.read(HPD_CTL)[0] & 1)

    @property
    def edid(self) -> bytes:
        """As the camera would read it over DDC."""
        return self.read(EDID_RAM, int.from_bytes(self.read(EDID_LENGTH, 2), "little"))


if __name__ == "__main__":
    camera = Camera()
    match sys.argv[1]:
        case "plug":
            camera.plug()
        case "unplug":
            camera.unplug()
        case "no-signal":
            camera.no_signal()
        case "no-sync":
            camera.no_sync()
        case "mode":
            camera.mode(*(int(word) for word in sys.argv[2:7]), interlaced=sys.argv[7:] == ["interlaced"])
        case "show":
            print("hotplug", int(camera.hotplug))
            print("edid", camera.edid.hex())
        case other:
            sys.exit(f"{other}: unknown")
