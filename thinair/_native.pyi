"""The C extension: packets, access units, devices and pixels. Everything else imports it through link/native.py.

Times ending in _us are integers of CLOCK_MONOTONIC in microseconds, unless they say otherwise. Calls that wait release
the GIL. The C headers in native/include/thinair/ state limits and ownership. Layouts: docs/wire-protocol.md.
Over 500 lines: an extension module has one stub."""

from collections.abc import Sequence
from typing import Any, TypedDict, final

from typing_extensions import Buffer

# ---- core -------------------------------------------------------------------------------------------------
DROP_REASONS: tuple[str, ...]  # why a datagram or a frame was not used, see ta_drop
AU_KEY: int  # bits of ta_au_info.flags
AU_GAP: int
AU_SPS: int
MAX_PACKET: int  # bytes of an RTP packet that fits Ethernet and WiFi
MIN_PACKET: int
MAX_LINK_PACKET: int  # the same, if its repair symbol must fit too
READY: int  # SendQueue.ready()
READY_KEY: int
SKIP: int

class BitstreamError(ValueError):
    """The bytes violate their syntax (TA_EBITSTREAM), or exceed a documented limit (TA_ETOOBIG)."""

def split_nals(data: Buffer) -> list[tuple[int, int]]:
    """(offset, size) of each NAL unit of an Annex B byte stream (H.264 Annex B). The offset is that of the NAL header
    byte; the size excludes trailing zero bytes."""

def parse_sps(nal: Buffer) -> dict[str, int]:
    """Fields of an SPS (H.264 7.3.2.1.1, VUI E.1) from its NAL header byte on, by the names of `ta_sps`; width and
    height in luma samples after cropping. Raises BitstreamError."""

def parse_pps(nal: Buffer) -> dict[str, int]:
    """pps_id, sps_id and cabac (0, 1) of a PPS (H.264 7.3.2.2) from its NAL header byte on. Raises BitstreamError."""

def rewrite_sps(nal: Buffer) -> bytes:
    """The SPS with a VUI bitstream restriction that excludes reordering (H.264 E.2.1), so that decoders output at once.
    All other fields keep their bits. For streams without reordering only. Raises BitstreamError."""

def slice_first_mb(nal: Buffer) -> int:
    """first_mb_in_slice (H.264 7.3.3) of a slice NAL unit of type 1 or 5. Raises BitstreamError."""

def rewrite_au(au: Buffer) -> Buffer:
    """An access unit (Annex B) with every SPS rewritten as by rewrite_sps(); `au` itself if none changes. Raises
    BitstreamError."""

@final
class AccessUnit:
    """One coded picture, Annex B, read-only through the buffer protocol. The bytes live as long as the object or a view
    of it."""

    frame_id: int  # 64 bits; counted from 0 without frame elements
    rtp_time: int  # 90 kHz, 64 bits
    size: int  # bytes
    key: bool  # IDR
    gap: bool  # a frame before this one was lost
    sps: bool  # contains an SPS
    lost_before: int  # frames lost since the previous access unit
    first_seq: int
    packets: int
    first_us: int  # arrival of the first packet
    last_us: int  # arrival of the completing packet
    unrepaired_us: int  # arrival of the last packet sent without a request; last_us if none was requested
    repaired: bool  # packets were restored from repair symbols
    taken_us: int  # when Rx.wait() returned it; 0 from Reassembler and AnnexbStream
    capture_us: int  # sender's clock, 0: unknown; so are the next three
    dequeue_us: int
    encode_in_us: int
    encode_out_us: int
    capture_ntp: int  # UQ32.32, 0: unknown
    # (low 16 bits of an earlier frame's id, first send, last send: µs after its capture)
    sent: tuple[int, int | None, int | None] | None
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Packetizer:
    """Access units to RTP packets: RFC 6184 mode 1, with the frame element in a header extension (RFC 8285) if
    `elements`. `max_packet`: bytes of a whole RTP packet, MIN_PACKET to MAX_PACKET. Raises ValueError."""

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
        """The packets of one access unit (Annex B), in order. Stamps of 0 are unknown; `capture_ntp` (UQ32.32) 0 is
        omitted. `sent`: (frame id, capture_us, first_send_us, last_send_us) of an earlier frame. Raises BitstreamError
        for bytes without a NAL unit or too large, ValueError for another `sent`."""

