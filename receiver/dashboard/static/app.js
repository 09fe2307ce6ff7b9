// The page: what the worker passes on becomes words, tiles, graphs and events; buttons and keys become commands.

import { Chart } from "./charts.js";
import { listen, worker } from "./worker.js";
import { number, rate, duration } from "./words.js";

const $ = (id) => document.getElementById(id);
const STAGE_INKS = ["#2f7ed8", "#8bbc21", "#c8452f", "#6b4fbb", "#1aadce", "#b8860b", "#d2527f", "#7a7a7a", "#4f8f6b"];
const MODES = ["1920x1080@24", "1920x1080@25", "1920x1080@30", "1280x720@25", "1280x720@30", "1280x720@50", "1280x720@60"]; // what bridge and encoder can handle
const BITRATES = [1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 30];
const ADVICE = {
  insecure: "This address is not a secure context, so the browser disables its video decoder: pictures arrive as JPEG, a few per second. "
    + "For all pictures, open the page on the player's own machine, or through ssh -L 5080:localhost:5080.",
  "no WebCodecs": "This browser has no WebCodecs: pictures arrive as JPEG, a few per second. For all pictures, use a current Chromium, Edge, Safari or Firefox.",
  "no H.264": "This browser cannot decode this stream's H.264: pictures arrive as JPEG, a few per second. "
    + "For all pictures, use Chrome, Edge, Safari or Debian's Chromium.",
};
const MAX_EVENTS = 256;

let state = null;
let seconds = [];
let epoch = 0; // wall-clock ms of the player's µs 0
let linkLost = performance.now();
let linked = false;
let here = {};
let stream = null;

document.body.classList.toggle("alone", new URLSearchParams(location.search).get("view") === "picture");

const offscreen = $("canvas").transferControlToOffscreen();
// Chromium shows a generated track a refresh sooner than a canvas (`thinair bench glass --peers thinair-browser`).
if ("MediaStreamTrackGenerator" in window) {
  const track = new MediaStreamTrackGenerator({ kind: "video" });
  stream = new MediaStream([track]);
  worker.postMessage({ canvas: offscreen, track: track.writable }, [offscreen, track.writable]);
} else worker.postMessage({ canvas: offscreen }, [offscreen]);
listen(({ data }) => {
  if ("link" in data) seeLink(data.link);
  else if (data.message) receive(data.message);
  else if (data.size) showSize(...data.size, data.video);
  else if (data.joined) document.body.dataset.joined = Math.round(data.joined - performance.timeOrigin); // ms, for the bench
  else if (data.refusal) {
    $("advice").hidden = false;
    $("advice").textContent = ADVICE[data.refusal];
  } else if ("drawn" in data) {
    here = data;
    showHere();
  }
});
document.addEventListener("visibilitychange", () => worker.postMessage({ visible: !document.hidden }));
const command = (content) => worker.postMessage({ command: content });

function receive(message) {
  if (message.type === "history") {
    epoch = Date.now() - message.now_us / 1000;
    seconds = message.seconds;
    $("events").replaceChildren();
    message.events.forEach(addEvent);
    drawCharts();
  } else if (message.type === "second") {
    seconds.push(message);
    if (seconds.length > 900) seconds.shift();
    showSecond(message);
    drawCharts();
  } else if (message.type === "event") addEvent(message);
  else if (message.type === "state") showState(message);
}

function showSize(width, height, video) {
  if (video && !$("video").srcObject) $("video").srcObject = stream; // earlier, it would keep the page from being loaded
  $("video").hidden = !video;
  $("canvas").hidden = video;
  for (const id of ["video", "canvas"]) $(id).style.aspectRatio = `${width} / ${height}`;
}

function seeLink(up) {
  linked = up;
  linkLost = performance.now();
  showTrouble();
}

