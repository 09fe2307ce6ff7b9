// The web worker: it alone holds the socket, so that nothing the page draws delays a picture. It decodes and draws
// pictures and passes everything else to the page.

const HEAD = 24; // receiver/dashboard/viewer.py: kind, flags, 2 bytes, frame id, capture µs, stream's µs
const H264 = 1;
const SILENCE_MS = 2000; // state comes four times a second
const RETRY_MS = [100, 250, 500];
const BEHIND = 6; // units in the decoder
const STALE_US = 500_000; // later than the quickest by this much: what waited in buffers while the tab slept

let socket = null;
let canvas = null;
let context = null;
let track = null; // a writer: what is written is shown by a <video>
let size = "";
let joined = 0; // when the first picture was shown, wall clock
let decoder = null;
let codec = "";
let mode = "VideoDecoder" in self ? "h264" : "jpeg";
let visible = true;
let waitKey = true;
let failures = 0;
let received = 0;
let captures = new Map(); // timestamp → capture µs
let best = null; // { rtt, offset, at }: player's µs minus ours
let quickest = Infinity; // least age of a unit at its arrival, µs
let ages = [];
let drawn = 0;
let started = false; // the decoder has given a picture; until then it may take its time

const now = () => performance.now() * 1000;
const tell = (message) => postMessage(message);
const command = (content) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(content));

onmessage = ({ data }) => {
  if (data.canvas) {
    canvas = data.canvas;
    context = canvas.getContext("2d", { alpha: false, desynchronized: true });
    track = data.track?.getWriter() ?? null;
  } else if ("visible" in data) {
    visible = data.visible;
    watch();
  } else if (data.command) {
    command(data.command);
  }
};

setInterval(() => {
  if (socket?.readyState === WebSocket.OPEN) {
    command({ do: "ping", t: performance.now() });
    if (performance.now() - received > SILENCE_MS) lost();
  }
  const sorted = ages.sort((a, b) => a - b);
  ages = [];
  tell({ drawn, p50: sorted[Math.floor(sorted.length / 2)], p95: sorted[Math.floor(sorted.length * 0.95)], bound: best && best.rtt / 2 });
  drawn = 0;
}, 1000);

function connect() {
  const address = new URL("ws", self.location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    failures = 0;
    received = performance.now();
    best = null;
    quickest = Infinity;
    tell({ link: true });
    command({ do: "ping", t: performance.now() });
    watch();
  };
  socket.onmessage = ({ data }) => {
    received = performance.now();
    if (typeof data !== "string") picture(data);
    else receive(JSON.parse(data));
  };
  socket.onclose = lost;
}

function lost() {
  if (!socket) return;
  socket.onclose = socket.onmessage = socket.onopen = null;
  socket.close();
  socket = null;
  tell({ link: false });
  setTimeout(connect, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
}

function receive(message) {
  if (message.type !== "pong") {
    tell({ message });
    return;
  }
  const rtt = now() - message.t * 1000;
  if (!best || rtt < best.rtt || now() - best.at > 30e6) best = { rtt, offset: message.now_us - (message.t * 1000 + rtt / 2), at: now() };
}

function watch() {
  waitKey = true;
  command({ do: "watch", as: visible ? mode : "" });
}

function refuse(why) {
  mode = "jpeg";
  tell({ refusal: why });
}

function again(why) {
  waitKey = true;
  if (decoder && decoder.state !== "closed") decoder.close();
  decoder = null;
  started = false;
  captures.clear();
  command({ do: "key", why });
}

function picture(buffer) {
  const head = new DataView(buffer);
  const kind = head.getUint8(0), key = Boolean(head.getUint8(1) & 1);
  const capture = head.getFloat64(8, true), time = head.getFloat64(16, true);
  const data = new Uint8Array(buffer, HEAD);
  if (kind !== H264) {
    createImageBitmap(new Blob([data], { type: "image/jpeg" })).then((image) => canvas && show(image, image.width, image.height, capture), () => command({ do: "key", why: "error" }));
    return;
  }
  if (mode !== "h264" || (waitKey && !key)) return;
  if (best && capture) {
    const age = now() + best.offset - capture;
    quickest = Math.min(quickest, age);
    if (age > quickest + STALE_US) {
      quickest += 1000; // the path itself may have become slower
      if (!waitKey) again("behind");
      return;
    }
  }
  if (started && decoder.decodeQueueSize > BEHIND) return again("behind");
  if (key && !configure(data)) return;
  if (!decoder) return;
  waitKey = false;
  captures.set(time, capture);
  if (captures.size > 64) captures.delete(captures.keys().next().value);
  decoder.decode(new EncodedVideoChunk({ type: key ? "key" : "delta", timestamp: time, data }));
}

// A decoder for this key frame's parameter sets: the present one where they are the same.
function configure(data) {
  const sps = spsOf(data);
  if (!sps) return Boolean(decoder);
  if (decoder && sps === codec) return true;
  codec = sps;
  if (decoder && decoder.state !== "closed") decoder.close();
  started = false;
  decoder = new VideoDecoder({ output, error: () => again("error") });
  const config = { codec: `avc1.${sps.slice(0, 6)}`, optimizeForLatency: true };
  VideoDecoder.isConfigSupported(config).then(({ supported }) => {
    if (!supported) {
      refuse("no H.264");
      watch();
    }
  });
  try {
    decoder.configure(config);
  } catch {
    refuse("no H.264");
    watch();
    return false;
  }
  return true;
}

function output(frame) {
  const capture = captures.get(frame.timestamp) ?? 0;
  captures.delete(frame.timestamp);
  started = true;
  if (!canvas) {
    frame.close(); // the page is still being read
    return;
  }
  if (!track) {
    show(frame, frame.displayWidth, frame.displayHeight, capture);
    return;
  }
  seeSize(frame.displayWidth, frame.displayHeight, true);
  track.write(frame).catch(() => { track = null; }); // the canvas from now on
  count(capture);
}

function show(image, width, height, capture) {
  if (seeSize(width, height, false)) {
    canvas.width = width;
    canvas.height = height;
  }
  context.drawImage(image, 0, 0);
  image.close();
  count(capture);
}

function seeSize(width, height, video) {
  const seen = `${width}x${height} ${video}`;
  if (seen === size) return false;
  size = seen;
  tell({ size: [width, height], video });
  return true;
}

function count(capture) {
  if (!joined) {
    joined = performance.timeOrigin + performance.now();
    tell({ joined });
  }
  drawn++;
  if (best && capture) ages.push((now() + best.offset - capture) / 1000);
}

if (mode === "jpeg") refuse(self.isSecureContext ? "no WebCodecs" : "insecure");
connect();

// Hexadecimal of the first SPS in Annex B bytes; its first three bytes are profile, constraints, level.
function spsOf(data) {
  for (let at = 0; at + 7 < data.length && at < 4096; at++) {
    if (data[at] || data[at + 1] || data[at + 2] !== 1 || (data[at + 3] & 0x1f) !== 7) continue;
    let end = at + 4;
    while (end + 2 < data.length && (data[end] || data[end + 1] || data[end + 2] > 1)) end++;
    return Array.from(data.subarray(at + 4, end), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  return "";
}