@final
class FrameReport:
    """Reception and repair of one frame, decided or in its present state. "Without request" counts media packets and
    proactive repair symbols, in the order sent. See ta_frame_report (native/include/thinair/recovery.h)."""

    frame_id: int
    key: bool
    complete: bool  # else abandoned, or not decided yet
    repaired: bool  # by repair symbols
    unseen: bool  # nothing was received before it was requested
    packets: int  # media packets of the frame; 0: unknown
    received: int  # of them, not restored
    longest_run: int  # of media packets not received
    proactive: int  # repair symbols sent without request
    proactive_received: int
    on_demand: int  # repair symbols requested
    on_demand_received: int
    rounds: int  # of requests
    reached: int  # packets sent without request, up to the last one received
    bytes: int  # received without request, RTP headers included
    gap_us: int  # longest pause between two consecutive ones
    first_us: int  # arrival of the first one
    newest_us: int  # arrival of the newest one without request
    done_us: int  # when the frame was decided; 0: not yet
    peer_us: int  # sender's clock: encoder out, else capture; 0: unknown

@final
class Reassembler:
    """RTP packets in, access units out, sans-IO: with frame elements a frame is complete by count, without by marker
    and sequence number (RFC 6184). Raises ValueError for a limit out of range."""

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
        """`payload_type` 0: any dynamic one. `window_frames`: frames in progress, 2 to 32. `reorder_us`: how long a
        complete frame waits for an incomplete earlier one, without repair. `max_au`: bytes. `repair_timeout_us`: how
        long after a frame's first packet lost packets are requested and repaired, then it is abandoned; 0: no
        repair."""
    def push(self, datagram: Buffer, arrival_us: int) -> None:
        """Takes one datagram. Never raises: refused packets are counted, see drops()."""
    def next(self, now_us: int) -> AccessUnit | None:
        """The next access unit in decoding order; None: none is ready."""
    def deadline(self) -> int | None:
        """When next() or request() may yield without a push; None: never."""
    def reset(self) -> None:
        """Forgets all frames, for a new peer. Counters stay."""
    def peer(self, own_ssrc: int, cookie: int) -> None:
        """Sets sender SSRC and cookie of repair requests; cookie 0: none are made."""
    def timing(self, interval_us: int, rtt_us: int, queue_us: int) -> None:
        """Sets the sender's frame interval, an initial round trip (0: unchanged, both), and the path's present queueing
        delay."""
    def request(self, now_us: int) -> bytes | None:
        """The REPAIR datagram that is due (docs/wire-protocol.md). Call after each push and at each deadline until it
        returns None."""
    def frames(self) -> tuple[list[FrameReport], FrameReport | None, int, int, int]:
        """(frames decided since the last call, newest frame in its present state, its id (32 bits), outcomes of the
        last eight frames as TARGET carries them, how long an answer to a request takes in µs or 0)."""
    def recovery(self) -> dict[str, int]:
        """Counters of repair: symbols, surplus, restored, frames_repaired, requests, on_demand, on_demand_received;
        present estimates: rtt_us, reorder_window_us, spacing_us. See ta_recovery_stats."""
    def drops(self) -> dict[str, int]:
        """Refused packets and lost frames by drop reason, every one of DROP_REASONS."""
    def push_many(self, datagrams: Sequence[bytes], arrival_us: int) -> int:
        """For benches, without Python per packet: pushes all, takes every access unit, returns how many there were."""

@final
class AnnexbStream:
    """A raw Annex B byte stream, cut into datagrams anywhere, to access units (H.264 7.4.1.2.3), sans-IO. Raises
    ValueError for `max_au` 0."""

    def __init__(self, *, max_au: int = 2097152, quiet_us: int = 4000) -> None:
        """`max_au`: bytes. `quiet_us`: a datagram shorter than the longest one, then silence of this length, ends a
        unit; 0: off."""
    def push(self, datagram: Buffer, arrival_us: int) -> None:
        """Takes the next datagram. Never raises: what is discarded is counted, see drops()."""
    def next(self, now_us: int) -> AccessUnit | None:
        """The next access unit; None: none is ready."""
    def deadline(self) -> int | None:
        """When next() may yield without a push; None: never."""
    def drops(self) -> dict[str, int]:
        """What was discarded, by drop reason, every one of DROP_REASONS."""

