// A line chart over time on a canvas. A second without a value is a gap, never a zero.

import { number } from "./words.js";

const TOP = 6, BOTTOM = 18, LEFT = 38;

export class Chart {
  constructor(title, series) {
    this.series = series;
    this.figure = document.createElement("figure");
    this.caption = document.createElement("figcaption");
    this.title = document.createElement("b");
    this.title.textContent = title;
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", title);
    this.legends = series.map((_, index) => {
      const legend = document.createElement("span");
      legend.style.setProperty("--ink", `var(--c${index})`);
      return legend;
    });
    this.caption.append(this.title, ...this.legends);
    this.figure.append(this.caption, this.canvas);
    this.pointer = null;
    this.canvas.onpointermove = (event) => this.point(event.offsetX);
    this.canvas.onpointerleave = () => this.point(null);
  }

  point(x) {
    this.pointer = x;
    if (this.last) this.draw(...this.last);
  }

  // `seconds` oldest first; shows [from, to], seconds of the player's clock.
  draw(seconds, from, to) {
    this.last = [seconds, from, to];
    const canvas = this.canvas, scale = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const shown = seconds.filter((one) => one.now_us / 1e6 >= from);
    const values = this.series.map(([, read]) => shown.map(read));
    const top = niceTop(Math.max(0, ...values.flat().filter((value) => typeof value === "number")));
    const x = (at) => LEFT + ((at - from) / (to - from || 1)) * (width - LEFT - 4);
    const y = (value) => height - BOTTOM - (value / top) * (height - BOTTOM - TOP);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = resolve(canvas, "--soft");
    context.strokeStyle = resolve(canvas, "--line");
    context.lineWidth = 1;
    for (const part of [0, 0.5, 1]) {
      context.beginPath();
      context.moveTo(LEFT, y(top * part));
      context.lineTo(width, y(top * part));
      context.stroke();
      context.textAlign = "right";
      context.fillText(Number((top * part).toPrecision(3)), LEFT - 5, y(top * part) + 4);
    }
    context.textAlign = "left";
    context.fillText(`−${Math.round((to - from) / 60)} min`, LEFT, height - 4);
    context.textAlign = "right";
    context.fillText("now", width - 2, height - 4);
    let chosen = shown.length - 1;
    if (this.pointer !== null && shown.length) {
      const at = from + ((this.pointer - LEFT) / (width - LEFT - 4)) * (to - from);
      chosen = shown.reduce((best, one, index) => (Math.abs(one.now_us / 1e6 - at) < Math.abs(shown[best].now_us / 1e6 - at) ? index : best), 0);
      context.beginPath();
      context.moveTo(x(shown[chosen].now_us / 1e6), TOP);
      context.lineTo(x(shown[chosen].now_us / 1e6), height - BOTTOM);
      context.stroke();
    }
    values.forEach((line, index) => {
      context.strokeStyle = context.fillStyle = resolve(canvas, `--c${index}`);
      context.lineWidth = 1.6;
      context.setLineDash([[], [5, 3], [2, 2]][index]); // not by colour alone
      context.beginPath();
      let pen = false;
      line.forEach((value, at) => {
        const known = typeof value === "number";
        if (known) context[pen ? "lineTo" : "moveTo"](x(shown[at].now_us / 1e6), y(Math.min(value, top)));
        pen = known;
      });
      context.stroke();
      context.setLineDash([]);
      const value = line[chosen];
      this.legends[index].textContent = `${this.series[index][0]} ${typeof value === "number" ? number(value, value < 10 ? 2 : 0) : "unknown"}`;
    });
  }
}

// Custom properties with light-dark() resolve only as a colour of something.
function resolve(canvas, name) {
  canvas.style.color = `var(${name})`;
  return getComputedStyle(canvas).color;
}

function niceTop(value) {
  if (value <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 5, 8, 10].map((step) => step * unit).find((top) => top >= value);
}
