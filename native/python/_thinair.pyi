"""The C extension: packets, access units and pixels. Everything else imports it through link/native.py."""

from collections.abc import Sequence
from typing import Any, TypedDict, final

from typing_extensions import Buffer

# ---- core -------------------------------------------------------------------------------------------------
DROP_REASONS: tuple[str, ...]
AU_KEY: int
AU_GAP: int
AU_SPS: int
MAX_PACKET: int
MAX_LINK_PACKET: int
READY: int
READY_KEY: int
SKIP: int
MIN_PACKET: int

class BitstreamError(ValueError): ...

def split_nals(data: Buffer) -> list[tuple[int, int]]:
    """(offset, size) of each NAL unit of an Annex B buffer; offset is that of the NAL header byte."""

def parse_sps(nal: Buffer) -> dict[str, int]:
    """Fields of `ta_sps` by name. Raises BitstreamError."""

def parse_pps(nal: Buffer) -> dict[str, int]: ...
def rewrite_sps(nal: Buffer) -> bytes:
    """See ta_sps_rewrite. Raises BitstreamError."""

def slice_first_mb(nal: Buffer) -> int: ...
def rewrite_au(au: Buffer) -> Buffer:
    """Every SPS in the unit rewritten; `au` itself where none changes."""

@final
class AccessUnit:
    """One coded picture, Annex B. Its bytes are read through the buffer protocol and live as long as the object."""

    frame_id: int
    rtp_time: int
    size: int
    key: bool
    gap: bool
    sps: bool
    lost_before: int
    first_seq: int
    packets: int
    first_us: int
    last_us: int
    unrepaired_us: int  # arrival of the last packet that was sent unasked; last_us where none was asked for
    repaired: bool  # packets were restored from repair symbols
    taken_us: int  # when Rx.wait handed it over, local clock; 0 from Reassembler and AnnexbStream
    capture_us: int  # peer's clock, 0 = unknown; so are the next three
    dequeue_us: int
    encode_in_us: int
    encode_out_us: int
    capture_ntp: int
    # (low 16 bits of an earlier frame's id, first send, last send: µs after its capture)
    sent: tuple[int, int | None, int | None] | None
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Packetizer:
    def __init__(
        self,
        *,
        payload_type: int = 96,
        ssrc: int = 0,
        first_seq: int = 0,
        max_packet: int = 1400,
        elements: bool = True,
    ) -> None: ...
    def packetize(
        self,
        au: Buffer,
        *,
        frame_id: int,
        rtp_time: int,
        key: bool = False,
        capture_us: int = 0,
        dequeue_us: int = 0,
        encode_in_us: int = 0,
        encode_out_us: int = 0,
        capture_ntp: int = 0,
        sent: tuple[int, int, int, int] | None = None,
    ) -> list[bytes]:
        """`sent` is (frame id, capture_us, first_send_us, last_send_us). Raises BitstreamError, ValueError."""

@final
class FrameReport:
    """One frame: what came of its media packets and of the symbols sent unasked, what was asked for. Arrivals in µs."""

    frame_id: int
    key: bool
    complete: bool  # else given up, or not decided yet
    repaired: bool
    unseen: bool  # nothing of it came before it was asked for
    packets: int  # 0: not known
    received: int  # media packets, by themselves
    longest_run: int  # of media packets that did not
    proactive: int
    proactive_received: int
    on_demand: int
    on_demand_received: int
    rounds: int
    reached: int  # packets and unasked symbols up to the last that came, in the order sent
    bytes: int  # of those that came
    gap_us: int  # longest pause between two that came, in the order sent
    first_us: int
    newest_us: int  # arrival of the last that was sent unasked
    done_us: int  # 0: not decided
    peer_us: int  # encoder out, else capture, on the sender's clock; 0: unknown

