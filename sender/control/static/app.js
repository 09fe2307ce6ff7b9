// The operator page: state of the status LED, preview once a second, telemetry, log; pairing over USB.
const API = "/api/v1";
const EVERY_MS = 1000;
const $ = (id) => document.getElementById(id);
const unknown = "unknown";

async function call(path, method = "GET") {
  const answer = await fetch(API + path, { method, signal: AbortSignal.timeout(5000) });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.problem ?? `error ${answer.status}`);
  return content;
}

function report(text) { $("message").textContent = text; }

function act(button, path, done, method = "POST") {
  $(button).addEventListener("click", async () => {
    $(button).disabled = true;
    try {
      report("");
      await done(await call(path, method));
    } catch (error) {
      report(error.message);
    } finally {
      $(button).disabled = false;
    }
  });
}

// ---- the status LED, as the board blinks it

let pattern = [];

async function blink() {
  for (;;) {
    const now = pattern;
    for (let at = 0; at < now.length && now === pattern; at++) {
      $("led").classList.toggle("on", at % 2 === 0);
      await new Promise((ready) => setTimeout(ready, now[at]));
    }
    if (!now.length) await new Promise((ready) => setTimeout(ready, 200));
  }
}

// ---- status and telemetry

function bars(dbm) {
  const full = Math.max(0, Math.min(4, Math.round((dbm + 90) / 10)));
  return "▮".repeat(full) + "▯".repeat(4 - full);
}

function rowsOf(s) {
  const latency = s.latency_ms === null ? unknown : `${s.latency_ms.toFixed(1)} ms ± ${(s.latency_bound_ms ?? 0).toFixed(1)}`;
  return {
    Receiver: s.receiver ?? "none",
    Mode: s.mode ?? unknown,
    Latency: latency,
    Bitrate: `${(s.bitrate_bps / 1e6).toFixed(1)} Mbit/s of ${(s.limits.max_bps / 1e6).toFixed(1)}`,
    Signal: s.signal_dbm === null ? unknown : `${bars(s.signal_dbm)} ${s.signal_dbm} dBm`,
    Battery: s.battery_percent === null ? unknown : `${s.battery_percent} %`,
    Encrypted: s.encrypted ? "yes" : "no",
    Model: s.model,
  };
}

function show(s) {
  $("name").textContent = s.name;
  document.title = `${s.name}: ${s.status_led.state}`;
  $("state").textContent = s.source || s.status_led.state;
  $("led").setAttribute("aria-label", `status LED: ${s.status_led.state}`);
  if (s.status_led.pattern_ms.join() !== pattern.join()) pattern = s.status_led.pattern_ms;
  const rows = Object.entries(rowsOf(s)).flatMap(([key, value]) => {
    const [name, text] = [document.createElement("dt"), document.createElement("dd")];
    name.textContent = key;
    text.textContent = value;
    return [name, text];
  });
  $("telemetry").replaceChildren(...rows);
}

async function preview() {
  const answer = await fetch(`${API}/preview.jpg`, { signal: AbortSignal.timeout(5000) });
  const there = answer.ok;
  if (there) {
    const before = $("preview").src;
    $("preview").src = URL.createObjectURL(await answer.blob());
    if (before) URL.revokeObjectURL(before);
  }
  $("preview").hidden = !there;
  $("no-picture").hidden = there;
}

async function logs() {
  const { lines } = await call("/logs");
  $("log").replaceChildren(...lines.slice(-60).reverse().map(({ at_s, text }) => {
    const line = document.createElement("li");
    line.textContent = `${at_s.toFixed(1)} s  ${text}`;
    return line;
  }));
}

// ---- pairing: over USB and on the sender itself only

function picture(id, svg) {
  $(id).replaceChildren();
  if (svg) $(id).append(document.importNode(new DOMParser().parseFromString(svg, "image/svg+xml").documentElement, true));
}

function pairing(p) {
  $("pairing").hidden = false;
  $("code").textContent = p.code ?? "closed";
  $("how").textContent = p.code === null
    ? "Pairing is closed after too many wrong codes. A new code opens it again."
    : `On the receiver, run thinair pair ${p.place} and type this code, or scan it.`;
  picture("code-qr", p.qr);
  $("paired").replaceChildren(...p.paired.map((one) => {
    const [line, name, button] = ["li", "span", "button"].map((kind) => document.createElement(kind));
    name.textContent = `${one.name} (${one.fingerprint.slice(0, 12)})`;
    button.textContent = "Remove";
    button.setAttribute("aria-label", `Remove the pairing with ${one.name}`);
    button.addEventListener("click", async () => {
      if (confirm(`Remove the pairing with ${one.name}? It must pair again to connect.`)) {
        await call(`/pairings/${one.fingerprint}`, "DELETE").catch((error) => report(error.message));
        await showPairing();
      }
    });
    line.append(name, button);
    return line;
  }));
}

async function showPairing() {
  try {
    pairing(await call("/pairing"));
  } catch {
    $("pairing").hidden = true; // not over USB: the sender refuses
  }
}

act("key", "/key-frame", () => report(""));
act("renew", "/pairing/renew", pairing);
act("link", "/page-links", ({ qr }) => picture("link-qr", qr));
$("restart").addEventListener("click", async () => {
  if (!confirm("Restart the sender? The picture stops for a few seconds.")) return;
  await call("/restart", "POST").then(() => report("restarting"), (error) => report(error.message));
});

let turn = 0;
async function round() {
  if (!document.hidden) {
    try {
      show(await call("/status"));
      await preview();
      if (turn++ % 5 === 0) await Promise.all([logs(), showPairing()]);
      document.body.dataset.ready = "1";
    } catch (error) {
      pattern = [];
      $("led").classList.remove("on");
      $("state").textContent = error.name === "TypeError" || error.name === "TimeoutError"
        ? "the sender does not answer" : error.message;
    }
  }
  setTimeout(round, EVERY_MS);
}

blink();
round();
