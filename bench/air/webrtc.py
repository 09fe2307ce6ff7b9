"""WebRTC as a baseline: pictures of thinair's encoder, sent by aiortc, shown by aiortc or Chromium.

    python -m thinair.bench.air.webrtc send FEED SIGNAL ENTRY MODEL SEED FIGURES
    python -m thinair.bench.air.webrtc receive SIGNAL DISPLAY WIDTH HEIGHT
    python -m thinair.bench.air.webrtc browse SIGNAL DISPLAY WIDTH HEIGHT HOME

The sender reads raw H.264 with delimiters from UDP port FEED, so that pictures and encoder are those of all other rows,
and serves offer and page on TCP port SIGNAL. Once the answer names the receiver's address, it starts the relay and uses
the relay's address alone; the offer has an address where nobody answers, so that nothing bypasses the relay."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from thinair.bench.harness.chromium import answers, start_browser
from thinair.link.child_process import python_module
from thinair.link.native import AnnexbStream, X11Presenter, now_us

_OFFER_TIMEOUT_S = 15.0
_NOBODY = 9  # RFC 863: a port without answers; aiortc fails without any address
_CLOCK = Fraction(1, 90_000)
_PAGE = """<!doctype html><meta charset=utf-8><style>*{margin:0}body{background:#000;overflow:hidden}
video{display:block;width:100vw;height:100vh;object-fit:fill}</style><video autoplay muted playsinline></video><script>
const pc = new RTCPeerConnection();
pc.ontrack = (event) => {
  event.receiver.jitterBufferTarget = 0;
  event.receiver.playoutDelayHint = 0;
  document.querySelector("video").srcObject = new MediaStream([event.track]);
};
const offer = await (await fetch("/offer")).json();
await pc.setRemoteDescription(offer);
await pc.setLocalDescription(await pc.createAnswer());
while (pc.iceGatheringState !== "complete") await new Promise((done) => setTimeout(done, 20));
await fetch("/answer", {method: "POST", body: JSON.stringify(pc.localDescription)});
</script>""".replace("<script>", '<script type="module">')


def _feed(port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    one.setblocking(False)
    one.bind(("127.0.0.1", port))
    return one


def _track(inlet: socket.socket) -> Any:
    """The feed's access units as an encoded video track."""
    import av
    from aiortc import MediaStreamTrack

    units: asyncio.Queue[bytes] = asyncio.Queue()
    stream = AnnexbStream()

    def take() -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                stream.push(inlet.recv(65536), now_us())
                while (unit := stream.next(now_us())) is not None:
                    units.put_nowait(bytes(memoryview(unit)))

    asyncio.get_running_loop().add_reader(inlet, take)

    class Feed(MediaStreamTrack):
        kind = "video"

        async def recv(self) -> Any:
            packet = av.Packet(await units.get())
            packet.pts, packet.time_base = now_us() * 9 // 100, _CLOCK
            return packet

    return Feed()


def address_of(sdp: str) -> tuple[str, int] | None:
    """The first IPv4 host address of a session description (RFC 8839, 5.1)."""
    for line in sdp.splitlines():
        words = line.removeprefix("a=candidate:").split()
        if line.startswith("a=candidate:") and words[2].lower() == "udp" and "host" in words and "." in words[4]:
            return words[4], int(words[5])
    return None


def through(sdp: str, host: str, port: int) -> str:
    """The same description with this address only."""
    line = f"a=candidate:1 1 udp 2130706431 {host} {port} typ host\r\n"
    done, out = False, []
    for old in sdp.splitlines(keepends=True):
        if not old.startswith("a=candidate"):
            out.append(old)
        elif not done:
            done = True
            out.append(line)
    return "".join(out)


async def _send(feed: int, signal_port: int, entry: int, link: list[str]) -> None:
    from aiohttp import web
    from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription

    pc = RTCPeerConnection()
    transceiver = pc.addTransceiver(_track(_feed(feed)), direction="sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([one for one in codecs if one.mimeType.lower() in {"video/h264", "video/rtx"}])
    await pc.setLocalDescription(await pc.createOffer())
    here = address_of(pc.localDescription.sdp)
    if here is None:
        raise SystemExit("this machine has no address but loopback: WebRTC has none to offer")
    relays: list[asyncio.subprocess.Process] = []

    async def offer(_: web.Request) -> web.Response:
        return web.json_response({"sdp": through(pc.localDescription.sdp, here[0], _NOBODY), "type": "offer"})

    async def answer(request: web.Request) -> web.Response:
        said = await request.json()
        there = address_of(said["sdp"])
        if there is None:
            raise web.HTTPBadRequest(text="no address in the answer")
        lanes = f"{entry}:{there[0]}:{there[1]}"
        relay = python_module("thinair.bench.air.relay", *link, lanes)
        relays.append(await asyncio.create_subprocess_exec(*relay))
        await pc.setRemoteDescription(RTCSessionDescription(through(said["sdp"], here[0], entry), "answer"))
        return web.Response()

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/offer", offer), web.post("/answer", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", signal_port).start()
    done = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, done.set)
    await done.wait()
    for relay in relays:
        relay.send_signal(signal.SIGINT)
        await relay.wait()
    await pc.close()
    await runner.cleanup()


