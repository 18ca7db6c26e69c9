/** Numbers and times as people read them. Pure. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** *size* in bytes, with three significant digits: `65.2 MiB`. */
export function bytes(size: number): string {
  let unit = 0;
  let value = Math.max(0, size);
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? ""}`;
}

/** A span of seconds with its two largest units: `2 d 4 h`. A negative span is none. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) return pair(days, "d", hours % 24, "h");
  if (hours > 0) return pair(hours, "h", minutes % 60, "min");
  if (minutes > 0) return minutes < 5 ? pair(minutes, "min", whole % 60, "s") : `${minutes} min`;
  return `${whole} s`;
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** How long something took, in seconds. */
export function took(seconds: number): string {
  return seconds < 1 ? "under 1 s" : duration(seconds);
}

/** How long ago *time* was, at *now* (both in seconds since the epoch). */
export function ago(time: number, now: number): string {
  const seconds = now - time;
  if (seconds < 5) return "just now";
  if (seconds < 60) return "less than a minute ago";
  return `${duration(Math.floor(seconds / 60) * 60)} ago`;
}

/** How much of *total* is used when *free* is left, between 0 and 1. */
export function used(total: number, free: number): number {
  return total <= 0 ? 0 : Math.min(1, Math.max(0, (total - free) / total));
}

/** `14:03:27.120`, in the reader's own time zone. */
export function clock(time: number): string {
  const date = new Date(time * 1000);
  const [hours, minutes, seconds] = [date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => pad(n, 2));
  return `${hours ?? ""}:${minutes ?? ""}:${seconds ?? ""}.${pad(date.getMilliseconds(), 3)}`;
}

/** The whole date and time, for a tooltip. */
export function moment(time: number): string {
  return new Date(time * 1000).toLocaleString();
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, "0");
}
