/** The chutes of the device, in the order they are shown. Pure. */

import type { ChangeRecord, ChuteStatus } from "../values";

export type Chutes = readonly ChuteStatus[];

/** Whatever was known is replaced by what the device lists now. */
export function listed(chutes: Chutes): Chutes {
  return [...chutes].sort((a, b) => a.name.localeCompare(b.name));
}

export function updated(chutes: Chutes, chute: ChuteStatus): Chutes {
  return listed([...chutes.filter((other) => other.name !== chute.name), chute]);
}

export function removed(chutes: Chutes, name: string): Chutes {
  return chutes.filter((chute) => chute.name !== name);
}

/** The names in *before* that are not in *after*, or stand there for another chute: releases count from 1 again for that one. */
export function gone(before: Chutes, after: Chutes): readonly string[] {
  const now = new Map(after.map((chute) => [chute.name, chute.release]));
  return before.filter(({ name, release }) => (now.get(name) ?? 0) < release).map(({ name }) => name);
}

/** The change that is under way for *chute*: while there is one, no other may be asked for. */
export function changing(chute: string, changes: readonly ChangeRecord[]): ChangeRecord | undefined {
  return changes.find((change) => change.chute === chute && !isFinal(change));
}

export function isFinal(change: ChangeRecord): boolean {
  return change.state === "done" || change.state === "failed" || change.state === "rolled back";
}