# ---- repair -------------------------------------------------------------------------------------------------
@final
class SendQueue:
    """The sender's packets, sans-IO: access units in, datagrams out; media, repair symbols, answers to requests, pacing
    (native/include/thinair/send_queue.h). Raises ValueError for `max_packet` above MAX_LINK_PACKET."""

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
    ) -> None:
        """`pace_group` datagrams leave together, `pace_us` apart (0: no pacing). `interval_us`: between frames, until
        their capture times show it."""
    def set_cookie(self, cookie: int, /) -> None:
        """Requests and targets must carry it; 0: all are refused."""
    def reset(self) -> None:
        """Forgets what waits and what was sent, for a new peer."""
    def ready(self, now_us: int, unsent: int = 0, /) -> int:
        """Whether to encode the next picture: READY, READY_KEY (as a key frame), or SKIP (an earlier frame has not got
        through). `unsent`: bytes handed out that still wait in the kernel."""
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
        """Queues one access unit (Annex B); returns its number of packets. Stamps of 0 are unknown. Raises
        BitstreamError for bytes that are no access unit or too large, and when there is no room or a key frame is
        due."""
    def next(self, now_us: int, /) -> list[bytes]:
        """The datagrams that may leave now, which then count as sent; answers to requests first."""
    def deadline(self) -> int | None:
        """When next() will yield, 0: at once; None: only after a push or a request."""
    def control(self, datagram: Buffer, now_us: int, /) -> bool:
        """Applies REPAIR, TARGET and generic NACK of a control datagram. True: it held nothing else."""
    def stats(self) -> dict[str, int]:
        """Counters by the names of ta_send_queue_stats."""

@final
class Seal:
    """AEAD of one end's packets: RTP and RTCP as in RFC 7714, with ChaCha20-Poly1305 (RFC 8439)
    (native/include/thinair/seal.h). Without keys it refuses everything."""

    ready: bool  # there are keys
    packets_sealed: int  # with the current key, RTP or RTCP, whichever are more
    def install(self, own: Buffer, peer: Buffer, media_ssrc: int, *, limit: int = 0, after_peer: bool = False) -> None:
        """Installs 88 bytes of keys for each direction. `media_ssrc`: of the sender; its repair symbols have the next.
        `limit`: packets per key, 0: 2**31 - 1. `after_peer`: keep sealing with the older keys until the peer uses
        these. Raises ValueError for another length."""
    def forget(self) -> None:
        """Clears all keys."""
    def seal_rtp(self, packet: Buffer, /) -> bytes:
        """The sealed packet, 16 bytes longer. Raises ValueError if it is not RTP of the session, BitstreamError if
        there is no key or its limit is reached."""
    def seal_rtcp(self, packet: Buffer, /) -> bytes:
        """The sealed packet, 20 bytes longer. Raises as seal_rtp()."""
    def unseal_rtp(self, packet: Buffer, arrival_us: int, /) -> tuple[bytes, bool] | str:
        """(packet, whether no later one of its stream has been received), or the drop reason: auth, replay, short,
        version, extension, ssrc."""
    def unseal_rtcp(self, packet: Buffer, arrival_us: int, /) -> tuple[bytes, bool] | str:
        """As unseal_rtp()."""

@final
class RepairEncoder:
    """Repair symbols of one block after another: systematic Cauchy Reed-Solomon code over GF(256)
    (native/include/thinair/repair.h). Raises ValueError for `max_sources` outside 1 to 254 or `max_source` outside 1 to
    65535 bytes."""

    def __init__(self, *, max_sources: int = 254, max_source: int = 1472) -> None: ...
    def reset(self) -> None:
        """Starts the next block."""
    def add(self, *sources: Buffer) -> None:
        """Adds all sources, or none. Raises BitstreamError if they do not fit."""
    def symbol(self, index: int, /) -> bytes:
        """Repair symbol 0 to 254 - k of the k sources added so far, two bytes longer than the longest. Raises
        ValueError for another index."""

