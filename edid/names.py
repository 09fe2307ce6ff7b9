"""What the parts of an EDID are called."""

from __future__ import annotations

from thinair.edid.cta import OUI_HDMI, OUI_HDMI_FORUM, DataBlock

EXTENSIONS = {
    0x02: "CTA-861",
    0x10: "video timing block",
    0x40: "display information",
    0x50: "localized strings",
    0x60: "digital packet video link",
    0x70: "DisplayID",
    0xF0: "block map",
    0xFF: "vendor's own block",
}
_BLOCKS = {
    1: "audio block",
    2: "video block",
    3: "vendor block",
    4: "speaker block",
    5: "display transfer block",
    6: "video format block",
}
_EXTENDED = {
    0: "video capability block",
    1: "vendor video block",
    2: "display device block",
    5: "colorimetry block",
    6: "HDR static block",
    7: "HDR dynamic block",
    8: "native resolution block",
    13: "video format preference block",
    14: "4:2:0 video block",
    15: "4:2:0 capability map",
    17: "vendor audio block",
    18: "HDMI audio block",
    19: "room block",
    20: "speaker location block",
    32: "InfoFrame block",
    34: "DisplayID timing block VII",
    35: "DisplayID timing block VIII",
    42: "DisplayID timing block X",
    0x78: "HDMI Forum extension count",
    0x79: "HDMI Forum capability block",
}
_VENDORS = {OUI_HDMI: "HDMI vendor block", OUI_HDMI_FORUM: "HDMI Forum vendor block"}


def block_name(block: DataBlock) -> str:
    """Of a data block, by tag, extended tag or vendor."""
    if block.oui is not None:
        return _VENDORS.get(block.oui, f"vendor block of {block.oui:06X}")
    if block.extended is not None:
        return _EXTENDED.get(block.extended, f"extended block {block.extended}")
    return _BLOCKS.get(block.tag, f"block of tag {block.tag}")