async def _receive(signal_port: int, display: str, width: int, height: int) -> None:
    from aiohttp import ClientSession
    from aiortc import RTCPeerConnection, RTCSessionDescription
    from aiortc.mediastreams import MediaStreamError

    window = X11Presenter(display=display, width=width, height=height, fullscreen=True)
    pc, done = RTCPeerConnection(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, done.set)
    shows: list[asyncio.Task[None]] = []

    async def show(track: Any) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                y, u, v = frame.planes
                window.present(
                    *(y, u, v, y.line_size, u.line_size, v.line_size, frame.width, frame.height),
                    bt709=True, full_range=False,
                )  # fmt: skip

    pc.on("track", lambda track: shows.append(asyncio.create_task(show(track))))
    await _until_offered(signal_port)
    async with ClientSession(f"http://127.0.0.1:{signal_port}") as http:
        offer = await (await http.get("/offer")).json()
        await pc.setRemoteDescription(RTCSessionDescription(offer["sdp"], offer["type"]))
        await pc.setLocalDescription(await pc.createAnswer())
        said = await http.post("/answer", json={"sdp": pc.localDescription.sdp, "type": "answer"})
        said.raise_for_status()
        await done.wait()
    await pc.close()
    window.close()


async def _until_offered(port: int) -> None:
    until = asyncio.get_running_loop().time() + _OFFER_TIMEOUT_S
    while not answers(port):
        if asyncio.get_running_loop().time() > until:
            raise SystemExit("no offer within 15 s")
        await asyncio.sleep(0.05)


def _browse(signal_port: int, display: str, size: tuple[str, str], home: Path) -> None:
    asyncio.run(_until_offered(signal_port))
    flags = ("--disable-features=WebRtcHideLocalIpsWithMdns", "--autoplay-policy=no-user-gesture-required")
    browser = start_browser(f"http://127.0.0.1:{signal_port}/", display, size, home, flags)
    try:
        browser.wait()
    except KeyboardInterrupt:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(browser.pid, signal.SIGKILL)


def main() -> None:
    action, *arguments = sys.argv[1:]
    if action == "send":
        feed, signal_port, entry = map(int, arguments[:3])
        asyncio.run(_send(feed, signal_port, entry, arguments[3:]))
    elif action == "receive":
        port, display, width, height = arguments
        asyncio.run(_receive(int(port), display, int(width), int(height)))
    else:
        port, display, width, height, home = arguments
        _browse(int(port), display, (width, height), Path(home))


if __name__ == "__main__":
    main()