function showState(next) {
  state = next;
  $("camera").textContent = state.camera || "thinair";
  $("mode").textContent = state.mode;
  document.title = `${state.trouble ? "⚠ " : ""}${state.recording.state === "on" ? "● " : ""}${state.camera || "thinair"}`;
  const { p50, p95 } = state.latency_ms;
  $("latency-now").textContent = p50 === null || state.clock_bound_us === null ? "latency unknown: clock not locked yet"
    : `latency ${number(p50, 1)} ms, p95 ${number(p95, 1)}, ± ${number(state.clock_bound_us / 1000, 2)}`;
  $("latency").value = state.latency_mode;
  setMode(state.mode);
  setLimit($("min"), state.limits_bps[0]);
  setLimit($("max"), state.limits_bps[1]);
  const viewers = state.viewers;
  $("display").textContent = `window: ${state.presenter}, stamp ${state.stamp_quality.replaceAll("_", " ")} · browsers: ${viewers.open}`
    + (viewers.dropped ? `, ${viewers.dropped} disconnected because they did not read` : "");
  showRecording(state.recording);
  showTrouble();
}

function showTrouble() {
  const silent_s = (performance.now() - linkLost) / 1000;
  const words = !linked ? `no data from the player for ${number(silent_s, 0)} s` : state ? state.trouble : "";
  $("trouble").hidden = !words;
  $("trouble").textContent = words;
  $("picture").classList.toggle("stale", Boolean(words));
  const status = $("status");
  const text = !linked ? "not connected" : words ? "no picture" : "live";
  if (status.textContent !== text) status.textContent = text;
  $("unencrypted").hidden = !state || state.encrypted;
  status.className = `pill ${words ? "bad" : "good"}`;
  if (!linked) showHere();
}
setInterval(() => linked || showTrouble(), 1000);

function showHere() {
  const known = linked && here.drawn && here.p50 !== undefined;
  $("here").textContent = known ? `in this browser: ${here.drawn} pictures/s, drawn ${number(here.p50, 0)} ms after capture, p95 ${number(here.p95, 0)}, ± ${number(here.bound / 1000, 1)}` : "";
}

function showRecording(recording) {
  const pill = $("recording"), button = $("record");
  const wanted = recording.state !== "off";
  button.setAttribute("aria-pressed", String(wanted));
  button.lastChild.textContent = wanted ? " Stop recording" : " Record";
  pill.hidden = !wanted;
  const words = {
    on: `recording ${duration(recording.seconds)}, ${number((recording.bytes || 0) / 1e6, 0)} MB`
      + (recording.left_s !== null && recording.left_s < 600 ? `, ${duration(recording.left_s)} left on the disk` : ""),
    waiting: "recording starts with the next key frame",
    failed: `not recording: ${recording.why}`,
  }[recording.state] || "";
  if (pill.textContent !== words) pill.textContent = words;
  pill.className = `pill ${recording.state === "failed" ? "bad" : recording.left_s < 600 && recording.left_s !== null ? "warn" : "good"}`;
}

// ---- figures of a second

function showSecond(second) {
  const tiles = [
    ["latency p50", number(second.latency_ms[0], 1, "ms")],
    ["p95", number(second.latency_ms[1], 1, "ms")],
    ["p99", number(second.latency_ms[2], 1, "ms")],
    ["largest glass age", number(second.glass_age_ms, 0, "ms")],
    ["pictures shown", `${number(second.shown, 0)}/s`],
    ["lost", `${number(second.lost, 0)}/s`, second.lost > 0],
    ["repaired", `${number(second.repaired, 0)}/s`],
    ["bitrate", rate(second.bitrate_bps)],
    ["network capacity", second.capacity_bps === null ? "above the bitrate" : rate(second.capacity_bps)],
    ["round trip", number(second.rtt_ms, 1, "ms")],
    ["clock bound", second.clock_bound_ms === null ? "unknown" : `± ${number(second.clock_bound_ms, 2)} ms`],
  ];
  $("tiles").replaceChildren(...tiles.map(([label, value, bad]) => {
    const tile = element("div", { className: bad ? "tile warn" : "tile" });
    tile.append(element("b", { textContent: value }), element("span", { textContent: label }));
    return tile;
  }));
  const stages = Object.entries(second.stages_ms);
  const whole = stages.reduce((sum, [, value]) => sum + Math.max(0, value ?? 0), 0);
  $("bar").replaceChildren(...stages.map(([, value], index) => {
    const part = element("div");
    part.style.cssText = `flex: ${Math.max(0, value ?? 0) / (whole || 1)} 0 0; background: ${STAGE_INKS[index]}`;
    return part;
  }));
  $("stages").replaceChildren(...stages.map(([name, value], index) => {
    const item = element("li"), ink = element("i");
    ink.style.background = STAGE_INKS[index];
    item.append(ink, element("span", { textContent: name }), element("b", { textContent: number(value, 2, "ms") }));
    return item;
  }));
}

