/** Values for the tests: complete, with what a test is about put over them. */

import type { ChangeRecord, ChuteStatus, LogLine, LogPage, NodeInfo } from "../src/values";

export function change(over: Partial<ChangeRecord>): ChangeRecord {
  return {
    id: "1", kind: "deploy", chute: "hello", state: "running", created: 100, version: "1.0.0", actor: "owner",
    steps: [], reason: "", retry: false, finished: null, revision: 1, ...over,
  };
}

export function chute(over: Partial<ChuteStatus>): ChuteStatus {
  return {
    name: "hello", version: "1.0.0", release: 1, state: "running", want: "running", description: "", since: 100, web: null,
    services: [], detail: "", ...over,
  };
}

export function node(over: Partial<NodeInfo> = {}): NodeInfo {
  return {
    name: "box", pdid: null, version: "1.0.0", mode: "local", started: 0, now: 100,
    engine: { name: "process", version: "", available: true, isolates: [], shares: [], detail: "" },
    site: "", chutes: 0, running: 0, system: "", machine: "", processors: 1, load: 0, memory_total: 0, memory_available: 0,
    disk_total: 0, disk_free: 0, agent_memory: 0, uplink: { state: "not provisioned", pdid: null, server: "", since: null, problem: "" }, ...over,
  };
}

/** Lines *first* to *last*, both included. */
export function lines(first: number, last: number, over: Partial<LogLine> = {}): LogLine[] {
  const count = Math.max(0, last - first + 1);
  return Array.from({ length: count }, (_, n) => ({ seq: first + n, time: first + n, text: `line ${first + n}`, stream: "out", service: "main", ...over }));
}

export function page(first: number, last: number, over: Partial<LogPage> = {}): LogPage {
  return { source: "chute.hello", lines: lines(first, last), cursor: last, more: false, missed: 0, ...over };
}

export function numbers(read: readonly LogLine[]): number[] {
  return read.map((line) => line.seq);
}

/** Runs everything that only waits for promises. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}
