/** The lines of one log that are held in memory, and the cursor to go on from. Pure. */

import type { LogLine, LogPage } from "../values";

export interface Log {
  readonly source: string;
  readonly lines: readonly LogLine[];
  /** Sequence number of the last line read; `null` before the first page. */
  readonly cursor: number | null;
  /** Highest sequence number the device has told of. */
  readonly head: number;
  /** How many lines in between are gone, because the device's disk cap removed them before they were read. */
  readonly missed: number;
}

/** How many lines are held; older ones are dropped from the top. */
export const CAPACITY = 2000;

export function opened(source: string): Log {
  return { source, lines: [], cursor: null, head: 0, missed: 0 };
}

/**
 * *log* with the lines of *page* appended, those after the cursor. A page that ends before the cursor is of a log that was lost
 * and begun anew on the device: it takes the place of everything (`LogStore.read` in `paradrop/logstore/store.py`).
 */
export function appended(log: Log, page: LogPage): Log {
  if (page.source !== log.source) return log;
  const { cursor } = log;
  if (cursor !== null && page.cursor < cursor) return { ...opened(log.source), lines: page.lines, cursor: page.cursor, head: page.cursor };
  const fresh = cursor === null ? page.lines : page.lines.filter((line) => line.seq > cursor);
  const next = Math.max(cursor ?? 0, page.cursor);
  return {
    source: log.source,
    lines: fresh.length === 0 ? log.lines : [...log.lines, ...fresh].slice(-CAPACITY),
    cursor: next,
    head: Math.max(log.head, next),
    missed: log.missed + (cursor === null ? 0 : page.missed),
  };
}

/** *log* after the device told that it grew up to *seq*. */
export function grown(log: Log, seq: number): Log {
  return seq > log.head ? { ...log, head: seq } : log;
}

/** Whether the device is known to hold lines that were not read yet. */
export function isBehind(log: Log): boolean {
  return log.cursor !== null && log.head > log.cursor;
}

/**
 * *log* ready to read on. One that is behind by more than it can hold starts again just before the end: every line it would
 * read until there would be dropped from the top anyway.
 */
export function caughtUp(log: Log): Log {
  if (log.cursor === null || log.head - log.cursor <= CAPACITY) return log;
  return { ...log, lines: [], cursor: log.head - CAPACITY, missed: 0 };
}

/** The services that printed something, by name. */
export function services(log: Log): readonly string[] {
  return [...new Set(log.lines.map((line) => line.service))].filter((name) => name !== "").sort();
}
