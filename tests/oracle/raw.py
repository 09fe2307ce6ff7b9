"""Raw pictures to I420, the slow way: pixel by pixel, to compare the C core with."""


def to_i420(
    data: bytes, fourcc: str, stride: int, width: int, height: int
) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Lines of Y, U, V (Linux media uAPI: UYVY, YUYV, NV12 with its chroma at stride * height)."""

    def luma(x: int, y: int) -> int:
        return data[y * stride + {"UYVY": 2 * x + 1, "YUYV": 2 * x, "NV12": x}[fourcc]]

    def chroma(x: int, y: int, which: int) -> int:
        if fourcc == "NV12":
            return data[(height + y) * stride + 2 * x + which]
        offset = 4 * x + 2 * which + (0 if fourcc == "UYVY" else 1)
        above, below = data[2 * y * stride + offset], data[min(2 * y + 1, height - 1) * stride + offset]
        return (above + below + 1) // 2

    columns, lines = (width + 1) // 2, (height + 1) // 2
    planes = [[bytes(chroma(x, y, which) for x in range(columns)) for y in range(lines)] for which in (0, 1)]
    return [bytes(luma(x, y) for x in range(width)) for y in range(height)], planes[0], planes[1]
