/** What the demo device holds. */

import type { ChangeRecord, ChuteStatus, NodeInfo } from "../values";

const NOW = Date.now() / 1000;
const GiB = 2 ** 30;

export function node(chutes: readonly ChuteStatus[]): NodeInfo {
  return {
    name: "workshop-router", pdid: null, version: "1.0.0", mode: "production", started: NOW - 187_000, now: Date.now() / 1000,
    engine: {
      name: "process", version: "", available: true, isolates: ["files", "processes", "memory"], shares: ["network", "kernel"], detail: "",
    },
    site: "http://workshop-router.lan/", chutes: chutes.length, running: chutes.filter((chute) => chute.state === "running").length,
    system: "Debian GNU/Linux 12 (bookworm), Linux 6.1", machine: "x86_64", processors: 2, load: 0.42,
    memory_total: 3.8 * GiB, memory_available: 2.1 * GiB, disk_total: 58 * GiB, disk_free: 4.6 * GiB, agent_memory: 79 * 2 ** 20,
    uplink: { state: "not provisioned", pdid: null, server: "", since: null, problem: "" },
  };
}

const service = { image: "", restarts: 0, exit_code: null, started: NOW - 8000, detail: "" };

export const CHUTES: ChuteStatus[] = [
  {
    name: "clock", version: "1.1.0", release: 2, state: "running", want: "running", since: NOW - 8040, web: "/chutes/clock/", detail: "",
    description: "A page that shows the device's time", services: [{ ...service, name: "main", state: "running" }],
  },
  {
    name: "hello", version: "1.0.0", release: 5, state: "running", want: "running", since: NOW - 86_400 * 2, web: null, detail: "",
    description: "Greets whoever calls it, and ticks every second",
    services: [{ ...service, name: "main", state: "running" }, { ...service, name: "cache", state: "running", restarts: 2 }],
  },
  {
    name: "irrigation", version: "0.4.2", release: 1, state: "stopped", want: "stopped", since: null, web: "/chutes/irrigation/", detail: "",
    description: "", services: [{ ...service, name: "main", state: "stopped", exit_code: 143 }],
  },
  {
    name: "weather", version: "2.0.0", release: 3, state: "failed", want: "running", since: null, web: null,
    detail: "main exited with code 1 three times in a minute; the last line it printed was: KeyError: 'STATION_ID'",
    description: "Reads the weather station on the roof", services: [{ ...service, name: "main", state: "failed", restarts: 3, exit_code: 1 }],
  },
];

const done = (title: string) => ({ title, state: "done" as const, started: NOW - 8050, finished: NOW - 8047 });
const change = { actor: "owner", retry: false, version: "", reason: "", revision: 9 };

export const CHANGES: ChangeRecord[] = [
  {
    ...change, id: "c4", kind: "deploy", chute: "weather", state: "failed", version: "2.0.0", created: NOW - 700, finished: NOW - 660, retry: true,
    reason: "The chute exits at once: exit code 1\nKeyError: 'STATION_ID'", actor: "control socket",
    steps: [done("Fetch the source"), done("Build main"), { title: "Start main", state: "failed", started: NOW - 690, finished: NOW - 660 }],
  },
  {
    ...change, id: "c3", kind: "deploy", chute: "clock", state: "rolled back", version: "1.2.0-rc1", created: NOW - 4000, finished: NOW - 3950,
    reason: "main did not become healthy in 30 s; 1.1.0 runs again", steps: [done("Fetch the source"), done("Build main")],
  },
  { ...change, id: "c2", kind: "stop", chute: "irrigation", state: "done", created: NOW - 7000, finished: NOW - 6998, steps: [done("Stop main")] },
  {
    ...change, id: "c1", kind: "deploy", chute: "clock", state: "done", version: "1.1.0", created: NOW - 8060, finished: NOW - 8041,
    actor: "control socket", steps: [done("Fetch the source"), done("Build main"), done("Start main")],
  },
];

/** Source, stream, service, text. */
export const LINES: (readonly [string, string, string, string])[] = [
  ["daemon", "info", "", "paradropd 1.0.0 starts"],
  ["daemon", "info", "", "realm ready on the control socket"],
  ["daemon", "warn", "", "the process engine shares the network with its chutes"],
  ["chute.weather", "err", "main", "KeyError: 'STATION_ID'"],
  ...Array.from({ length: 4 }, (_, n) => ["chute.clock", "out", "main", `GET /time 200 ${n + 3} ms`] as const),
  ...Array.from({ length: 40 }, (_, n) => ["chute.hello", n % 9 === 4 ? "err" : "out", n % 4 === 3 ? "cache" : "main", demoLine(n)] as const),
];

function demoLine(n: number): string {
  if (n === 12) return "Traceback: a long line that does not fit into the panel and is wrapped where it has to be, because nothing may be cut off without a sign";
  if (n % 9 === 4) return "warning: no caller for 30 s";
  return n % 4 === 3 ? `kept 12 names, ${n * 7} hits` : `tick ${n}`;
}