@final
class RepairDecoder:
    """Restores the missing sources of one block after another. Raises ValueError as RepairEncoder."""

    def __init__(self, *, max_sources: int = 254, max_source: int = 1472) -> None: ...
    wanted: int  # how many more are needed before restore()
    def begin(self, sources: int, /) -> None:
        """Starts a block of this many sources. Raises ValueError for 0 or more than max_sources."""
    def source(self, index: int, data: Buffer, /) -> bool:
        """Adds a received source. False: not needed. Raises ValueError for its index, BitstreamError for its size."""
    def symbol(self, index: int, data: Buffer, /) -> bool:
        """Adds a received repair symbol. Returns and raises as source()."""
    def restore(self, index: int, /) -> bytes | None:
        """A missing source; None: too few symbols. Raises ValueError if it is not missing, BitstreamError if the
        symbols are not of one block."""

# ---- io ---------------------------------------------------------------------------------------------------
def now_us() -> int:
    """CLOCK_MONOTONIC in microseconds."""

def sleep_until_us(when_us: int, spin_us: int = 0) -> None:
    """Sleeps until then; the last `spin_us` are spent spinning, for precision."""

def disable_core_dumps() -> str | None:
    """Protects keys in memory: no core dumps, no debugger of the same user (prctl(2), PR_SET_DUMPABLE). None, or the
    error's text."""

def map_large_blocks(on: bool, /) -> None:
    """Allocates blocks of 128 KiB and more by mmap, returned to the system when freed (mallopt(3)). Keeps the heap from
    fragmenting while an encoder allocates its pictures. Off: such blocks come from the heap, which is faster for what
    is allocated with each picture. glibc only."""

def realtime(priority: int) -> str | None:
    """Requests SCHED_FIFO for the calling thread and threads it starts later. None, or the error's text."""

@final
class Tx:
    """The sending pump: a send queue, a UDP socket and a C thread that paces, answers clock probes and repair requests,
    and collects control datagrams (native/include/thinair/tx.h). Thread-safe.

    mode: "thinair" (frame elements, session, repair), "rtp" (plain RFC 6184), "annexb" (raw stream, an access unit
    delimiter after each unit). Raises OSError if the socket cannot be opened, ValueError for an address or a number
    that cannot be used."""

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
        encrypted: bool = False,
    ) -> None:
        """`host` "": no peer yet. `pace_us`: between groups of `pace_group` packets, 0: no pacing; `fixed_pace`: the
        receiver does not change it. `priority`: SCHED_FIFO, 0: none. `encrypted`: only packets sealed with installed
        keys are sent or accepted."""
    eventfd: int  # readable while control() has something
    local_port: int
    notes: list[str]  # what the system refused (priority, DSCP, buffer), as text
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
        """Packetizes one access unit (Annex B) and sends its first group before it returns. Returns the packet count; 0
        while no media is allowed. Raises BitstreamError as SendQueue.push()."""
    def ready(self) -> int:
        """As SendQueue.ready(), with what waits in the kernel included."""
    def allow_media(self, allowed: bool) -> None:
        """Starts or stops media. Stopping discards what waits."""
    def set_cookie(self, cookie: int, boot_id: int) -> None:
        """Clock probes, requests and targets must carry the cookie, 0: all are refused. Probes are answered with the
        boot id."""
    def send_control(self, datagram: Buffer, host: str = ..., port: int = ..., plain: bool = ..., /) -> bool:
        """Sends a control datagram to the peer, or to another address. `plain`: not sealed. False: not sent."""
    def install_keys(
        self, own: Buffer, peer: Buffer, media_ssrc: int, *, limit: int = 0, after_peer: bool = False
    ) -> None:
        """As Seal.install(). Raises ValueError if not `encrypted`."""
    def forget_keys(self) -> None:
        """Clears all keys: nothing is sent or accepted until new ones are installed."""
    def set_peer(self, host: str, port: int, /) -> None:
        """Everything is sent there from now on. Raises ValueError for an address that cannot be used."""
    def new_peer(self) -> tuple[str, int] | None:
        """(host, port) of the newest sealed packet, once for each address other than the peer's; else None."""
    def control(self) -> list[tuple[bytes, int]]:
        """Control datagrams since the last call, oldest first: (datagram, arrival µs). Clears the eventfd."""
    def sent(self) -> tuple[int, int, int] | None:
        """(frame id, first send µs, last send µs) of the newest frame that was sent completely."""
    def stats(self) -> dict[str, int]:
        """Counters: send_errors, control_drops, probes, media_refused, auth, replay, packets_sealed, and those of
        SendQueue.stats()."""
    def close(self) -> None:
        """Ends the thread and closes the socket. Counters stay readable."""