const charts = [
  new Chart("Latency, ms", [["p50", (s) => s.latency_ms[0]], ["p95", (s) => s.latency_ms[1]], ["p99", (s) => s.latency_ms[2]]]),
  new Chart("Largest glass age, ms", [["age", (s) => s.glass_age_ms]]),
  new Chart("Frames a second", [["lost", (s) => s.lost], ["repaired", (s) => s.repaired], ["skipped", (s) => s.skipped]]),
  new Chart("Mbit/s", [["received", (s) => s.bitrate_bps / 1e6], ["target", (s) => s.target_bps && s.target_bps / 1e6], ["available", (s) => s.capacity_bps && s.capacity_bps / 1e6]]),
  new Chart("Round trip and clock bound, ms", [["round trip", (s) => s.rtt_ms], ["bound", (s) => s.clock_bound_ms]]),
  new Chart("Repair symbols per packet", [["ratio", (s) => s.repair_ratio]]),
];
$("charts").append(...charts.map((chart) => chart.figure));

function drawCharts() {
  if (document.hidden) return;
  const span = Number($("span").value);
  const end = seconds.length ? seconds[seconds.length - 1].now_us / 1e6 : 0;
  charts.forEach((chart) => chart.draw(seconds, end - span, end));
}
$("span").onchange = drawCharts;
addEventListener("resize", drawCharts);

// ---- events

function addEvent(event) {
  const item = element("li");
  const time = element("time", { textContent: new Date(epoch + event.now_us / 1000).toLocaleTimeString() });
  item.append(time, element("span", { className: "kind", textContent: event.kind }), element("span", { textContent: event.text }));
  $("events").prepend(item);
  while ($("events").childElementCount > MAX_EVENTS) $("events").lastChild.remove();
}

// ---- controls

function setMode(mode) {
  const select = $("camera-mode");
  if (document.activeElement === select) return;
  const known = [...select.options].some((option) => option.value === mode);
  if (!known && /@/.test(mode)) select.append(new Option(mode, mode));
  select.value = /@/.test(mode) ? mode : "";
}

function setLimit(select, bps) {
  if (document.activeElement === select) return;
  const value = bps === null ? "" : String(bps);
  if (![...select.options].some((option) => option.value === value)) select.append(new Option(rate(bps), value));
  select.value = value;
}
for (const [id, none] of [["min", "no limit"], ["max", "no limit"]]) {
  $(id).append(new Option(none, ""), ...BITRATES.map((mbit) => new Option(`${mbit} Mbit/s`, mbit * 1e6)));
  $(id).onchange = () => {
    const [min, max] = [$("min").value, $("max").value].map((text) => (text ? Number(text) : null));
    if (min !== null && max !== null && min > max) $(id === "min" ? "max" : "min").value = $(id).value;
    const [low, high] = [$("min").value, $("max").value].map((text) => (text ? Number(text) : null));
    command({ do: "limits", min_bps: low, max_bps: high });
    $(id).blur();
  };
}
$("camera-mode").append(new Option("mode", ""), ...MODES.map((mode) => new Option(mode, mode)));
$("camera-mode").onchange = () => {
  if ($("camera-mode").value) command({ do: "mode", mode: $("camera-mode").value });
  $("camera-mode").blur();
};
$("latency").onchange = () => command({ do: "latency", mode: $("latency").value });
$("record").onclick = () => command({ do: "record", on: $("record").getAttribute("aria-pressed") !== "true" });
$("key").onclick = () => command({ do: "key", why: "person" });
$("full").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : $("picture").requestFullscreen());
$("theme").onclick = () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark"
    || (getComputedStyle(document.documentElement).colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  setTheme(dark ? "light" : "dark");
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("select, input")) return;
  const button = { r: "record", k: "key", f: "full", t: "theme" }[event.key.toLowerCase()];
  if (button) $(button).click();
});

function setTheme(theme) {
  document.documentElement.style.colorScheme = theme;
  localStorage.setItem("theme", theme);
  drawCharts();
}
const stored = localStorage.getItem("theme");
if (stored === "light" || stored === "dark") setTheme(stored);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);

function element(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}