@final
class Reassembler:
    def __init__(
        self,
        *,
        payload_type: int = 96,
        elements: bool = True,
        window_frames: int = 8,
        reorder_us: int = 4000,
        max_au: int = 2097152,
        repair_timeout_us: int = 0,
    ) -> None:
        """`repair_timeout_us`: lost packets are repaired and asked for this long after a frame's first packet; 0: never."""
    def push(self, datagram: Buffer, arrival_us: int) -> None: ...
    def next(self, now_us: int) -> AccessUnit | None: ...
    def deadline(self) -> int | None: ...
    def reset(self) -> None: ...
    def peer(self, own_ssrc: int, cookie: int) -> None:
        """Whom requests are written for; cookie 0: nobody is asked."""
    def timing(self, interval_us: int, rtt_us: int, queue_us: int) -> None:
        """The sender's frame interval, a round trip to begin with (0: as they are), what waits in queues now."""
    def request(self, now_us: int) -> bytes | None:
        """The REPAIR datagram that is due; to be called after each push and at each deadline until it gives None."""
    def frames(self) -> tuple[list[FrameReport], FrameReport | None, int, int, int]:
        """Frames decided since the last call, the newest one as it stands, its id (32 bits), TARGET's outcomes, how
        long an answer to a request takes in µs (0: unknown)."""
    def recovery(self) -> dict[str, int]:
        """symbols, surplus, restored, frames_repaired, requests, on_demand, on_demand_received, rtt_us, reorder_window_us, spacing_us."""
    def drops(self) -> dict[str, int]: ...
    def push_many(self, datagrams: Sequence[bytes], arrival_us: int) -> int:
        """Bench helper without Python per packet: pushes all, takes every unit, returns how many there were."""

@final
class AnnexbStream:
    def __init__(self, *, max_au: int = 2097152, quiet_us: int = 4000) -> None: ...
    def push(self, datagram: Buffer, arrival_us: int) -> None: ...
    def next(self, now_us: int) -> AccessUnit | None: ...
    def deadline(self) -> int | None: ...
    def drops(self) -> dict[str, int]: ...

# ---- repair -------------------------------------------------------------------------------------------------
@final
class SendQueue:
    """Access units in, datagrams out (native/include/thinair/outbox.h): media, repair symbols, answers to requests.
    Raises ValueError where a packet is too large for a symbol to fit a datagram."""

    def __init__(
        self,
        *,
        ssrc: int,
        payload_type: int = 96,
        first_seq: int = 0,
        max_packet: int = 1400,
        pace_group: int = 5,
        pace_us: int = 0,
        interval_us: int = 0,
    ) -> None: ...
    def set_cookie(self, cookie: int, /) -> None: ...
    def reset(self) -> None: ...
    def ready(self, now_us: int, unsent: int = 0, /) -> int:
        """READY, READY_KEY or SKIP."""
    def push(
        self,
        au: Buffer,
        *,
        now_us: int,
        frame_id: int,
        rtp_time: int,
        key: bool = False,
        capture_us: int = 0,
        dequeue_us: int = 0,
        encode_in_us: int = 0,
        encode_out_us: int = 0,
        capture_ntp: int = 0,
    ) -> int:
        """Packets queued. Raises BitstreamError, ValueError where there is no room or a key frame is due."""
    def next(self, now_us: int, /) -> list[bytes]:
        """The datagrams that leave now."""
    def deadline(self) -> int | None: ...
    def control(self, datagram: Buffer, now_us: int, /) -> bool:
        """True: it held requests alone."""
    def stats(self) -> dict[str, int]: ...

@final
class Seal:
    """A session's packets sealed and opened at one end (native/include/thinair/seal.h). Without keys it refuses all."""

    ready: bool
    packets_sealed: int  # packets of the kind used most, sealed with the present key
    def install(self, own: Buffer, peer: Buffer, media_ssrc: int, *, limit: int = 0, after_peer: bool = False) -> None:
        """88 bytes of keys for each direction. Raises ValueError."""
    def forget(self) -> None: ...
    def seal_rtp(self, packet: Buffer, /) -> bytes:
        """Raises ValueError for what is no RTP of the session, BitstreamError where no key is left to seal it with."""
    def seal_rtcp(self, packet: Buffer, /) -> bytes: ...
    def unseal_rtp(self, packet: Buffer, arrival_us: int, /) -> tuple[bytes, bool] | str:
        """The packet, and whether none after it has come before; or why it was refused, a drop reason."""
    def unseal_rtcp(self, packet: Buffer, arrival_us: int, /) -> tuple[bytes, bool] | str: ...