@final
class Rx:
    """The receiving pump: a UDP socket, a C thread that reassembles and requests repair, and a ring of access units
    (native/include/thinair/rx.h). mode as Tx. Thread-safe. Raises OSError if the socket cannot be opened, ValueError
    for an address or a number that cannot be used."""

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
        encrypted: bool = False,
        log_packets: bool = False,
    ) -> None:
        """`host` "": any local address; `port` 0: any. `payload_type` to `max_au` and `repair_timeout_us` as
        Reassembler, `quiet_us` as AnnexbStream, `encrypted` as Tx. `slots`: access units in the ring, 2 to 64.
        `receive_buffer`: bytes. `log_packets`: keep packets for packets()."""
    eventfd: int  # readable while control() or invites() has something, and after a frame was abandoned
    local_port: int
    notes: list[str]  # what the system refused (priority, receive buffer), as text
    def wait(self, timeout_us: int) -> AccessUnit | None:
        """The next access unit, read in place in the ring; None: timeout, or closed. A full ring discards all waiting
        units, and the next one has `gap`. One thread at a time."""
    def control(self) -> list[tuple[bytes, int, str, int]]:
        """Control datagrams since the last call, oldest first: (datagram, arrival µs, host, port). Clears the
        eventfd."""
    def send_control(self, datagram: Buffer, host: str, port: int) -> bool:
        """Sends a control datagram, sealed if `encrypted`. False: not sent."""
    def install_keys(
        self, own: Buffer, peer: Buffer, media_ssrc: int, *, limit: int = 0, after_peer: bool = False
    ) -> None:
        """As Seal.install(). Raises ValueError if not `encrypted`."""
    def forget_keys(self) -> None:
        """Clears all keys: nothing is sent or accepted until new ones are installed."""
    def invites(self) -> list[tuple[bytes, int, str, int]]:
        """With `encrypted`: unsealed invites and HELLOs since the last call, as control() returns them. Not
        authenticated; their number and rate are limited."""
    def accept(self, host: str, port: int, ssrc: int, own_ssrc: int = 0, cookie: int = 0) -> None:
        """Accepts media from this address and SSRC only, and forgets the previous peer's frames. Repair requests go
        there with `own_ssrc` and `cookie`; cookie 0: none. Raises ValueError for an address that cannot be used."""
    def timing(self, interval_us: int, rtt_us: int, queue_us: int) -> None:
        """As Reassembler.timing()."""
    def frames(self) -> tuple[list[FrameReport], FrameReport | None, int, int, int]:
        """As Reassembler.frames()."""
    def recovery(self) -> dict[str, int]:
        """As Reassembler.recovery()."""
    def arrivals(self, limit: int) -> list[tuple[int, int]]:
        """(sequence number, arrival µs) of the newest `limit` media packets, oldest first."""
    def progress(self) -> tuple[int, int]:
        """(arrival µs of the newest media packet or 0, number of completed access units)."""
    def drops(self) -> dict[str, int]:
        """Refused datagrams and lost frames by drop reason, every one of DROP_REASONS."""
    def packets(self) -> bytes:
        """With `log_packets`: packets of both directions since the last call as records of a pcap file (LINKTYPE_RAW),
        opened, cut at 192 bytes; b"": no more."""
    def stats(self) -> dict[str, int]:
        """packets, bytes, frames, lost_frames, receive_buffer (bytes granted), kernel_drops, address_changes,
        packets_sealed, packets_not_logged."""
    def close(self) -> None:
        """Ends the thread and closes the socket; a waiting wait() returns None. Access units stay readable."""

