/** The changes of the device, newest first, merged by revision: in whatever order records arrive, the newest one stays. Pure. */

import type { ChangeRecord, StepRecord } from "../values";
import { isFinal } from "./chutes";

export type Changes = readonly ChangeRecord[];

/** How many are kept in memory. */
export const KEPT = 50;

/** *changes* with *records* merged in. A record older than the one known is ignored. */
export function merged(changes: Changes, records: readonly ChangeRecord[]): Changes {
  const byId = new Map(changes.map((change) => [change.id, change]));
  for (const record of records) {
    const known = byId.get(record.id);
    if (known === undefined || record.revision > known.revision) byId.set(record.id, record);
  }
  const newestFirst = [...byId.values()].sort((a, b) => b.created - a.created || (a.id < b.id ? 1 : -1));
  return newestFirst.slice(0, KEPT);
}

/** How far a change is. `done` of `total` steps are behind it; `current` is the step it is at, or the one it failed at. */
export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly current: StepRecord | undefined;
}

export function progress(change: ChangeRecord): Progress {
  const done = change.steps.filter((step) => step.state === "done").length;
  const current =
    change.steps.find((step) => step.state === "failed") ?? change.steps.find((step) => step.state === "running");
  return { done, total: change.steps.length, current };
}

/** Whether *record* tells of a failure that was not known from *changes*: worth telling a person at once. */
export function isNewFailure(changes: Changes, record: ChangeRecord): boolean {
  if (record.state !== "failed" && record.state !== "rolled back") return false;
  const known = changes.find((change) => change.id === record.id);
  return known === undefined || (!isFinal(known) && record.revision > known.revision);
}