@final
class RepairEncoder:
    """One block of sources after the other, and repair symbols of it (native/include/thinair/repair.h). Raises
    ValueError for sizes no block has."""

    def __init__(self, *, max_sources: int = 254, max_source: int = 1472) -> None: ...
    def reset(self) -> None:
        """Begins the next block."""
    def add(self, *sources: Buffer) -> None:
        """All or none. Raises BitstreamError where they do not fit."""
    def symbol(self, index: int, /) -> bytes:
        """Repair symbol 0..254 - k of the k sources added so far. Raises ValueError for another."""

@final
class RepairDecoder:
    """Raises ValueError for sizes no block has."""

    def __init__(self, *, max_sources: int = 254, max_source: int = 1472) -> None: ...
    wanted: int  # symbols still wanted before restore()
    def begin(self, sources: int, /) -> None:
        """A new block of so many sources. Raises ValueError."""
    def source(self, index: int, data: Buffer, /) -> bool:
        """False: held already, or not needed. Raises ValueError for its index, BitstreamError for its size."""
    def symbol(self, index: int, data: Buffer, /) -> bool:
        """The same for a repair symbol."""
    def restore(self, index: int, /) -> bytes | None:
        """A missing source; None: too few symbols. Raises ValueError where it is not missing, BitstreamError where the
        symbols are not of one block."""

# ---- io ---------------------------------------------------------------------------------------------------
def now_us() -> int:
    """CLOCK_MONOTONIC in microseconds."""

def sleep_until_us(when_us: int, spin_us: int = 0) -> None:
    """Sleeps without the GIL; the last spin_us are spun."""

def disable_core_dumps() -> str | None:
    """No core dump of this process from now on, nor a debugger of the same user (prctl(2), PR_SET_DUMPABLE). None, or
    why not."""

def map_large_blocks(on: bool, /) -> None:
    """Whether blocks of 128 KiB and more are mapped one by one and given back when they are freed (mallopt(3)): heaps
    come apart where an encoder's pictures are made among others. What comes and goes with each picture wants the
    heap."""

def realtime(priority: int) -> str | None:
    """Asks SCHED_FIFO for the calling thread; None when granted, else why not."""