# ---- capture ----------------------------------------------------------------------------------------------
class CaptureFormat(TypedDict):
    """The granted format, in the numbers of linux/videodev2.h. For annotations only."""

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
    """One picture in the driver's buffer, read-only through the buffer protocol. release(), or its deletion, returns
    the buffer to the driver. It stays readable after Capture.close()."""

    index: int  # of the buffer
    sequence: int  # the driver's
    skipped: int  # pictures lost or passed over since the one before
    corrupt: bool  # V4L2_BUF_FLAG_ERROR, or fewer bytes than a picture
    capture_us: int  # start of the frame
    dequeue_us: int
    def release(self) -> None:
        """Returns the buffer to the driver. Raises BufferError while a view of the picture exists."""
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Capture:
    """Pictures from a V4L2 capture node, newest first (native/include/thinair/capture.h). Raises OSError with a
    sentence if the device is missing, busy, not a capture device, or refuses the format; ValueError for impossible
    numbers."""

    def __init__(
        self,
        *,
        device: str,
        fourcc: str,
        width: int = 0,
        height: int = 0,
        buffers: int = 4,
        rate: tuple[int, int] = (0, 1),
    ) -> None:
        """`fourcc`: four characters, such as UYVY. Width or height 0: the current one. `buffers`: 3 to 16. `rate`:
        pictures per second as (numerator, denominator), requested of a device that can choose; numerator 0: its current
        rate."""
    format: CaptureFormat
    def next(self, timeout_us: int, /) -> CapturedPicture | None:
        """The newest picture; older ones go back to the driver. None: timeout. Raises OSError if the device fails."""
    def stats(self) -> dict[str, int]:
        """captured, passed_over, gaps, corrupt, future_stamps, unstamped, queue_errors: see ta_capture_stats."""
    def fileno(self) -> int:
        """For poll: readable while a picture waits."""
    def close(self) -> None:
        """Stops the capture. The device is closed with the last released picture."""

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
    """Converts UYVY, YUYV or NV12 (chroma at stride * height) into three writable planes, chroma of half size rounded
    up. Strides in bytes. Raises ValueError if a size or stride does not hold the picture."""

# ---- hardware encoders ---------------------------------------------------------------------------------------
@final
class HardwareEncoder:
    """A hardware encoder, picture by picture; pictures are copied (native/include/thinair/encoder.h). One thread at a
    time. Raises OSError with a sentence if it is missing, busy or refuses the format, ValueError for impossible
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
    ) -> None:
        """`kind`: "m2m" (V4L2) or "mmal". `fourcc`, `coded`: V4L2's four characters. `rate`: pictures per second as
        (numerator, denominator). `key_interval`: pictures. `stride` 0: lines without padding. `device` "": found. QP 0:
        the encoder's default. `intra_refresh_mbs`: macroblocks per picture, 0: key frames only. `low_latency`: MMAL's
        stripe mode, experimental."""
    notes: list[str]  # missing features, as text
    def encode(self, picture: Buffer, capture_us: int, timeout_us: int, /) -> tuple[bytes, bool] | None:
        """(access unit, key) of the picture; None: skipped by the rate control, or undecodable. A key frame starts with
        its parameter sets. Raises OSError if the encoder is broken or stuck, with ETIMEDOUT after the timeout."""
    def request_key_frame(self) -> None:
        """Makes the next picture a key frame."""
    def set_bitrate(self, bitrate_bps: int, /) -> bool:
        """Changes the bitrate while it runs. False: the encoder cannot."""
    def stats(self) -> dict[str, int]:
        """bytes_copied (of pictures), undecodable (units no decoder could use), late (units after their timeout)."""
    def close(self) -> None:
        """Closes the encoder."""

@final
class HardwarePipeline:
    """Capture, encoder and `tx` in one C thread, from the camera's picture to packets without Python
    (native/include/thinair/hw_pipeline.h). Sends nothing until allow(). Raises OSError with a sentence, its `filename`
    "capture" or "encoder" for the part that failed; ValueError for impossible numbers."""

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
        """Capture and encoder settings as Capture and HardwareEncoder; `dmabuf`: pictures are not copied. `priority`:
        SCHED_FIFO, 0: none. `ntp_offset`: UQ32.32 to add to CLOCK_MONOTONIC, 0: no absolute capture time. `stall_us`:
        without a picture, 0: two picture intervals."""
    eventfd: int  # readable at each change of state, and at key frames four times a second at most
    notes: list[str]  # of encoder and thread: missing features, refused priority, as text
    size: tuple[int, int]  # (width, height) that the capture granted
    def allow(self, allowed: bool, /) -> None:
        """Starts or stops encoding; it starts with a key frame."""
    def request_key_frame(self) -> None:
        """Makes the next picture a key frame."""
    def set_bitrate(self, bitrate_bps: int, /) -> None:
        """Changes the encoder's bitrate."""
    def state(self) -> tuple[str, str, str]:
        """("starting" | "live" | "stalled" | "failed", reason, "" | "capture" | "encoder"); clears the eventfd. After
        "failed" both devices are closed."""
    def stats(self) -> dict[str, int]:
        """Counters by the names of ta_hw_pipeline_stats."""
    def records(
        self,
    ) -> list[tuple[int, int, int, int, int, int, int, int, int, bool, tuple[int, int, int] | None]]:
        """Access units sent since the last call, oldest first: (frame id, driver's sequence, capture, dequeue, encode
        in, encode out in µs, bytes, packets, pictures skipped before, key, Tx.sent()). At most 512 are kept."""
    def parameter_sets(self) -> bytes:
        """The encoder's parameter sets, Annex B; b"" before its first key frame."""
    def thumbnail(self) -> tuple[int, int, bytes] | None:
        """(width, height, I420) of a thumbnail made since the last call; None: none yet, and one is requested."""
    def stop(self) -> bool:
        """Ends the thread, which closes both devices. False: a device does not return from a call; the thread is
        abandoned."""

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
) -> bytes:
    """BGRX (bytes B, G, R, 0xff; width * height * 4) of an I420 picture: BT.709 or else BT.601 (ITU-T H.273), full
    range or else 16 to 235. Strides in bytes. Raises ValueError if the planes do not hold the picture."""

