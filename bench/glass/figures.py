"""From stamps to figures: joins sightings with the frame logs of sender and player."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from thinair.bench.harness.xvfb_screen import Sighting

_TIME_MASK = 0xFFFF_FFFF  # the code carries this much of the capture time


@dataclass(frozen=True, slots=True)
class SentFrame:
    """One row of the sender's frame log, local microseconds."""

    frame_id: int
    capture_us: int
    encode_in_us: int | None  # None: not encoded (floor)
    encode_out_us: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """ms, one value per frame of the window that was seen on the screen."""

    sent: int
    screen_ms: list[float]
    encode_ms: list[float]
    receive_ms: list[float]
    difference_ms: list[float]  # screen latency minus in-band capture_to_present, where there is one


def pooled(rounds: Sequence[Figures]) -> Figures:
    """All pictures of several rounds."""
    return Figures(
        sum(one.sent for one in rounds),
        [value for one in rounds for value in one.screen_ms],
        [value for one in rounds for value in one.encode_ms],
        [value for one in rounds for value in one.receive_ms],
        [value for one in rounds for value in one.difference_ms],
    )


def sent_frames(rows: Iterable[Mapping[str, int]]) -> list[SentFrame]:
    """Leaves out rows without frame_id or capture_us: such a picture was never sent."""
    return [
        SentFrame(row["frame_id"], row["capture_us"], row.get("encode_in_us") or None, row.get("encode_out_us") or None)
        for row in rows
        if row.get("capture_us") and "frame_id" in row
    ]


def join(
    sent: Sequence[SentFrame],
    sightings: Iterable[Sighting],
    in_band_us: Mapping[int, int],
    window_us: tuple[int, int],
) -> Figures:
    """Figures of the frames captured within the window. The time in the code is the capture stamp of the log.

    `in_band_us`: the player's own latency by frame id."""
    frames = [frame for frame in sent if window_us[0] <= frame.capture_us < window_us[1]]
    seen: dict[int, int] = {}
    for sighting in sightings:
        seen.setdefault(sighting.code.time_us, sighting.seen_us)
    figures = Figures(len(frames), [], [], [], [])
    for frame in frames:
        seen_us = seen.get(frame.capture_us & _TIME_MASK)
        if seen_us is None:
            continue
        screen_us = seen_us - frame.capture_us
        figures.screen_ms.append(screen_us / 1000)
        if frame.encode_in_us is not None and frame.encode_out_us is not None:
            encode_us = frame.encode_out_us - frame.encode_in_us
            figures.encode_ms.append(encode_us / 1000)
            figures.receive_ms.append((screen_us - encode_us) / 1000)
        if frame.frame_id in in_band_us:
            figures.difference_ms.append((screen_us - in_band_us[frame.frame_id]) / 1000)
    return figures