@final
class Tx:
    """Sends access units; a C thread paces, answers clock probes and hands control datagrams to Python.

    mode: "thinair" (elements, session), "rtp" (plain RFC 6184), "annexb" (raw stream, AUD after each unit).
    Raises OSError where the socket cannot be had."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        mode: str = "thinair",
        ssrc: int = 0,
        payload_type: int = 96,
        max_packet: int = 1400,
        pace_group: int = 5,
        pace_us: int = 0,
        priority: int = 0,
        bind_port: int = 0,
        fixed_pace: bool = False,
        sealed: bool = False,
    ) -> None:
        """`fixed_pace`: pace_us holds whatever the receiver says. `sealed`: nothing leaves or is believed that is not
        sealed with installed keys. Host "": nobody yet."""
    eventfd: int  # readable when control() has something
    local_port: int
    notes: list[str]  # what the system refused (priority, DSCP, buffer), in words
    def push(
        self,
        au: Buffer,
        *,
        frame_id: int,
        rtp_time: int,
        key: bool = False,
        capture_us: int = 0,
        dequeue_us: int = 0,
        encode_in_us: int = 0,
        encode_out_us: int = 0,
        capture_ntp: int = 0,
    ) -> int:
        """Packetizes and sends (the first group before it returns). Returns the packet count; 0 while no media is
        allowed. Raises BitstreamError for bytes that are no access unit."""
    def ready(self) -> int:
        """Whether the next picture shall be encoded: READY, READY_KEY (as a key frame) or SKIP."""
    def allow_media(self, allowed: bool) -> None: ...
    def set_cookie(self, cookie: int, boot_id: int) -> None:
        """Probes that carry the cookie are answered with the boot id."""
    def send_control(self, datagram: Buffer, host: str = ..., port: int = ..., plain: bool = ..., /) -> bool:
        """To the peer, or to another address; `plain`: not sealed."""
    def install_keys(
        self, own: Buffer, peer: Buffer, media_ssrc: int, *, limit: int = 0, after_peer: bool = False
    ) -> None:
        """As Seal.install."""
    def forget_keys(self) -> None: ...
    def set_peer(self, host: str, port: int, /) -> None:
        """What leaves from now on goes there."""
    def new_peer(self) -> tuple[str, int] | None:
        """Where the newest sealed packet came from, if that is not the peer and was not told before."""
    def control(self) -> list[tuple[bytes, int]]:
        """(datagram, arrival µs), oldest first; empties the eventfd."""
    def sent(self) -> tuple[int, int, int] | None:
        """(frame id, first send µs, last send µs) of the frame that left last."""
    def stats(self) -> dict[str, int]:
        """send_errors, control_drops, probes, media_refused, and those of SendQueue."""
    def close(self) -> None: ...

@final
class Rx:
    """Receives on a UDP port; a C thread reassembles. mode: "thinair", "rtp" (plain), "annexb" (raw stream)."""

    def __init__(
        self,
        *,
        port: int,
        host: str = "",
        mode: str = "thinair",
        payload_type: int = 96,
        window_frames: int = 8,
        reorder_us: int = 4000,
        max_au: int = 2097152,
        quiet_us: int = 4000,
        slots: int = 8,
        priority: int = 0,
        receive_buffer: int = 4194304,
        repair_timeout_us: int = 0,
        sealed: bool = False,
        log_packets: bool = False,
    ) -> None:
        """`repair_timeout_us` as Reassembler's, `sealed` as Tx's; `log_packets` for packets()."""
    eventfd: int  # readable when control() has something, or a frame was given up
    local_port: int
    notes: list[str]
    def wait(self, timeout_us: int) -> AccessUnit | None:
        """Next access unit; waits without the GIL. One thread at a time."""
    def control(self) -> list[tuple[bytes, int, str, int]]:
        """(datagram, arrival µs, host, port), oldest first; empties the eventfd."""
    def send_control(self, datagram: Buffer, host: str, port: int) -> bool: ...
    def install_keys(
        self, own: Buffer, peer: Buffer, media_ssrc: int, *, limit: int = 0, after_peer: bool = False
    ) -> None:
        """As Seal.install."""
    def forget_keys(self) -> None: ...
    def invites(self) -> list[tuple[bytes, int, str, int]]:
        """Where all is to be sealed: senders that call in the clear. As control(), which empties the eventfd."""
    def accept(self, host: str, port: int, ssrc: int, own_ssrc: int = 0, cookie: int = 0) -> None:
        """From now on media only from this address and SSRC; frames of the peer before are forgotten. Repair requests
        go there with `own_ssrc` and `cookie`; cookie 0: none."""
    def timing(self, interval_us: int, rtt_us: int, queue_us: int) -> None:
        """As Reassembler.timing."""
    def frames(self) -> tuple[list[FrameReport], FrameReport | None, int, int, int]:
        """As Reassembler.frames."""
    def recovery(self) -> dict[str, int]:
        """As Reassembler.recovery."""
    def arrivals(self, limit: int) -> list[tuple[int, int]]:
        """(sequence number, arrival µs) of the newest `limit` media packets, oldest first."""
    def progress(self) -> tuple[int, int]:
        """(arrival µs of the newest media packet or 0, access units completed)."""
    def drops(self) -> dict[str, int]: ...
    def packets(self) -> bytes:
        """With `log_packets`: packets since the last call as records of a pcap file; b"" when there are no more."""
    def stats(self) -> dict[str, int]:
        """packets, bytes, frames, lost_frames, receive_buffer, kernel_drops, address_changes, packets_sealed, packets_not_logged."""
    def close(self) -> None: ...

# ---- capture ----------------------------------------------------------------------------------------------
class CaptureFormat(TypedDict):
    """As the driver granted it; numbers are those of linux/videodev2.h. For annotations only."""

    width: int
    height: int
    fourcc: str
    stride: int  # bytes from line to line
    size_image: int
    buffers: int
    colorspace: int
    ycbcr_enc: int
    quantization: int
    driver: str

@final
class CapturedPicture:
    """One picture in the driver's own buffer, read through the buffer protocol. release(), or its end, gives the buffer
    back to the driver. It stays readable after Capture.close()."""

    index: int  # of the buffer
    sequence: int  # the driver's
    skipped: int  # pictures lost or passed over since the one before
    corrupt: bool
    capture_us: int  # CLOCK_MONOTONIC, the frame's start
    dequeue_us: int
    def release(self) -> None:
        """Raises BufferError while a view of the picture lives."""
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Capture:
    """Pictures out of a V4L2 capture node, newest first. Width or height 0: as it stands. Raises OSError with a
    sentence where the device is missing, busy, no capture device, or refuses the format."""

    def __init__(
        self,
        *,
        device: str,
        fourcc: str,
        width: int = 0,
        height: int = 0,
        buffers: int = 4,
        rate: tuple[int, int] = (
            0,
            1,
        ),  # pictures per second, asked of a device that chooses; numerator 0: as it stands
    ) -> None: ...
    format: CaptureFormat
    def next(self, timeout_us: int, /) -> CapturedPicture | None:
        """The newest picture; older ones go straight back to the driver. Waits without the GIL; None after the timeout.
        Raises OSError where the device fails."""
    def stats(self) -> dict[str, int]:
        """captured, passed_over, gaps, corrupt, future_stamps, unstamped, queue_errors."""
    def fileno(self) -> int: ...
    def close(self) -> None:
        """The device is let go once the last picture is released."""

def raw_to_i420(
    data: Buffer,
    fourcc: str,
    stride: int,
    width: int,
    height: int,
    y: Buffer,
    u: Buffer,
    v: Buffer,
    y_stride: int,
    u_stride: int,
    v_stride: int,
    /,
) -> None:
    """UYVY, YUYV or NV12 (chroma at stride * height) into three writable planes, without the GIL. Raises ValueError."""

# ---- hardware encoders ---------------------------------------------------------------------------------------
@final
class HardwareEncoder:
    """kind: "m2m" (V4L2) or "mmal". `fourcc`, `coded`: V4L2's four characters; `rate`: (numerator, denominator);
    `key_interval` in pictures; `stride` 0: lines without gaps; QP 0: the encoder's own. Pictures are copied in. One
    thread. Raises OSError with a sentence where it is missing or refuses the format, ValueError for impossible
    numbers."""

    def __init__(
        self,
        *,
        kind: str,
        width: int,
        height: int,
        fourcc: str,
        rate: tuple[int, int],
        bitrate_bps: int,
        key_interval: int,
        stride: int = 0,
        device: str = "",
        coded: str = "H264",
        min_qp: int = 0,
        max_qp: int = 0,
        intra_refresh_mbs: int = 0,
        low_latency: bool = False,
    ) -> None: ...
    notes: list[str]  # what it lacks, in words
    def encode(self, picture: Buffer, capture_us: int, timeout_us: int, /) -> tuple[bytes, bool] | None:
        """(access unit, key) of the picture; None where the rate control left it out or what came cannot be decoded. A
        key frame has its parameter sets before it. Waits without the GIL. Raises OSError: broken, stuck, or
        ETIMEDOUT."""
    def request_key_frame(self) -> None: ...
    def set_bitrate(self, bitrate_bps: int, /) -> bool:
        """False where the encoder cannot."""
    def stats(self) -> dict[str, int]:
        """bytes_copied (of pictures), undecodable (units nobody could decode), late (units that came after their time)."""
    def close(self) -> None: ...

@final
class HardwarePipeline:
    """Capture, encoder and `tx` joined by a C thread, which sends nothing until allowed. Raises OSError with a
    sentence, its `filename` "capture" or "encoder" for the part that failed; ValueError for impossible numbers."""

    def __init__(
        self,
        *,
        tx: Tx,
        device: str,
        fourcc: str,
        kind: str,
        rate: tuple[int, int],
        bitrate_bps: int,
        key_interval: int,
        width: int = 0,
        height: int = 0,
        buffers: int = 4,
        dmabuf: bool = True,
        coded: str = "H264",
        min_qp: int = 0,
        max_qp: int = 0,
        priority: int = 0,
        first_frame_id: int = 0,
        ntp_offset: int = 0,
        stall_us: int = 0,
        intra_refresh_mbs: int = 0,
        low_latency: bool = False,
        encoder_device: str = "",
    ) -> None:
        """`ntp_offset`: UQ32.32 to add to CLOCK_MONOTONIC, 0: no absolute capture time. `stall_us` 0: two pictures."""
    eventfd: int  # readable at each change of state, and at key frames four times a second at most
    notes: list[str]
    size: tuple[int, int]  # as the capture granted it
    def allow(self, allowed: bool, /) -> None: ...
    def request_key_frame(self) -> None: ...
    def set_bitrate(self, bitrate_bps: int, /) -> None: ...
    def state(self) -> tuple[str, str, str]:
        """("starting" | "live" | "stalled" | "failed", reason, "" | "capture" | "encoder"); empties the eventfd. After
        "failed" both devices are closed."""
    def stats(self) -> dict[str, int]:
        """Members of ta_chain_stats by name."""
    def records(
        self,
    ) -> list[tuple[int, int, int, int, int, int, int, int, int, bool, tuple[int, int, int] | None]]:
        """Since the last call, oldest first: (frame id, driver's sequence, capture, dequeue, encode in, encode out in
        µs, bytes, packets, pictures skipped before, key, Tx.sent())."""
    def parameter_sets(self) -> bytes:
        """The encoder's parameter sets, Annex B; empty before its first key frame."""
    def thumbnail(self) -> tuple[int, int, bytes] | None:
        """(width, height, I420) of a small picture of those since the last call, once; None: one is asked for."""
    def stop(self) -> bool:
        """Ends the thread, which closes both devices. False: a device does not return from a call."""