@final
class X11Presenter:
    """A window that shows I420 pictures through MIT-SHM (native/include/thinair/x11.h). Thread-safe. Raises OSError
    with a sentence if there is no display, no MIT-SHM or no 24-bit visual; ValueError for an impossible size or
    monitor."""

    def __init__(
        self,
        *,
        display: str | None = None,
        title: str = "thinair",
        width: int,
        height: int,
        fullscreen: bool = False,
        monitor: int = -1,
    ) -> None:
        """`display` None: $DISPLAY. The size is reduced to the monitor's. `monitor`: in RandR's order, -1: the primary
        one."""
    size: tuple[int, int]  # (width, height) of the window
    composited: bool  # a compositor is running
    refresh_hz: float  # of the monitor; 0: unknown (Xvfb)
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
        """Shows a picture of the window's size or smaller, centred on black. Returns when the server had copied it, in
        µs. `dim`: brightness, 255 unchanged. `border`: 0xRRGGBB or -1. Raises OSError when the display is gone,
        TimeoutError if it does not answer, ValueError if the planes do not hold the picture."""
    def overlay(
        self, mask: Buffer | None, width: int, height: int, x: int, y: int, dim: int = 90, slot: int = 0
    ) -> None:
        """Draws white by an 8-bit coverage mask (width * height) over every following picture, on a background
        multiplied by dim / 255; negative x, y count from the right and bottom edge. Higher slots of 0 to 15 are on top.
        None removes it. Raises ValueError for sizes or a slot that do not exist."""
    def events(self) -> list[tuple[str, Any]]:
        """Events since the last call: ("key", "q"), ("resize", (width, height)), ("close", None), ("expose", None).
        Raises OSError when the display is gone."""
    def set_fullscreen(self, on: bool) -> None:
        """Covers the monitor, or returns to the window. Raises OSError when the display is gone."""
    def close(self) -> None:
        """Closes the window. May be called twice."""

@final
class CodeWatcher:
    """Samples the visual code in memory that another process writes, such as a screen, for benches
    (native/include/thinair/watch.h). Raises ValueError if a cell is outside `pixels`."""

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
        """`top`, `bottom`: byte offsets of the centres of each row's first cell. `step`: bytes from cell to cell.
        `sleep_us`: between samples. `stop_at_first`: watch() returns with the first code, while its picture is still in
        memory. `separate_codes`: top and bottom carry different codes, and a new one at the bottom counts."""
    def watch(self, until_us: int) -> tuple[list[tuple[int, ...]], bytes]:
        """Samples until then, or a little less. ((frame id, time_us, seen µs) of each new code that top and bottom both
        showed; with `separate_codes` also frame id and time_us of the top's), (µs between samples as native uint32).
        Raises ValueError once closed, or while another thread watches."""
    def close(self) -> None:
        """Releases the pixels."""

# ---- control of V4L2 devices --------------------------------------------------------------------------------
V4L2_EVENT_CTRL: int
V4L2_EVENT_SOURCE_CHANGE: int
V4L2_CID_DV_RX_POWER_PRESENT: int
V4L2_CAP_VIDEO_CAPTURE: int
V4L2_CAP_VIDEO_CAPTURE_MPLANE: int

