// Numbers for people; what is unknown says so.

export const number = (value, digits, unit = "") =>
  value === null || value === undefined || Number.isNaN(value) ? "unknown" : `${value.toFixed(digits)}${unit && ` ${unit}`}`;

export const rate = (bps) => (bps === null || bps === undefined ? "no limit" : `${number(bps / 1e6, bps < 1e7 ? 1 : 0)} Mbit/s`);

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds)), pad = (value) => String(value).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
}