# ---- present ----------------------------------------------------------------------------------------------
def i420_to_bgrx(
    y: Buffer,
    u: Buffer,
    v: Buffer,
    y_stride: int,
    u_stride: int,
    v_stride: int,
    width: int,
    height: int,
    *,
    bt709: bool,
    full_range: bool,
) -> bytes: ...

@final
class X11Presenter:
    """A window that shows I420 pictures through XShm. Raises OSError with a sentence where there is no display, no
    MIT-SHM or no 24/32-bit visual."""

    def __init__(
        self,
        *,
        display: str | None = None,
        title: str = "thinair",
        width: int,
        height: int,
        fullscreen: bool = False,
        monitor: int = -1,
    ) -> None: ...
    size: tuple[int, int]  # of the window now
    composited: bool  # a compositor stands between window and screen
    refresh_hz: float  # of the monitor; 0 where it is not known (Xvfb)
    def present(
        self,
        y: Buffer,
        u: Buffer,
        v: Buffer,
        y_stride: int,
        u_stride: int,
        v_stride: int,
        width: int,
        height: int,
        *,
        bt709: bool,
        full_range: bool,
        dim: int = 255,
        border: int = -1,
    ) -> int:
        """Shows a picture of the window's size or smaller, centred on black. Returns the µs at which the server had
        copied it. `border` is 0xRRGGBB or -1. Raises OSError when the display is gone."""
    def overlay(
        self, mask: Buffer | None, width: int, height: int, x: int, y: int, dim: int = 90, slot: int = 0
    ) -> None:
        """Over every following picture, the higher of 16 slots on top: 8-bit coverage; negative x, y count from the
        right and bottom edge."""
    def events(self) -> list[tuple[str, Any]]:
        """("key", "q"), ("resize", (w, h)), ("close", None), ("expose", None): what came since the last call."""
    def set_fullscreen(self, on: bool) -> None: ...
    def close(self) -> None: ...