@final
class V4L2Device:
    """Control of a video node or sub-device, beside a capture that streams from the same node
    (native/include/thinair/v4l2.h). One thread at a time. Every method raises OSError with the errno of its ioctl
    (ENOTTY: the device has no such thing), and EBADF once closed. Dicts have the field names and numbers of
    linux/videodev2.h."""

    def __init__(self, path: str) -> None: ...
    path: str
    info: dict[str, Any]  # subdev: bool; driver, card, bus: str ("" for a sub-device); version, capabilities: int
    def fileno(self) -> int:
        """For poll: POLLPRI while an event waits, POLLERR when the device is gone."""
    def edid(self) -> bytes:
        """The EDID of pad 0, whole blocks of 128 bytes; b"": none is set."""
    def set_edid(self, edid: Buffer) -> None:
        """Writes the EDID, which triggers a hotplug; empty removes it and holds hotplug low. Raises ValueError unless
        it has whole blocks, at most 8."""
    def query_timings(self) -> dict[str, int]:
        """struct v4l2_bt_timings of the signal. ENOLINK: no signal, ENOLCK: no sync lock, ERANGE: not supported."""
    def timings(self) -> dict[str, int]:
        """struct v4l2_bt_timings that are set."""
    def set_timings(self, timings: dict[str, int]) -> None:
        """Sets DV timings. EBUSY while buffers exist, ERANGE if the device does not accept them. Raises ValueError for
        an unknown key."""
    def timings_cap(self) -> dict[str, int]:
        """struct v4l2_bt_timings_cap: the limits of the device's timings."""
    def enum_timings(self) -> list[dict[str, int]]:
        """struct v4l2_bt_timings of each supported mode."""
    def subscribe(self, type: int, id: int = 0, /) -> None:
        """Subscribes to V4L2_EVENT_* `type`; `id`: the control, for V4L2_EVENT_CTRL."""
    def event(self) -> dict[str, int] | None:
        """The next event: type, id, sequence, pending, changes, value (of a control). None: none waits."""
    def control(self, id: int, /) -> int:
        """Value of a control: integer, boolean, menu or button."""
    def set_control(self, id: int, value: int, /) -> None:
        """Sets a control."""
    def controls(self) -> list[dict[str, Any]]:
        """Each control: id, name, type, minimum, maximum, step, default_value, flags."""
    def format(self) -> dict[str, Any]:
        """The capture format, single- or multi-planar: width, height, fourcc (text), field, bytesperline, sizeimage,
        colorspace, ycbcr_enc, quantization. EINVAL: the node captures nothing."""
    def set_format(self, width: int, height: int, fourcc: str, commit: bool = True) -> dict[str, Any]:
        """Sets the capture format; without `commit` only tries it. Returns what the driver makes of it, as format()."""
    def formats(self) -> list[str]:
        """Supported pixel formats, four characters each."""
    def rates(self, fourcc: str, width: int, height: int, /) -> list[tuple[int, int]]:
        """Supported pictures per second as (numerator, denominator); of a range only the highest."""
    def rate(self) -> tuple[int, int]:
        """Current pictures per second as (numerator, denominator)."""
    def pad_format(self, pad: int, /) -> dict[str, int]:
        """struct v4l2_mbus_framefmt of a sub-device's pad, the active one."""
    def set_pad_format(self, pad: int, format: dict[str, int], /) -> dict[str, int]:
        """Sets a pad's active format; returns what the driver makes of it. Raises ValueError for an unknown key."""
    def close(self) -> None:
        """Closes the handle. May be called twice."""

def media_topology(path: str, /) -> dict[str, list[dict[str, Any]]]:
    """entities (id, name, function), interfaces (id, intf_type, node (major, minor)), pads (id, entity_id, flags,
    index), links (id, source_id, sink_id, flags) of a /dev/mediaN (MEDIA_IOC_G_TOPOLOGY). Raises OSError."""

def media_set_link(path: str, source: tuple[int, int], sink: tuple[int, int], enabled: bool = True, /) -> None:
    """Enables or disables the link between two pads, each (entity id, pad index). Raises OSError, with EBUSY while a
    stream uses it."""
