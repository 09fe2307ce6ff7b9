// Started before the rest of the page is read: the first picture does not wait for it. What it says meanwhile is kept.

export const worker = new Worker("decoder.js", { type: "module" });
const early = [];
worker.onmessage = (event) => early.push(event);

export function listen(handler) {
  worker.onmessage = handler;
  early.forEach(handler);
}