@final
class CodeWatcher:
    """Looks for the visual code in pixels that others write. `top` and `bottom`: byte offsets of the first cell's
    centre of both rows; `step`: bytes from cell to cell. Raises ValueError where they do not lie within `pixels`."""

    def __init__(
        self,
        pixels: Buffer,
        *,
        top: tuple[int, int],
        bottom: tuple[int, int],
        step: int,
        sleep_us: int,
        stop_at_first: bool = False,
        separate_codes: bool = False,
    ) -> None:
        """`one`: watch() returns with the first code, while its picture is still there. `two`: top and bottom carry
        codes of their own; a new one at the bottom counts."""
    def watch(self, until_us: int) -> tuple[list[tuple[int, ...]], bytes]:
        """Looks until then, or a little less, without the GIL. ((frame id, time_us, seen µs) of each code that came new
        and stood at top and bottom, with `two` frame id and time_us of the code at the top too; the µs from look to
        look as native uint32)."""
    def close(self) -> None:
        """Lets go of the pixels."""

# ---- control of V4L2 devices --------------------------------------------------------------------------------
V4L2_EVENT_CTRL: int
V4L2_EVENT_SOURCE_CHANGE: int
V4L2_CID_DV_RX_POWER_PRESENT: int
V4L2_CAP_VIDEO_CAPTURE: int
V4L2_CAP_VIDEO_CAPTURE_MPLANE: int

@final
class V4L2Device:
    """A handle for control of a video node or sub-device, beside a capture that streams from the same node. One thread
    at a time. Every method raises OSError with the errno of its ioctl (ENOTTY: the device has no such thing), and
    EBADF once closed. Dicts carry the field names and numbers of linux/videodev2.h."""

    def __init__(self, path: str) -> None: ...
    path: str
    info: dict[str, Any]  # subdev: bool; driver, card, bus: str ("" of a sub-device); version, capabilities: int
    def fileno(self) -> int:
        """For poll: POLLPRI while an event waits, POLLERR when the device is gone."""
    def edid(self) -> bytes:
        """Whole blocks of 128 bytes; empty where none was written."""
    def set_edid(self, edid: Buffer) -> None:
        """The source sees a re-plug. Empty takes hotplug away. ValueError: not 1 to 8 whole blocks."""
    def query_timings(self) -> dict[str, int]:
        """struct v4l2_bt_timings of the signal. ENOLINK: no signal, ENOLCK: no sync lock, ERANGE: not supported."""
    def timings(self) -> dict[str, int]:
        """Those set."""
    def set_timings(self, timings: dict[str, int]) -> None:
        """EBUSY while buffers exist, ERANGE where the device does not take them."""
    def timings_cap(self) -> dict[str, int]:
        """struct v4l2_bt_timings_cap."""
    def enum_timings(self) -> list[dict[str, int]]: ...
    def subscribe(self, type: int, id: int = 0, /) -> None: ...
    def event(self) -> dict[str, int] | None:
        """type, id, sequence, pending, changes, value (of a control). None: no event waits."""
    def control(self, id: int, /) -> int: ...
    def set_control(self, id: int, value: int, /) -> None: ...
    def controls(self) -> list[dict[str, Any]]:
        """id, name, type, minimum, maximum, step, default_value, flags."""
    def format(self) -> dict[str, Any]:
        """Of capture, single- or multi-planar: width, height, fourcc (text), field, bytesperline, sizeimage,
        colorspace, ycbcr_enc, quantization. EINVAL: the node captures nothing."""
    def set_format(self, width: int, height: int, fourcc: str, commit: bool = True) -> dict[str, Any]:
        """What the driver made of it. Without `commit` it is only tried."""
    def formats(self) -> list[str]: ...
    def rates(self, fourcc: str, width: int, height: int, /) -> list[tuple[int, int]]:
        """Pictures per second as fractions; of a range the highest alone."""
    def rate(self) -> tuple[int, int]: ...
    def pad_format(self, pad: int, /) -> dict[str, int]:
        """struct v4l2_mbus_framefmt of a sub-device's pad, the active one."""
    def set_pad_format(self, pad: int, format: dict[str, int], /) -> dict[str, int]: ...
    def close(self) -> None: ...

def media_topology(path: str, /) -> dict[str, list[dict[str, Any]]]:
    """entities (id, name, function), interfaces (id, intf_type, node (major, minor)), pads (id, entity_id, flags,
    index), links (id, source_id, sink_id, flags) of a /dev/mediaN."""

def media_set_link(path: str, source: tuple[int, int], sink: tuple[int, int], enabled: bool = True, /) -> None:
    """A link between two pads, each (entity id, pad index). EBUSY while a stream runs over it."""
